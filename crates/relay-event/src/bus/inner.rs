//! What all handles of a bus share.

use super::Published;
use crate::biased::BiasedLock;
use crate::bus::Progress;
use crate::error::{SubscribeError, TryPublishError};
use crate::event::Event;
use crate::group::Blocked;
use crate::queue::{Queue, Shedding, add};
use crate::reader::Reader;
use crate::ring::{self, Spare};
use crate::seat::Seat;
use crate::shared::Shared;
use crate::side::{Chores, Side, Why};
use crate::subscription::{Delivery, MAX_EVENTS, SubscribeOptions};
use crate::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use crate::tally::SubscriptionStats;
use crate::wait_times::WaitClock;
use arc_swap::ArcSwap;
use std::collections::VecDeque;
use std::ops::DerefMut;
use std::sync::Arc;

/// The most subscriptions of one bus.
const MAX_SUBSCRIPTIONS: usize = 4096;

/// How many events of a batch are published under one lock.
const BATCH: usize = 64;

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
    pub(super) waits: WaitClock,
}

/// A refused publish, with the queue to wait for; none when the bus is closed.
pub(crate) struct Unpublished {
    pub(super) event: Event,
    pub(super) full: Option<Arc<Queue>>,
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
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            side: BiasedLock::new(Side::new()),
            queues: ArcSwap::default(),
            subscriptions: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            shedding: AtomicBool::new(false),
            published: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
            deserted: AtomicU64::new(0),
            waits: WaitClock::default(),
        }
    }

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

    pub(super) fn add(&self, options: SubscribeOptions) -> Result<Reader, SubscribeError> {
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

    pub(super) fn set_limits_of(&self, id: u64, events: Option<usize>, bytes: Option<u64>) -> bool {
        let queues = self.queues.load();
        let queue = queues.iter().find(|queue| queue.id == id);
        if let Some(queue) = queue {
            self.set_limits(queue, events, bytes);
        }
        queue.is_some()
    }

    pub(crate) fn set_limits(&self, queue: &Queue, events: Option<usize>, bytes: Option<u64>) {
        let events = events.map(|events| events.clamp(1, MAX_EVENTS));
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

    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
        // Whoever is publishing now has finished before the queues are closed, so no event is half published.
        self.side.lock().closed = true;
        for queue in self.queues.load().iter() {
            queue.close();
        }
    }
}

/// What others see.
impl Inner {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    pub(super) fn set_shedding(&self, shedding: bool) {
        self.shedding.store(shedding, Relaxed);
    }

    pub(super) fn is_shedding(&self) -> bool {
        self.shedding.load(Relaxed)
    }

    pub(super) fn published(&self) -> u64 {
        self.published.load(Relaxed) + self.deserted.load(Relaxed)
    }

    pub(super) fn no_subscriber(&self) -> u64 {
        self.unheard.load(Relaxed) + self.deserted.load(Relaxed)
    }

    pub(super) fn subscription_count(&self) -> usize {
        self.subscriptions.load(Relaxed)
    }

    pub(super) fn stats(&self) -> Vec<SubscriptionStats> {
        let queues = self.queues.load();
        queues.iter().map(|queue| queue.stats()).collect()
    }

    pub(super) fn progress(&self) -> Progress {
        let queues = self.queues.load();
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

impl Drop for Inner {
    fn drop(&mut self) {
        self.side.lock().end();
        for queue in self.queues.load().iter() {
            queue.close();
        }
    }
}
