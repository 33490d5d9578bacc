//! Publish once, to every matching subscription, all or nothing over the reliable ones.
//!
//! Publishing is serialised by one lock, held for two short steps: look whether every reliable subscription has room,
//! then hand the event to all. Only publishers fill queues, so what the first step saw holds in the second. Nobody
//! waits while holding it, nothing of others runs under it, and receivers never take it.

use crate::biased::BiasedLock;
use crate::error::{PublishError, SubscribeError, TryPublishError};
use crate::event::Event;
use crate::fence;
use crate::group::Blocked;
use crate::publisher::{ExclusivePublisher, Publisher};
use crate::queue::{Queue, Shared, Shedding, add};
use crate::reader::Reader;
use crate::ring::{self, Spare};
use crate::seat::Seat;
use crate::side::{Chores, Side, Why};
use crate::subscription::{Delivery, SubscribeOptions, Subscription, SubscriptionId};
use crate::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use crate::tally::SubscriptionStats;
use arc_swap::ArcSwap;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::ops::DerefMut;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The most subscriptions of one bus.
const MAX_SUBSCRIPTIONS: usize = 4096;

/// How many events of a batch are published under one lock.
const BATCH: usize = 64;

/// A bounded bus. Cloning gives another handle to the same bus; when the last one is dropped the bus is closed.
///
/// See the [crate page](crate) for an example.
#[derive(Clone)]
pub struct Bus(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    name: Arc<str>,
    pub(crate) side: BiasedLock<Side>,
    /// Every subscription, for those who read accounts.
    queues: ArcSwap<Vec<Arc<Queue>>>,
    subscriptions: AtomicUsize,
    next_id: AtomicU64,
    closed: AtomicBool,
    shedding: AtomicBool,
    published: AtomicU64,
    unheard: AtomicU64,
    /// Events that were published while there was no subscription at all.
    deserted: AtomicU64,
}

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
        Self(Arc::new(Inner {
            name: name.into(),
            side: BiasedLock::new(Side::new()),
            queues: ArcSwap::default(),
            subscriptions: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            shedding: AtomicBool::new(false),
            published: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
            deserted: AtomicU64::new(0),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
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
    /// The future fails with [`PublishError`] when the bus is closed before that.
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

    /// Accepts nothing more. Receivers get what is queued and then the end; waiting publishers get their events back.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether the bus was closed.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Relaxed)
    }

    /// While set, sheddable subscriptions take nothing new; what they have queued is still delivered.
    pub fn set_shedding(&self, shedding: bool) {
        self.0.shedding.store(shedding, Relaxed);
    }

    /// Whether sheddable subscriptions are shed.
    pub fn is_shedding(&self) -> bool {
        self.0.shedding.load(Relaxed)
    }

    /// Events that were published.
    pub fn published(&self) -> u64 {
        self.0.published.load(Relaxed) + self.0.deserted.load(Relaxed)
    }

    /// Published events that no subscription wanted: dropped, with the reason `no_subscriber`.
    pub fn no_subscriber(&self) -> u64 {
        self.0.unheard.load(Relaxed) + self.0.deserted.load(Relaxed)
    }

    /// How many subscriptions there are.
    pub fn subscription_count(&self) -> usize {
        self.0.subscriptions.load(Relaxed)
    }

    /// The account of every subscription.
    pub fn stats(&self) -> Vec<SubscriptionStats> {
        let queues = self.0.queues.load();
        queues.iter().map(|queue| queue.stats()).collect()
    }

    /// What the reliable subscriptions have delivered since the call before: read by one control loop, which gets
    /// it without allocating or waiting for a lock.
    pub fn progress(&self) -> Progress {
        let queues = self.0.queues.load();
        let reliable = queues.iter().filter(|queue| queue.is_reliable());
        // With a backlog somewhere, the slowest of those that have one is what the bus can drain.
        reliable
            .map(|queue| queue.take_progress())
            .reduce(|a, b| match (a.backlog, b.backlog) {
                (true, false) => a,
                (false, true) => b,
                _ if a.delivered_bytes <= b.delivered_bytes => a,
                _ => b,
            })
            .unwrap_or_default()
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
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

// === impl Inner ===

/// A refused publish, with the queue to wait for; none when the bus is closed.
pub(crate) struct Unpublished {
    event: Event,
    full: Option<Arc<Queue>>,
}

impl Unpublished {
    pub(crate) fn into_error(self) -> TryPublishError {
        match self.full {
            None => TryPublishError::Closed(self.event),
            Some(queue) => TryPublishError::Full {
                event: self.event,
                subscription: Arc::clone(&queue.name),
            },
        }
    }
}

impl Inner {
    #[inline]
    pub(crate) fn try_publish(&self, event: Event) -> Result<Published, Unpublished> {
        if self.is_deserted() {
            self.count_deserted(1);
            return Ok(Published { subscriptions: 0 });
        }
        self.publish_through(event, || self.side.lock())
    }

    /// Whether nobody listens, and it is not closed.
    #[inline]
    pub(crate) fn is_deserted(&self) -> bool {
        self.subscriptions.load(Acquire) == 0 && !self.closed.load(Relaxed)
    }

    /// Publishes with the access that `enter` gives.
    #[inline]
    pub(crate) fn publish_through<G: DerefMut<Target = Side>>(
        &self,
        event: Event,
        enter: impl Fn() -> G,
    ) -> Result<Published, Unpublished> {
        let mut event = Some(event);
        let mut side = enter();
        if let Some(subscriptions) = side.publish_simply(&mut event, self.shedding.load(Relaxed)) {
            self.count_published(subscriptions);
            let due = event.is_none().then(|| side.tell_simply()).flatten();
            // What follows runs code of others: destructors and wakers.
            drop(side);
            drop(event);
            if let Some(shared) = due {
                shared.look_after();
            }
            return Ok(Published { subscriptions });
        }
        drop(side);
        match event {
            Some(event) => self.publish_generally(event, enter),
            None => Ok(Published { subscriptions: 0 }),
        }
    }

    #[inline(never)]
    fn publish_generally<G: DerefMut<Target = Side>>(
        &self,
        mut event: Event,
        enter: impl Fn() -> G,
    ) -> Result<Published, Unpublished> {
        loop {
            let mut chores = Chores::default();
            let result = {
                let mut side = enter();
                let result = side.publish(event, self.shedding.load(Relaxed), true, &mut chores);
                if let Ok(subscriptions) = &result {
                    self.count_published(*subscriptions);
                }
                result
            };
            chores.run();
            let refused = match result {
                Ok(subscriptions) => return Ok(Published { subscriptions }),
                Err(refused) => refused,
            };
            event = refused.event;
            let full = match refused.why {
                Why::Blocked(Blocked::Reclaim(shared)) => {
                    shared.look_after();
                    continue;
                }
                Why::Blocked(Blocked::Full(queue)) => Some(queue),
                Why::Closed => None,
            };
            return Err(Unpublished { event, full });
        }
    }

    /// Publishes from the front of `events`, as many in one go as do not keep others out for long.
    pub(crate) fn try_publish_batch<G: DerefMut<Target = Side>>(
        &self,
        events: &mut VecDeque<Event>,
        enter: impl Fn() -> G,
    ) -> usize {
        let mut published = 0;
        while let Some(first) = events.pop_front() {
            let mut next = Some(first);
            let mut chores = Chores::default();
            let mut why = None;
            {
                let mut side = enter();
                for _ in 0..BATCH {
                    let Some(event) = next.take().or_else(|| events.pop_front()) else {
                        break;
                    };
                    match side.publish(event, self.shedding.load(Relaxed), false, &mut chores) {
                        Ok(subscriptions) => {
                            self.count_published(subscriptions);
                            published += 1;
                        }
                        Err(refused) => {
                            events.push_front(refused.event);
                            why = Some(refused.why);
                            break;
                        }
                    }
                }
                side.tell(&mut chores);
            }
            chores.run();
            match why {
                None => {}
                Some(Why::Blocked(Blocked::Reclaim(shared))) => shared.look_after(),
                Some(_) => break,
            }
        }
        published
    }

    /// Counts a publish of whoever has the lock: one writer at a time.
    #[inline]
    fn count_published(&self, subscriptions: usize) {
        add(&self.published, 1);
        if subscriptions == 0 {
            add(&self.unheard, 1);
        }
    }

    /// Counts events that were published while nobody listened, outside of the lock.
    pub(crate) fn count_deserted(&self, events: u64) {
        self.deserted.fetch_add(events, Relaxed);
    }

    fn add(&self, options: SubscribeOptions) -> Result<Reader, SubscribeError> {
        let shedding = match options.delivery {
            Delivery::Reliable => None,
            Delivery::Sheddable {
                overflow,
                early_drop,
            } => Some(Shedding {
                overflow,
                early_drop,
            }),
        };
        // What takes long is done before the lock is taken.
        let (producer, consumer) = ring::ring(options.limit_events);
        let fresh = Arc::new(Shared::new());
        let mut side = self.side.lock();
        if side.closed {
            return Err(SubscribeError::Closed);
        }
        if self.subscriptions.load(Relaxed) >= MAX_SUBSCRIPTIONS {
            return Err(SubscribeError::TooMany {
                max: MAX_SUBSCRIPTIONS,
            });
        }
        let queue = Arc::new(Queue::new(
            options.name,
            self.next_id.fetch_add(1, Relaxed),
            shedding,
            side.shared(&options.filter).unwrap_or(fresh),
            options.limit_events,
            options.limit_bytes,
        ));
        side.add(options.filter, Seat::new(Arc::clone(&queue), producer));
        self.queues.rcu(|queues| {
            let mut queues = Vec::clone(queues);
            queues.push(Arc::clone(&queue));
            queues
        });
        self.subscriptions.fetch_add(1, Release);
        Ok(Reader::new(queue, consumer))
    }

    pub(crate) fn remove(&self, id: u64) -> bool {
        let mut chores = Chores::default();
        let seat = {
            let mut side = self.side.lock();
            let seat = side.remove(id, &mut chores);
            if seat.is_some() {
                self.subscriptions.fetch_sub(1, Release);
                self.queues.rcu(|queues| {
                    let stay = queues.iter().filter(|queue| queue.id != id);
                    stay.cloned().collect::<Vec<_>>()
                });
            }
            seat
        };
        chores.run();
        if let Some(seat) = &seat {
            seat.queue.end();
        }
        seat.is_some()
    }

    pub(crate) fn set_limits(&self, queue: &Queue, events: Option<usize>, bytes: Option<u64>) {
        let have = queue.ring_events.load(Relaxed);
        let spare = events
            .filter(|events| *events > have)
            .map(Spare::with_capacity);
        {
            let mut side = self.side.lock();
            if let (Some(events), Some(_)) = (events, &spare) {
                queue.ring_events.fetch_max(events, Relaxed);
            }
            side.set_limits(queue, (events, bytes), spare);
        }
        queue.room.wake_all();
    }

    fn close(&self) {
        self.closed.store(true, Relaxed);
        // Whoever is publishing now has finished before the queues are closed, so no event is half published.
        self.side.lock().closed = true;
        for queue in self.queues.load().iter() {
            queue.close();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.side.lock().end();
        for queue in self.queues.load().iter() {
            queue.close();
        }
    }
}

/// The future of [`Bus::publish`].
#[must_use = "nothing is published until it is awaited"]
pub struct Publish {
    bus: Arc<Inner>,
    event: Option<Event>,
    waiting: Option<(Arc<Queue>, u64)>,
}

impl Publish {
    pub(crate) fn new(bus: Arc<Inner>, event: Event) -> Self {
        Self {
            bus,
            event: Some(event),
            waiting: None,
        }
    }

    /// Gives up its place, if it has one, and lets the next one look when there may be room.
    fn leave(&mut self) {
        if let Some((queue, key)) = self.waiting.take() {
            queue.room.leave(key);
            if queue.has_room() {
                queue.room.wake_first();
            }
        }
    }

    /// Whether it is its turn: always when it does not wait yet, or when what it waits for is over.
    fn is_first(&self, cx: &Context<'_>) -> bool {
        self.waiting.as_ref().is_none_or(|(queue, key)| {
            queue.room.is_first(*key, cx.waker()) || queue.closed.load(Acquire)
        })
    }
}

impl Future for Publish {
    type Output = Result<Published, PublishError>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            if !this.is_first(cx) {
                return Poll::Pending;
            }
            let event = this.event.take().expect("polled after it was ready");
            let refused = match this.bus.try_publish(event) {
                Ok(published) => {
                    this.leave();
                    return Poll::Ready(Ok(published));
                }
                Err(refused) => refused,
            };
            let Some(queue) = refused.full else {
                this.leave();
                return Poll::Ready(Err(PublishError(refused.event)));
            };
            this.event = Some(refused.event);
            if this
                .waiting
                .as_ref()
                .is_some_and(|(joined, _)| Arc::ptr_eq(joined, &queue))
            {
                return Poll::Pending;
            }
            // Having joined, look again: room that was made in between has woken nobody.
            this.leave();
            let key = queue.room.join(cx.waker());
            this.waiting = Some((queue, key));
            fence::heavy();
        }
    }
}

impl Drop for Publish {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(relay_loom)))]
#[path = "bus/tests.rs"]
mod tests;
