//! The receiving end of an error bus.

use super::Inner;
use super::broadcast::{Account, Seat};
use super::filter::ErrorFilter;
use crate::report::ErrorEvent;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

/// The receiving end of an [`ErrorBus`](crate::ErrorBus); dropping it unsubscribes.
///
/// Its account adds up whenever nobody publishes or receives: of all events that were published since it subscribed,
/// `delivered + skipped + dropped + waiting`, each event in exactly one of them.
pub struct ErrorSubscription {
    bus: Arc<Inner>,
    place: Arc<Place>,
    filter: ErrorFilter,
}

/// What the bus keeps of a subscriber.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) seat: Seat,
    /// Events refused before it subscribed.
    pub(super) refused_before: u64,
}

impl ErrorSubscription {
    pub(super) fn new(bus: Arc<Inner>, place: Arc<Place>, filter: ErrorFilter) -> Self {
        Self { bus, place, filter }
    }

    /// The next event; `None` when there is none now.
    ///
    /// An event that is being written at this moment is waited for a few microseconds, and then counts as dropped.
    pub fn try_recv(&mut self) -> Option<ErrorEvent> {
        self.bus
            .broadcast
            .take(&self.place.seat, |event| self.filter.matches(event))
    }

    /// The next event; `None` when the bus is closed or gone and everything was received.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing: an event is taken only in the poll that returns it.
    pub async fn recv(&mut self) -> Option<ErrorEvent> {
        let Self { bus, place, filter } = self;
        let wants = |event: &ErrorEvent| filter.matches(event);
        poll_fn(|cx| bus.broadcast.poll(&place.seat, wants, cx)).await
    }

    /// Events that were received.
    pub fn delivered(&self) -> u64 {
        self.account().delivered
    }

    /// Events that the filter left out.
    pub fn skipped(&self) -> u64 {
        self.account().skipped
    }

    /// Events that this subscriber lost because it was full. Whether its filter would have wanted them is not known:
    /// they were gone before it looked.
    pub fn dropped(&self) -> u64 {
        self.bus.dropped_by(&self.place)
    }

    /// Events that wait for it, before its filter; at most the buffer of the bus.
    pub fn waiting(&self) -> u64 {
        self.account().waiting
    }

    fn account(&self) -> Account {
        self.bus.broadcast.account(&self.place.seat)
    }
}

impl Drop for ErrorSubscription {
    fn drop(&mut self) {
        self.bus.unsubscribe(&self.place);
    }
}

impl fmt::Debug for ErrorSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorSubscription")
            .field("account", &self.account())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}
