//! One subscription as publishers see it: how much room it has, and what to do with an event that comes.

use crate::counted::Claim;
use crate::event::{Event, Inner};
use crate::log::Taken;
use crate::place::is_log;
use crate::priority::Priority;
use crate::queue::{Queue, add};
use crate::ring::{Producer, Spare};
use crate::shared::LOG_SLOTS;
use crate::subscription::Overflow;
use crate::sync::atomic::{Ordering::Acquire, Ordering::Relaxed};
use crate::tally::{DropReason, occupancy};
use crate::wait::contain;
use crossbeam_utils::CachePadded;
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
    taken: Arc<CachePadded<Taken>>,
    ring: Producer<Inner>,
    pub(crate) verdict: Verdict,
    credit: Credit,
    /// What the receiver had taken when the queue was last found full: as long as it has not taken more, it is.
    full_at: Option<u64>,
    /// Then an event at least as large as this finds no room: any, unless it is full in bytes only.
    full_from: u64,
    /// Whether a policy may drop events before it is full.
    early: bool,
    /// Whether it drops the newest when it is full, and nothing else is special about it.
    lossy: bool,
    /// Events and bytes that were put in, without those that lie in the log.
    put: u64,
    put_bytes: u64,
    /// Put into the ring since the receiver was last moved there, for as long as it has not noticed.
    moved: u64,
}

impl Seat {
    pub(crate) fn new(queue: Arc<Queue>, ring: Producer<Inner>) -> Self {
        let early = queue
            .shedding
            .as_ref()
            .is_some_and(|shedding| shedding.early_drop.is_some());
        let lossy = !queue.is_reliable() && queue.evictable.is_none() && !early;
        Self {
            taken: Arc::clone(&queue.taken),
            queue,
            ring,
            verdict: Verdict::Take,
            credit: Credit::default(),
            full_at: None,
            full_from: 0,
            early,
            lossy,
            put: 0,
            put_bytes: 0,
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
        if self.early && self.drops_early(priority) {
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

    #[cold]
    fn drops_early(&self, priority: Priority) -> bool {
        let shedding = self.queue.shedding.as_ref();
        let Some(policy) = shedding.and_then(|shedding| shedding.early_drop.as_ref()) else {
            return false;
        };
        let occupancy = occupancy(self.queue.queued(), self.queue.limits());
        // It is somebody else's code.
        catch_unwind(AssertUnwindSafe(|| policy.drops(occupancy, priority))).unwrap_or(false)
    }

    #[inline]
    fn has_room(&mut self, size_bytes: u64) -> bool {
        if self.credit.covers(size_bytes) {
            return true;
        }
        if self.is_still_full(size_bytes) {
            return false;
        }
        self.look(size_bytes)
    }

    #[inline]
    fn is_still_full(&self, size_bytes: u64) -> bool {
        size_bytes >= self.full_from && self.full_at == Some(self.taken.events.load(Acquire))
    }

    /// Whether all it would do with an event of this size now is to drop it as the newest.
    #[inline]
    pub(crate) fn is_stuck(&self, size_bytes: u64) -> bool {
        self.lossy && self.is_still_full(size_bytes)
    }

    #[cold]
    fn look(&mut self, size_bytes: u64) -> bool {
        let taken = self.taken.events.load(Acquire);
        self.credit = self.room(size_bytes);
        // Full in bytes only, a smaller event may still fit; full of what was moved, it may notice that.
        let is_full = self.put.saturating_sub(taken) >= self.queue.limits().0;
        let is_short = self.credit.bytes < size_bytes;
        self.full_from = if is_full { 0 } else { size_bytes };
        self.full_at = ((is_full || is_short) && self.queue.evictable.is_none()).then_some(taken);
        self.credit.covers(size_bytes)
    }

    /// Events and bytes that are queued.
    fn queued(&self) -> (u64, u64) {
        if self.queue.evictable.is_some() || is_log(self.queue.place.epoch.load(Relaxed)) {
            return self.queue.queued();
        }
        let (taken, taken_bytes) = self.queue.taken();
        (self.put - taken, self.put_bytes - taken_bytes)
    }

    /// The room there is now, for an event of this size. An empty queue takes any one event: refusing it would block for
    /// ever what the ledger has already let in.
    pub(crate) fn room(&mut self, size_bytes: u64) -> Credit {
        let ((queued, bytes), (max, max_bytes)) = (self.queued(), self.queue.limits());
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

    /// Whether it takes an event of this size into its ring, and nothing has to be asked for that.
    #[inline]
    pub(crate) fn can_take_simply(&mut self, size_bytes: u64, critical: bool) -> bool {
        let special = self.early || self.moved > 0 || self.queue.evictable.is_some();
        !special && (!critical || self.queue.is_reliable()) && self.has_room(size_bytes)
    }

    /// Puts in an event that it takes simply.
    #[inline]
    pub(crate) fn put_simply(&mut self, event: Event, size_bytes: u64) {
        self.put_into_ring(event.into_claim(), size_bytes);
    }

    /// Puts the event in: into the ring, or the queue whose oldest give way.
    #[inline]
    pub(crate) fn put(&mut self, claim: Claim<Inner>, size_bytes: u64, evicted: &mut Evicted) {
        if self.queue.evictable.is_some() {
            self.put_evictable(claim, size_bytes, evicted);
        } else {
            self.put_into_ring(claim, size_bytes);
            if self.moved > 0 {
                self.moved += 1;
            }
        }
    }

    #[inline]
    fn put_into_ring(&mut self, claim: Claim<Inner>, size_bytes: u64) {
        self.ring.push(claim);
        self.credit.spend(size_bytes);
        self.count(size_bytes);
    }

    #[inline]
    fn count(&mut self, size_bytes: u64) {
        self.put_bytes += size_bytes;
        self.put += 1;
        self.queue.offered.set_put(self.put, self.put_bytes);
    }

    #[allow(unsafe_code)]
    #[cold]
    fn put_evictable(&mut self, claim: Claim<Inner>, size_bytes: u64, evicted: &mut Evicted) {
        let offered = &self.queue.offered;
        let Some(mut events) = self.queue.lock_evictable() else {
            return;
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
        drop(events);
        self.forget();
        self.count(size_bytes);
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
            && self.queued().0 == 0
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
        self.moved = 0;
        self.forget();
    }

    /// Forgets what it knew of its room.
    fn forget(&mut self) {
        self.credit = Credit::default();
        self.full_at = None;
    }

    /// Moves it out of the log: what it has not read goes into its ring, as claims of its own.
    pub(crate) fn leave(&mut self) {
        let queue = Arc::clone(&self.queue);
        let (log, place) = (queue.group.log(), &queue.place);
        let put = self.put + log.tail() - place.joined_at.load(Relaxed);
        let put_bytes = self.put_bytes + log.bytes() - place.joined_bytes.load(Relaxed);
        let (ring, mut moved) = (&mut self.ring, 0);
        log.leave(
            queue.id,
            |claim| {
                ring.push(claim);
                moved += 1;
            },
            |first| {
                place.change(|| {
                    place.left_at.store(first, Relaxed);
                    queue.offered.set_put(put, put_bytes);
                });
            },
        );
        (self.put, self.put_bytes, self.moved) = (put, put_bytes, moved);
        self.forget();
    }

    /// Bounds have moved. `spare` is a larger ring, where one is needed.
    pub(crate) fn limits_moved(&mut self, spare: Option<Spare<Inner>>) {
        self.forget();
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

    /// Drops them; a panic of one stays its own.
    pub(crate) fn drop_all(self) {
        for event in self.first.into_iter().chain(self.more) {
            contain(|| drop(event));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}
