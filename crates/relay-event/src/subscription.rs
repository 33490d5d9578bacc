//! The receiving end of a bus: one at a time, many, or in place.

use crate::batch::Batch;
use crate::bus::Inner;
use crate::early_drop::EarlyDrop;
use crate::event::Event;
use crate::filter::Filter;
use crate::queue::Queue;
use crate::reader::Reader;
use crate::sync::atomic::Ordering::Acquire;
use crate::tally::{QueuePressure, SubscriptionStats};
use crate::wait::{Spin, block_on};
use std::fmt;
use std::future::poll_fn;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

/// The largest bound of a queue, in events.
pub(crate) const MAX_EVENTS: usize = 1 << 20;

/// The number of a subscription on its bus; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub(crate) u64);

impl SubscriptionId {
    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }
}

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
        /// What is dropped before that, if anything.
        early_drop: Option<Arc<dyn EarlyDrop>>,
    },
}

impl Delivery {
    /// Sheddable without early drop.
    pub fn sheddable(overflow: Overflow) -> Self {
        Self::Sheddable {
            overflow,
            early_drop: None,
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

/// The receiving end. Dropping it unsubscribes, and counts what was queued as
/// [`DropReason::Unsubscribed`](crate::DropReason::Unsubscribed).
pub struct Subscription {
    reader: Reader,
    bus: Weak<Inner>,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("name", &self.queue().name)
            .field("id", &self.queue().id)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    pub(crate) fn new(reader: Reader, bus: Weak<Inner>) -> Self {
        Self { reader, bus }
    }

    fn queue(&self) -> &Arc<Queue> {
        &self.reader.queue
    }

    /// Its number on the bus.
    pub fn id(&self) -> SubscriptionId {
        SubscriptionId(self.queue().id)
    }

    /// The next event, counted as delivered; `None` when nothing is queued.
    #[inline]
    pub fn try_recv(&mut self) -> Option<Event> {
        self.reader.take()
    }

    /// As [`recv`](Self::recv), for whoever writes futures by hand.
    ///
    /// # Cancel safety
    ///
    /// An event is taken only in the call that returns it.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_with(cx, Reader::take)
    }

    /// Waits until `take` gives something; ready with `None` when nothing will come.
    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut Reader) -> Option<T>,
    ) -> Poll<Option<T>> {
        if let Some(taken) = take(&mut self.reader) {
            return Poll::Ready(Some(taken));
        }
        if self.queue().closed.load(Acquire) {
            // What was put in before it was closed can be seen now.
            return Poll::Ready(take(&mut self.reader));
        }
        self.queue().bell.sleep(cx.waker());
        // Once more: what came before the bell was set has rung nobody.
        let taken = take(&mut self.reader);
        if taken.is_none() && !self.queue().closed.load(Acquire) {
            return Poll::Pending;
        }
        self.queue().bell.stay_awake();
        Poll::Ready(taken.or_else(|| take(&mut self.reader)))
    }

    /// The next event, counted as delivered; `None` when the bus is closed and everything was received.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing: an event is taken only in the poll that returns it.
    pub async fn recv(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`recv`](Self::recv), for a thread without a runtime: looks a few times before it sleeps, because waking a
    /// thread costs the publisher more than a hundred looks.
    pub fn recv_blocking(&mut self) -> Option<Event> {
        let mut spin = Spin::new();
        while spin.once() {
            if let Some(event) = self.try_recv() {
                return Some(event);
            }
        }
        block_on(self.recv())
    }

    /// Waits for an event, then moves up to `max` into `events`, all counted as delivered. Returns how many; zero when
    /// the bus is closed and everything was received.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing: events are taken only in the poll that returns.
    pub async fn recv_many(&mut self, events: &mut Vec<Event>, max: usize) -> usize {
        if max == 0 {
            return 0;
        }
        let Some(first) = self.recv().await else {
            return 0;
        };
        let before = events.len();
        events.push(first);
        while events.len() - before < max {
            match self.try_recv() {
                Some(event) => events.push(event),
                None => break,
            }
        }
        events.len() - before
    }

    /// Shows up to `max` queued events where they lie, oldest first, without taking a reference of each: the cheapest
    /// way to read. They are delivered, and their room is free, when the result is dropped.
    ///
    /// ```
    /// use relay_event::{Bus, Event, SubscribeOptions};
    ///
    /// let bus = Bus::new("prices");
    /// let mut subscription = bus.subscribe(SubscribeOptions::new("sum"))?;
    /// for price in 1..=3_u8 {
    ///     bus.try_publish(Event::builder("price").payload(vec![price]).build()?)?;
    /// }
    /// let sum: u8 = subscription.read(64).iter().map(|event| event.payload()[0]).sum();
    /// assert_eq!(sum, 6);
    /// assert!(subscription.read(64).is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(&mut self, max: usize) -> Read<'_> {
        self.reader.look(max);
        Read(&mut self.reader)
    }

    /// Waits until something is queued, then fills `batch` with up to its capacity; `false` when the bus is closed
    /// and everything was received. What was still in the batch counts as
    /// [`DropReason::Abandoned`](crate::DropReason::Abandoned).
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing: events are taken only in the poll that returns.
    pub async fn recv_batch(&mut self, batch: &mut Batch) -> bool {
        batch.abandon();
        poll_fn(|cx| self.poll_with(cx, |reader| batch.fill(reader)))
            .await
            .is_some()
    }

    /// Adds what is queued to `batch`, up to its capacity; whether it holds anything.
    pub fn fill(&mut self, batch: &mut Batch) -> bool {
        batch.fill(&mut self.reader).is_some()
    }

    /// Moves its bounds, while publishers and this receiver run; `None` leaves one as it is. Shrinking below what
    /// is queued loses nothing: new events wait or are dropped until it fits. Events are clamped to 1 … 1,048,576.
    pub fn set_limits(&self, events: Option<usize>, bytes: Option<u64>) {
        // Without the bus nothing is published any more, and the bounds mean nothing.
        if let Some(bus) = self.bus.upgrade() {
            bus.set_limits(self.queue(), events, bytes);
        }
    }

    /// What it has done and holds.
    pub fn stats(&self) -> SubscriptionStats {
        self.queue().stats()
    }

    /// A handle to its account, which outlives it.
    pub fn monitor(&self) -> SubscriptionMonitor {
        SubscriptionMonitor(Arc::clone(self.queue()))
    }
}

impl futures_core::Stream for Subscription {
    type Item = Event;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_recv(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            bus.remove(self.queue().id);
        }
        let queue = Arc::clone(self.queue());
        queue.end();
        queue.bell.stay_awake();
        self.reader.let_go();
    }
}

/// Events that are looked at in place. Dropping it counts them as delivered and frees their room.
///
/// An event that is needed for longer is cloned.
pub struct Read<'a>(&'a mut Reader);

impl Read<'_> {
    /// The events, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Event> {
        self.0
            .view()
            .iter()
            .map(|event: &ManuallyDrop<Event>| &**event)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.view().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Read<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Drop for Read<'_> {
    fn drop(&mut self) {
        self.0.pass();
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

    /// How its queue stands; allocates nothing and waits for nobody.
    pub fn pressure(&self) -> QueuePressure {
        self.0.pressure()
    }

    /// The number of the subscription on its bus.
    pub fn id(&self) -> SubscriptionId {
        SubscriptionId(self.0.id)
    }

    /// Whether publishers wait for it, rather than drop.
    pub fn is_reliable(&self) -> bool {
        self.0.is_reliable()
    }
}
