//! Receiving: one at a time or in batches, and saying what became of each event.

use crate::early_drop::{EarlyDrop, Never};
use crate::event::Event;
use crate::filter::Filter;
use crate::queue::Queue;
use crate::tally::{DropReason, SubscriptionStats};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Weak};

/// The largest bound of a queue, in events.
pub(crate) const MAX_EVENTS: usize = 1 << 20;

/// The number of a subscription on its bus; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub(crate) u64);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sub-{}", self.0)
    }
}

/// Whether a subscription must get every event.
#[derive(Clone, Default)]
pub enum Delivery {
    /// It gets every event; while it has no room, publishers wait.
    #[default]
    Reliable,
    /// It never makes a publisher wait, and takes nothing new while memory is critical.
    Sheddable {
        /// What gives way when its queue is full.
        overflow: Overflow,
        /// What is dropped before that.
        early_drop: Arc<dyn EarlyDrop>,
    },
}

impl Delivery {
    /// Sheddable without early drop.
    pub fn sheddable(overflow: Overflow) -> Self {
        Self::Sheddable {
            overflow,
            early_drop: Arc::new(Never),
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reliable => f.write_str("Reliable"),
            Self::Sheddable { overflow, .. } => write!(f, "Sheddable({overflow:?})"),
        }
    }
}

/// What gives way when the queue of a sheddable subscription is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The event that comes.
    #[default]
    DropNewest,
    /// The events that have waited longest.
    DropOldest,
}

/// What a subscription asks for.
#[derive(Debug, Clone)]
#[must_use]
pub struct SubscribeOptions {
    pub(crate) name: Arc<str>,
    pub(crate) filter: Filter,
    pub(crate) delivery: Delivery,
    pub(crate) limit_events: usize,
    pub(crate) limit_bytes: u64,
}

impl SubscribeOptions {
    /// Every event, reliably, at most 1024 events and 16 MiB at a time. The name is for people and metrics.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            filter: Filter::all(),
            delivery: Delivery::Reliable,
            limit_events: 1024,
            limit_bytes: 16 << 20,
        }
    }

    /// Only events that match.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Reliable or sheddable.
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// At most so many events wait: 1 to 1,048,576, clamped.
    pub fn limit_events(mut self, events: usize) -> Self {
        self.limit_events = events.clamp(1, MAX_EVENTS);
        self
    }

    /// At most so many accounted bytes wait; at least one event always may.
    pub fn limit_bytes(mut self, bytes: u64) -> Self {
        self.limit_bytes = bytes;
        self
    }
}

/// The receiving end. Dropping it unsubscribes, and counts what was queued as [`DropReason::Unsubscribed`].
#[derive(Debug)]
pub struct Subscription {
    pub(crate) queue: Arc<Queue>,
    pub(crate) bus: Weak<crate::bus::Inner>,
    single: Vec<Event>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    pub(crate) fn new(queue: Arc<Queue>, bus: Weak<crate::bus::Inner>) -> Self {
        Self {
            queue,
            bus,
            single: Vec::with_capacity(1),
        }
    }

    /// Its number on the bus.
    pub fn id(&self) -> SubscriptionId {
        SubscriptionId(self.queue.id)
    }

    /// The next event, counted as delivered; `None` when nothing is queued.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.queue.take(&mut self.single, 1, u64::MAX);
        self.queue.settle(&self.single);
        self.single.pop()
    }

    /// The next event, counted as delivered; `None` when the bus is closed and everything was received.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing: an event is taken only in the poll that returns it.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            if !poll_fn(|cx| self.queue.poll_ready(cx)).await {
                return None;
            }
            if let Some(event) = self.try_recv() {
                return Some(event);
            }
        }
    }

    /// Waits until something is queued, then fills `batch` with up to its capacity; `false` when the bus is closed
    /// and everything was received. What was still in the batch counts as [`DropReason::Abandoned`].
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing: events are taken only in the poll that returns.
    pub async fn recv_batch(&mut self, batch: &mut Batch) -> bool {
        batch.abandon();
        loop {
            if !poll_fn(|cx| self.queue.poll_ready(cx)).await {
                return false;
            }
            if self.fill(batch) {
                return true;
            }
        }
    }

    /// Adds what is queued to `batch`, up to its capacity; whether it holds anything.
    pub fn fill(&mut self, batch: &mut Batch) -> bool {
        let room = batch.capacity - batch.events.len();
        let bytes = batch.capacity_bytes.saturating_sub(batch.size_bytes());
        if room > 0 && (bytes > 0 || batch.events.is_empty()) {
            self.queue.take(&mut batch.events, room, bytes);
            batch.queue.get_or_insert_with(|| Arc::clone(&self.queue));
        }
        !batch.events.is_empty()
    }

    /// Moves its bounds, while publishers and this receiver run; `None` leaves one as it is. Shrinking below what
    /// is queued loses nothing: new events wait or are dropped until it fits. Events are clamped to 1 … 1,048,576.
    pub fn set_limits(&self, events: Option<usize>, bytes: Option<u64>) {
        self.queue
            .set_limits(events.map(|events| events.clamp(1, MAX_EVENTS)), bytes);
    }

    /// What it has done and holds.
    pub fn stats(&self) -> SubscriptionStats {
        self.queue.stats()
    }

    /// A handle to its account, which outlives it.
    pub fn monitor(&self) -> SubscriptionMonitor {
        SubscriptionMonitor(Arc::clone(&self.queue))
    }
}

/// Reads the account of a subscription from elsewhere, also after it ended.
#[derive(Debug, Clone)]
pub struct SubscriptionMonitor(Arc<Queue>);

impl SubscriptionMonitor {
    /// What the subscription has done and holds.
    pub fn stats(&self) -> SubscriptionStats {
        self.0.stats()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            bus.remove(self.queue.id);
        }
        self.queue.abandon(DropReason::Unsubscribed);
    }
}

/// What became of an event that was received in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// It did not, and is worth another attempt.
    Retry,
    /// It did not, and never will.
    Rejected,
}

/// Events that were received together and are in flight until they are settled. Its memory is set aside when it is
/// made and used again for each batch, so that emptying a queue needs no allocation.
///
/// Dropping it counts what is left as [`DropReason::Abandoned`].
#[derive(Debug)]
pub struct Batch {
    events: Vec<Event>,
    queue: Option<Arc<Queue>>,
    capacity: usize,
    capacity_bytes: u64,
}

impl Batch {
    /// Room for so many events (at least one) of so many accounted bytes together.
    pub fn with_capacity(events: usize, bytes: u64) -> Self {
        let capacity = events.max(1);
        Self {
            events: Vec::with_capacity(capacity),
            queue: None,
            capacity,
            capacity_bytes: bytes,
        }
    }

    /// The events, oldest first.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Their accounted bytes.
    pub fn size_bytes(&self) -> u64 {
        self.events.iter().map(Event::size_bytes).sum()
    }

    /// Whether it can take no more events.
    pub fn is_full(&self) -> bool {
        self.events.len() >= self.capacity || self.size_bytes() >= self.capacity_bytes
    }

    /// All arrived.
    pub fn delivered(&mut self) {
        if let Some(queue) = &self.queue {
            queue.settle(&self.events);
        }
        self.events.clear();
    }

    /// None will arrive.
    pub fn dropped(&mut self, reason: DropReason) {
        if let Some(queue) = &self.queue
            && !self.events.is_empty()
        {
            queue.give_up(self.events.len(), reason);
        }
        self.events.clear();
    }

    /// Settles each event by its outcome, in order; those to retry stay. Events beyond the outcomes stay too.
    pub fn settle(&mut self, outcomes: &[Outcome]) {
        let Some(queue) = self.queue.clone() else {
            return;
        };
        let mut outcomes = outcomes.iter();
        self.events.retain(|event| match outcomes.next() {
            Some(Outcome::Delivered) => {
                queue.settle(std::slice::from_ref(event));
                false
            }
            Some(Outcome::Rejected) => {
                queue.give_up(1, DropReason::Rejected);
                false
            }
            Some(Outcome::Retry) | None => true,
        });
    }

    fn abandon(&mut self) {
        self.dropped(DropReason::Abandoned);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.abandon();
    }
}
