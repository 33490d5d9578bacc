//! One subscription as publishers see it: how much room it has, and what to do with an event that comes.

use crate::counted::Claim;
use crate::event::{Event, Inner};
use crate::priority::Priority;
use crate::queue::{LOG_SLOTS, Queue, add};
use crate::ring::{Producer, Spare};
use crate::subscription::Overflow;
use crate::sync::atomic::{Ordering::Acquire, Ordering::Relaxed};
use crate::tally::DropReason;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What happens to an event that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is put in.
    Take,
    /// It is put in after the oldest have given way.
    Evict,
    /// It is dropped.
    Drop(DropReason),
    /// A reliable subscription has no room: the publisher has to wait.
    Full,
}

/// So much can be put in without looking at the receiver's side.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Credit {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl Credit {
    #[inline]
    pub(crate) fn covers(&self, size_bytes: u64) -> bool {
        self.events > 0 && size_bytes <= self.bytes
    }

    #[inline]
    pub(crate) fn spend(&mut self, size_bytes: u64) {
        self.events -= 1;
        self.bytes -= size_bytes;
    }

    pub(crate) fn limit(&mut self, other: Self) {
        self.events = self.events.min(other.events);
        self.bytes = self.bytes.min(other.bytes);
    }
}

pub(crate) struct Seat {
    pub(crate) queue: Arc<Queue>,
    ring: Producer<Inner>,
    pub(crate) verdict: Verdict,
    credit: Credit,
    /// Put into the ring since the receiver was last moved there, for as long as it has not noticed.
    moved: u64,
}

impl Seat {
    pub(crate) fn new(queue: Arc<Queue>, ring: Producer<Inner>) -> Self {
        Self {
            queue,
            ring,
            verdict: Verdict::Take,
            credit: Credit::default(),
            moved: 0,
        }
    }

    /// What it would do with an event of this size. Nothing happens yet: another subscription may have no room.
    #[inline]
    pub(crate) fn judge(&mut self, size_bytes: u64, priority: Priority, critical: bool) -> Verdict {
        self.verdict = match &self.queue.shedding {
            None => {
                if self.has_room(size_bytes) {
                    Verdict::Take
                } else {
                    Verdict::Full
                }
            }
            Some(_) => self.judge_sheddable(size_bytes, priority, critical),
        };
        self.verdict
    }

    fn judge_sheddable(&mut self, size_bytes: u64, priority: Priority, critical: bool) -> Verdict {
        if critical {
            return Verdict::Drop(DropReason::Shed);
        }
        if self.drops_early(priority) {
            return Verdict::Drop(DropReason::Early);
        }
        if self.has_room(size_bytes) {
            return Verdict::Take;
        }
        match self.queue.evictable {
            Some(_) => Verdict::Evict,
            None => Verdict::Drop(DropReason::Full),
        }
    }

    fn drops_early(&self, priority: Priority) -> bool {
        let shedding = self.queue.shedding.as_ref();
        let Some(policy) = shedding.and_then(|shedding| shedding.early_drop.as_ref()) else {
            return false;
        };
        let ((queued, bytes), (max, max_bytes)) = (self.queue.queued(), self.queue.limits());
        let occupancy =
            (queued as f64 / max.max(1) as f64).max(bytes as f64 / max_bytes.max(1) as f64);
        // It is somebody else's code.
        catch_unwind(AssertUnwindSafe(|| policy.drops(occupancy, priority))).unwrap_or(false)
    }

    #[inline]
    fn has_room(&mut self, size_bytes: u64) -> bool {
        if !self.credit.covers(size_bytes) {
            self.credit = self.room(size_bytes);
        }
        self.credit.covers(size_bytes)
    }

    /// The room there is now, for an event of this size. An empty queue takes any one event: refusing it would block for
    /// ever what the ledger has already let in.
    pub(crate) fn room(&mut self, size_bytes: u64) -> Credit {
        let ((queued, bytes), (max, max_bytes)) = (self.queue.queued(), self.queue.limits());
        if queued == 0 && size_bytes > max_bytes {
            return Credit {
                events: 1,
                bytes: size_bytes,
            };
        }
        let mut room = Credit {
            events: max.saturating_sub(queued),
            bytes: max_bytes.saturating_sub(bytes),
        };
        if self.moved > 0 {
            if self.has_noticed() {
                self.moved = 0;
            } else {
                // What it had already read of those that were moved still lies in its ring.
                room.events = room
                    .events
                    .min(self.ring.capacity().saturating_sub(self.moved));
            }
        }
        room
    }

    /// Puts the event in: into the ring, or the queue whose oldest give way. Returns what was evicted.
    #[inline]
    pub(crate) fn put(&mut self, claim: Claim<Inner>, size_bytes: u64) -> Evicted {
        let evicted = if self.queue.evictable.is_some() {
            self.put_evictable(claim, size_bytes)
        } else {
            self.ring.push(claim);
            self.credit.spend(size_bytes);
            if self.moved > 0 {
                self.moved += 1;
            }
            Evicted::default()
        };
        add(&self.queue.offered.put_bytes, size_bytes);
        add(&self.queue.offered.put, 1);
        evicted
    }

    #[allow(unsafe_code)]
    #[cold]
    fn put_evictable(&mut self, claim: Claim<Inner>, size_bytes: u64) -> Evicted {
        let mut evicted = Evicted::default();
        let offered = &self.queue.offered;
        let Some(mut events) = self.queue.lock_evictable() else {
            return evicted;
        };
        // The receiver takes out under the same lock, so its count is exact here.
        let ((mut queued, mut bytes), (max, max_bytes)) =
            (self.queue.queued(), self.queue.limits());
        while queued > 0 && (queued >= max || bytes.saturating_add(size_bytes) > max_bytes) {
            let Some(oldest) = events.pop_front() else {
                break;
            };
            queued -= 1;
            bytes = bytes.saturating_sub(oldest.size_bytes());
            add(&offered.evicted_bytes, oldest.size_bytes());
            offered.drop_many(DropReason::Oldest, 1);
            evicted.add(oldest);
        }
        // SAFETY: one of the claims that were taken for this event, and nobody else redeems it.
        events.push_back(unsafe { Event::redeem(claim) });
        // Its room is asked for each time: the publishing side is not the only one that counts here.
        self.credit = Credit::default();
        evicted
    }

    /// Whether the receiver knows where its events lie now.
    pub(crate) fn has_noticed(&self) -> bool {
        let place = &self.queue.place;
        place.acknowledged.load(Acquire) == place.epoch.load(Relaxed)
    }

    /// Whether it has not read anything of a log that is full.
    pub(crate) fn is_behind(&self) -> bool {
        self.queue.queued().0 >= LOG_SLOTS as u64
    }

    /// Whether it can read the shared log: nothing special applies to it, and it has nothing left elsewhere.
    pub(crate) fn can_join(&self, critical: bool) -> bool {
        self.is_plain()
            && (!critical || self.queue.is_reliable())
            && self.has_noticed()
            && self.queue.queued().0 == 0
    }

    fn is_plain(&self) -> bool {
        self.queue.shedding.as_ref().is_none_or(|shedding| {
            shedding.early_drop.is_none() && shedding.overflow == Overflow::DropNewest
        })
    }

    /// Moves it into the log of its group.
    pub(crate) fn join(&mut self) {
        let (queue, log) = (&self.queue, self.queue.group.log());
        let at = log.join(queue.id, &queue.taken);
        queue.place.change(|| {
            queue.place.joined_at.store(at, Relaxed);
            queue.place.joined_bytes.store(log.bytes(), Relaxed);
        });
        self.credit = Credit::default();
        self.moved = 0;
    }

    /// Moves it out of the log: what it has not read goes into its ring, as claims of its own.
    pub(crate) fn leave(&mut self) {
        let queue = Arc::clone(&self.queue);
        let (log, place) = (queue.group.log(), &queue.place);
        let put = log.tail() - place.joined_at.load(Relaxed);
        let put_bytes = log.bytes() - place.joined_bytes.load(Relaxed);
        let (ring, mut moved) = (&mut self.ring, 0);
        log.leave(
            queue.id,
            |claim, _| {
                ring.push(claim);
                moved += 1;
            },
            |first| {
                place.change(|| {
                    place.left_at.store(first, Relaxed);
                    add(&queue.offered.put, put);
                    add(&queue.offered.put_bytes, put_bytes);
                });
            },
        );
        self.moved = moved;
        self.credit = Credit::default();
    }

    /// Bounds have moved. `spare` is a larger ring, where one is needed.
    pub(crate) fn limits_moved(&mut self, spare: Option<Spare<Inner>>) {
        self.credit = Credit::default();
        if let Some(spare) = spare {
            self.ring.move_to(spare);
        }
    }
}

/// Events that gave way, to be dropped where no lock is held.
#[derive(Default)]
pub(crate) struct Evicted {
    first: Option<Event>,
    more: Vec<Event>,
}

impl Evicted {
    pub(crate) fn add(&mut self, event: Event) {
        match self.first {
            None => self.first = Some(event),
            Some(_) => self.more.push(event),
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.more.extend(other.more);
        if let Some(event) = other.first {
            self.add(event);
        }
    }
}
