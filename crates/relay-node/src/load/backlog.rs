//! Arrivals waiting for a connection: bounded, first in first out, one thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use tokio::sync::Notify;

use super::account::{Arrival, FailureKind, Outcome};

/// Arrivals that may wait for a connection: some seconds at ten thousand a second, a few MiB.
const WAITING_MAX: usize = 65_536;

/// Hands due arrivals to whichever connection is idle.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: RefCell<VecDeque<Arrival>>,
    closed: Cell<bool>,
    changed: Notify,
}

// === impl Backlog ===

impl Backlog {
    /// Queues an arrival; when the backlog is full it is settled as overrun on the spot.
    pub(super) fn push(&self, arrival: Arrival) {
        if self.waiting.borrow().len() == WAITING_MAX {
            arrival.settle(&Outcome::Failed(FailureKind::ClientOverrun));
            return;
        }
        self.waiting.borrow_mut().push_back(arrival);
        self.changed.notify_one();
    }

    /// No more arrivals will come.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.changed.notify_waiters();
    }

    /// The next arrival; `None` once the backlog is closed and empty.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses no arrival: one is taken only in the poll that returns it.
    pub(super) async fn next(&self) -> Option<Arrival> {
        loop {
            if let Some(arrival) = self.waiting.borrow_mut().pop_front() {
                return Some(arrival);
            }
            if self.closed.get() {
                return None;
            }
            self.changed.notified().await;
        }
    }

    /// Drops what still waits, which settles it as timed out.
    pub(super) fn clear(&self) {
        let left = std::mem::take(&mut *self.waiting.borrow_mut());
        drop(left);
    }
}
