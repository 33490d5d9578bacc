//! Publish once, to every matching subscription, all or nothing over the reliable ones.
//!
//! Publishing is serialised by one lock, held for two short steps: look whether every reliable subscription has room,
//! then hand the event to all. Only publishers fill queues, so what the first step saw holds in the second. Nobody
//! waits while holding it, nothing of others runs under it, and receivers never take it.

mod inner;
mod publish;

pub(crate) use inner::{Inner, Unpublished};
pub use publish::Publish;

use crate::error::{SubscribeError, TryPublishError};
use crate::event::Event;
use crate::publisher::{ExclusivePublisher, Publisher};
use crate::subscription::{SubscribeOptions, Subscription, SubscriptionId};
use crate::tally::SubscriptionStats;
use crate::wait_times::WaitTimes;
use std::fmt;
use std::sync::Arc;

/// A bounded bus. Cloning gives another handle to the same bus; when the last one is dropped the bus is closed.
///
/// See the [crate page](crate) for an example.
#[derive(Clone)]
pub struct Bus(pub(crate) Arc<Inner>);

/// What a publish did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// To how many subscriptions the event was offered; with none it counts as `no_subscriber`.
    pub subscriptions: usize,
}

// === impl Bus ===

impl Bus {
    /// A bus without subscriptions.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Inner::new(name.into())))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// A handle for one of several publishing threads; cheaper than the bus itself while nobody subscribes.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(Arc::clone(&self.0))
    }

    /// The handle of a publisher that pays for no lock, because it is the only one, or nearly: others may still publish
    /// through the bus, which makes them wait for it and costs them microseconds. `None` while there is one already.
    pub fn exclusive(&self) -> Option<ExclusivePublisher> {
        ExclusivePublisher::new(Arc::clone(&self.0))
    }

    /// Publishes without waiting.
    ///
    /// # Errors
    ///
    /// The event comes back, delivered to nobody, when a reliable subscription has no room or the bus is closed.
    pub fn try_publish(&self, event: Event) -> Result<Published, TryPublishError> {
        self.0.try_publish(event).map_err(Unpublished::into_error)
    }

    /// Publishes as soon as every matching reliable subscription has room. Those who wait for the same subscription
    /// are woken first come first served.
    ///
    /// The future fails with [`PublishError`](crate::PublishError) when the bus is closed before that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready publishes nothing; the event is dropped with it.
    pub fn publish(&self, event: Event) -> Publish {
        Publish::new(Arc::clone(&self.0), event)
    }

    /// Adds a subscription; it sees what is published from now on.
    ///
    /// # Errors
    ///
    /// When the bus is closed or has 4096 subscriptions.
    pub fn subscribe(&self, options: SubscribeOptions) -> Result<Subscription, SubscribeError> {
        let reader = self.0.add(options)?;
        Ok(Subscription::new(reader, Arc::downgrade(&self.0)))
    }

    /// Ends a subscription from outside: its receiver sees the end, and what was queued counts as
    /// [`DropReason::Unsubscribed`](crate::DropReason::Unsubscribed); its memory is free when the receiver looks, or is
    /// dropped. Returns whether it existed; ending it twice does nothing.
    pub fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.0.remove(id.0)
    }

    /// Moves the bounds of a subscription, as [`Subscription::set_limits`] does for its holder. Returns whether there
    /// is such a subscription.
    pub fn set_limits(
        &self,
        id: SubscriptionId,
        events: Option<usize>,
        bytes: Option<u64>,
    ) -> bool {
        self.0.set_limits_of(id.0, events, bytes)
    }

    /// Accepts nothing more. Receivers get what is queued and then the end; waiting publishers get their events back.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether the bus was closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// While set, sheddable subscriptions take nothing new; what they have queued is still delivered.
    pub fn set_shedding(&self, shedding: bool) {
        self.0.set_shedding(shedding);
    }

    /// Whether sheddable subscriptions are shed.
    pub fn is_shedding(&self) -> bool {
        self.0.is_shedding()
    }

    /// Events that were published.
    pub fn published(&self) -> u64 {
        self.0.published()
    }

    /// Published events that no subscription wanted: dropped, with the reason `no_subscriber`.
    pub fn no_subscriber(&self) -> u64 {
        self.0.no_subscriber()
    }

    /// How long those waited who found no room, see [`publish`](Self::publish).
    pub fn wait_times(&self) -> WaitTimes {
        self.0.waits.read()
    }

    /// How many subscriptions there are.
    pub fn subscription_count(&self) -> usize {
        self.0.subscription_count()
    }

    /// The account of every subscription.
    pub fn stats(&self) -> Vec<SubscriptionStats> {
        self.0.stats()
    }

    /// What the reliable subscriptions have delivered since the call before: read by one control loop, which gets
    /// it without allocating or waiting for a lock.
    pub fn progress(&self) -> Progress {
        self.0.progress()
    }
}

/// What the slowest reliable subscription of a bus has done since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Accounted bytes it has delivered.
    pub delivered_bytes: u64,
    /// Whether it had something queued all the time: only then does the figure say how fast it can be.
    pub backlog: bool,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("name", &self.0.name())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(relay_loom)))]
#[path = "bus/tests.rs"]
mod tests;
