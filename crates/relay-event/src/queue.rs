//! What the two sides of one subscription share: bounds, counts, and where its events lie.
//!
//! Every cell has one writer: the publishing side (serialised by the bus's lock) or the receiver. A count is a plain
//! store for its writer and a plain load for everybody else, so that an exporter or a control loop reads an account
//! without a lock, and nothing of it costs the publishing path an atomic read-modify-write.

use crate::bell::Bell;
use crate::bus::Progress;
use crate::early_drop::EarlyDrop;
use crate::event::Event;
use crate::log::Taken;
use crate::place::{Place, is_log};
use crate::shared::Shared;
use crate::subscription::Overflow;
use crate::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
    fence,
};
use crate::sync::{Mutex, lock};
use crate::tally::{DropReason, QueuePressure, SubscriptionStats};
use crate::wait::WaitList;
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a sheddable subscription does; a reliable one has none.
pub(crate) struct Shedding {
    pub(crate) overflow: Overflow,
    pub(crate) early_drop: Option<Arc<dyn EarlyDrop>>,
}

pub(crate) struct Queue {
    pub(crate) name: Arc<str>,
    pub(crate) id: u64,
    pub(crate) shedding: Option<Shedding>,
    pub(crate) group: Arc<Shared>,
    pub(crate) bell: Bell,
    /// Publishers that wait for room here.
    pub(crate) room: WaitList,
    limit_events: AtomicUsize,
    limit_bytes: AtomicU64,
    /// How many events its ring holds at least; moved under the bus's lock.
    pub(crate) ring_events: AtomicUsize,
    /// Nothing more comes.
    pub(crate) closed: AtomicBool,
    /// Nothing more is delivered, not even what is queued.
    pub(crate) ended: AtomicBool,
    pub(crate) place: Place,
    // Each side writes its own lines; what both read stands apart from them.
    pub(crate) offered: CachePadded<Offered>,
    pub(crate) taken: Arc<CachePadded<Taken>>,
    pub(crate) settled: CachePadded<Settled>,
    /// The events of a subscription that drops its oldest: the publishing side takes out there too.
    pub(crate) evictable: Option<Mutex<VecDeque<Event>>>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What the publishing side has done. What was put into the log since it joined is not yet counted here.
#[derive(Default)]
pub(crate) struct Offered {
    put: AtomicU64,
    put_bytes: AtomicU64,
    pub(crate) evicted_bytes: AtomicU64,
    turned_away: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

/// What became of what was taken.
#[derive(Default)]
pub(crate) struct Settled {
    /// Taken in batches, which settle each event.
    pub(crate) batched: AtomicU64,
    pub(crate) batched_bytes: AtomicU64,
    delivered: AtomicU64,
    delivered_bytes: AtomicU64,
    payload_bytes: AtomicU64,
    given_up: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
    /// What a control loop saw last of what was delivered.
    looked_bytes: AtomicU64,
    /// Whether nothing was queued at some time since a control loop last looked.
    pub(crate) ran_empty: AtomicBool,
}

/// Adds to a cell that only the caller writes.
#[inline]
pub(crate) fn add(cell: &AtomicU64, more: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(more), Relaxed);
}

impl Offered {
    /// Counts a publisher that found no room.
    pub(crate) fn turn_away(&self) {
        add(&self.turned_away, 1);
    }

    #[inline]
    pub(crate) fn set_put(&self, events: u64, bytes: u64) {
        self.put_bytes.store(bytes, Relaxed);
        self.put.store(events, Relaxed);
    }

    /// Counts events that the publishing side dropped.
    #[inline]
    pub(crate) fn drop_many(&self, reason: DropReason, count: u64) {
        add(&self.dropped[reason as usize], count);
    }
}

impl Queue {
    pub(crate) fn new(
        name: Arc<str>,
        id: u64,
        shedding: Option<Shedding>,
        group: Arc<Shared>,
        limit_events: usize,
        limit_bytes: u64,
    ) -> Self {
        let evicts = shedding
            .as_ref()
            .is_some_and(|shedding| shedding.overflow == Overflow::DropOldest);
        Self {
            name,
            id,
            bell: Bell::new(Arc::clone(&group.sleepers)),
            group,
            room: WaitList::default(),
            limit_events: AtomicUsize::new(limit_events),
            limit_bytes: AtomicU64::new(limit_bytes),
            ring_events: AtomicUsize::new(limit_events),
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            place: Place::default(),
            offered: CachePadded::default(),
            taken: Arc::default(),
            settled: CachePadded::new(Settled {
                ran_empty: AtomicBool::new(true),
                ..Settled::default()
            }),
            evictable: evicts.then(|| Mutex::new(VecDeque::with_capacity(limit_events))),
            shedding,
        }
    }

    pub(crate) fn is_reliable(&self) -> bool {
        self.shedding.is_none()
    }

    pub(crate) fn limits(&self) -> (u64, u64) {
        let events = self.limit_events.load(Relaxed) as u64;
        (events, self.limit_bytes.load(Relaxed))
    }

    /// Events and bytes that were ever put in.
    fn put(&self) -> (u64, u64) {
        let place = &self.place;
        loop {
            let version = place.version.load(Acquire);
            let mut events = self.offered.put.load(Relaxed);
            let mut bytes = self.offered.put_bytes.load(Relaxed);
            if is_log(place.epoch.load(Relaxed)) {
                let log = self.group.log();
                events =
                    events.wrapping_add(log.tail().wrapping_sub(place.joined_at.load(Relaxed)));
                bytes =
                    bytes.wrapping_add(log.bytes().wrapping_sub(place.joined_bytes.load(Relaxed)));
            }
            fence(Acquire);
            if version.is_multiple_of(2) && place.version.load(Relaxed) == version {
                return (events, bytes);
            }
            std::hint::spin_loop();
        }
    }

    /// Events and bytes that are queued now. What was taken is read first, so neither can be negative; a reading beside a
    /// running receiver may be a little old.
    pub(crate) fn queued(&self) -> (u64, u64) {
        let (taken, taken_bytes) = self.taken();
        let evicted = self.offered.dropped[DropReason::Oldest as usize].load(Relaxed);
        let evicted_bytes = self.offered.evicted_bytes.load(Relaxed);
        let (put, put_bytes) = self.put();
        (
            put.saturating_sub(taken + evicted),
            put_bytes.saturating_sub(taken_bytes + evicted_bytes),
        )
    }

    /// Whether a publisher that waits should look again.
    pub(crate) fn has_room(&self) -> bool {
        let ((events, bytes), (max, max_bytes)) = (self.queued(), self.limits());
        self.closed.load(Relaxed) || events == 0 || (events < max && bytes < max_bytes)
    }

    #[inline]
    pub(crate) fn taken(&self) -> (u64, u64) {
        // The receiver stores the bytes first: an empty queue is never seen with bytes left.
        let events = self.taken.events.load(Acquire);
        (events, self.taken.bytes.load(Relaxed))
    }
}

/// The receiver's side of the account.
impl Queue {
    /// Counts events as taken: their room is free.
    #[inline]
    pub(crate) fn count_taken(&self, events: u64, bytes: u64) {
        add(&self.taken.bytes, bytes);
        let taken = self.taken.events.load(Relaxed).wrapping_add(events);
        self.taken.events.store(taken, Release);
    }

    /// Tells a publisher that waits that there is room.
    #[inline]
    pub(crate) fn tell_publishers(&self) {
        // The publisher's side of this is the heavy fence after it has joined the list.
        crate::fence::light();
        if self.room.is_waited_for() {
            self.room.wake_first();
        }
    }

    /// Counts events that were taken as not yet delivered: a batch will say.
    pub(crate) fn count_batched(&self, events: &[Event]) {
        let bytes: u64 = events.iter().map(Event::size_bytes).sum();
        self.settled.batched.fetch_add(events.len() as u64, Relaxed);
        self.settled.batched_bytes.fetch_add(bytes, Relaxed);
    }

    /// Closes the account of events that a batch delivered.
    pub(crate) fn settle(&self, delivered: &[Event]) {
        let bytes: u64 = delivered.iter().map(Event::size_bytes).sum();
        let payload: usize = delivered.iter().map(|event| event.payload().len()).sum();
        self.settled.delivered_bytes.fetch_add(bytes, Relaxed);
        self.settled
            .payload_bytes
            .fetch_add(payload as u64, Relaxed);
        self.settled
            .delivered
            .fetch_add(delivered.len() as u64, Release);
    }

    /// Closes the account of events of a batch that were not delivered.
    pub(crate) fn give_up(&self, count: usize, reason: DropReason) {
        self.settled.dropped[reason as usize].fetch_add(count as u64, Relaxed);
        self.settled.given_up.fetch_add(count as u64, Release);
    }

    /// The receiver lets go of what is queued. Nothing is put in any more.
    pub(crate) fn abandon(&self) {
        let (events, bytes) = self.queued();
        if events > 0 {
            // Counted as a batch that was taken and given up, so that the account stays closed.
            self.settled.batched.fetch_add(events, Relaxed);
            self.settled.batched_bytes.fetch_add(bytes, Relaxed);
            self.give_up(events as usize, DropReason::Unsubscribed);
            self.count_taken(events, bytes);
        }
    }
}

/// Bounds, ends, and what others see.
impl Queue {
    pub(crate) fn set_limits(&self, events: Option<usize>, bytes: Option<u64>) {
        if let Some(events) = events {
            self.limit_events.store(events, Relaxed);
        }
        if let Some(bytes) = bytes {
            self.limit_bytes.store(bytes, Relaxed);
        }
    }

    /// Takes nothing more; what is queued can still be received.
    pub(crate) fn close(&self) {
        self.closed.store(true, Release);
        // Whether or not somebody sleeps: what counts is that it was written after `closed`.
        self.group.sleepers.mark();
        self.bell.ring();
        self.room.wake_all();
    }

    /// Delivers nothing more; the receiver lets go of what is queued.
    pub(crate) fn end(&self) {
        self.ended.store(true, Release);
        self.close();
    }

    fn delivered_bytes(&self) -> u64 {
        let by_batches = self.settled.delivered_bytes.load(Relaxed);
        let in_batches = self.settled.batched_bytes.load(Relaxed);
        let (_, taken) = self.taken();
        (taken + by_batches).saturating_sub(in_batches)
    }

    /// What was delivered since the last call, and whether something was queued all that time; never waits.
    pub(crate) fn take_progress(&self) -> Progress {
        let total = self.delivered_bytes();
        let empty = self.queued().0 == 0;
        let ran_empty = self.settled.ran_empty.swap(empty, Relaxed) || empty;
        Progress {
            delivered_bytes: total.saturating_sub(self.settled.looked_bytes.swap(total, Relaxed)),
            backlog: !ran_empty,
        }
    }

    pub(crate) fn pressure(&self) -> QueuePressure {
        let settled = &self.settled;
        // As in `stats`: what came last is read first.
        let batch_delivered = settled.delivered.load(Acquire);
        let batched = settled.batched.load(Relaxed);
        let (taken, _) = self.taken();
        let ((queued_events, queued_bytes), (limit_events, limit_bytes)) =
            (self.queued(), self.limits());
        let dropped = |index: usize| {
            settled.dropped[index].load(Relaxed) + self.offered.dropped[index].load(Relaxed)
        };
        QueuePressure {
            queued_events,
            queued_bytes,
            limit_events,
            limit_bytes,
            waiting_publishers: self.room.len(),
            turned_away: self.offered.turned_away.load(Relaxed),
            put_events: self.put().0,
            delivered_events: (taken + batch_delivered).saturating_sub(batched),
            dropped: std::array::from_fn(dropped),
        }
    }

    pub(crate) fn stats(&self) -> SubscriptionStats {
        // From the end of an event's way to its beginning: a reading beside running threads may show an event as still
        // under way, and never one that came from nowhere.
        let given_up = self.settled.given_up.load(Acquire);
        let batch_delivered = self.settled.delivered.load(Acquire);
        let mut dropped = [0; DropReason::ALL.len()];
        for (index, count) in dropped.iter_mut().enumerate() {
            *count = self.settled.dropped[index].load(Relaxed)
                + self.offered.dropped[index].load(Relaxed);
        }
        let batched = self.settled.batched.load(Relaxed);
        let (taken, _) = self.taken();
        let (mut queued, mut queued_bytes) = self.queued();
        if self.ended.load(Acquire) {
            // Its receiver has yet to let go of it, and will not deliver it.
            dropped[DropReason::Unsubscribed as usize] += queued;
            (queued, queued_bytes) = (0, 0);
        }
        let (put, _) = self.put();
        let refused: u64 = [DropReason::Full, DropReason::Early, DropReason::Shed]
            .iter()
            .map(|reason| self.offered.dropped[*reason as usize].load(Relaxed))
            .sum();
        let (limit_events, limit_bytes) = self.limits();
        SubscriptionStats {
            name: self.name.to_string(),
            id: self.id,
            reliable: self.is_reliable(),
            offered: put + refused,
            delivered: (taken + batch_delivered).saturating_sub(batched),
            delivered_bytes: self.delivered_bytes(),
            delivered_payload_bytes: self.settled.payload_bytes.load(Relaxed),
            queued_events: queued as usize,
            queued_bytes,
            in_flight: batched.saturating_sub(batch_delivered + given_up),
            limit_events: limit_events as usize,
            limit_bytes,
            dropped,
        }
    }

    /// Locks the events of a subscription that drops its oldest.
    pub(crate) fn lock_evictable(&self) -> Option<crate::sync::MutexGuard<'_, VecDeque<Event>>> {
        self.evictable.as_ref().map(lock)
    }
}
