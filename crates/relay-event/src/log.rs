//! The shared queue of a group of subscriptions that want the same events: each event is stored once, and every member
//! reads it in place.
//!
//! One writer appends (under the bus's lock). A member's position follows from how many events it has taken, so
//! reading costs no shared write but that count. The claim of a slot is dropped when the slowest member has passed it:
//! the member that was slowest at the last look (the *blocker*) looks for the next one when it moves on; the others pay
//! one comparison. A slot is written again only after its claim was dropped.
//!
//! The idea of one ring with a cursor for each reader is the LMAX Disruptor's (Thompson et al., 2011); that no reader
//! can hold up the others is not: one that lags is taken out, with claims of its own on what it has not read.

#![allow(unsafe_code)]

use crate::counted::{Claim, Counted};
use crate::sync::atomic::{
    AtomicPtr, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
    Ordering::SeqCst, fence,
};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::wait::contain;
use crossbeam_utils::CachePadded;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

/// Nobody holds the log up.
const NOBODY: u64 = u64::MAX;

/// How many claims are collected under the lock before they are dropped outside of it.
const DROP_BATCH: usize = 32;

/// What a reader has taken, cumulative: written by it alone, read by those who need to know its position.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) events: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

pub(crate) struct Log<T> {
    slots: Box<[Slot]>,
    tail: CachePadded<AtomicU64>,
    /// Accounted bytes that were ever appended.
    bytes: AtomicU64,
    /// The position below which no claim is left.
    reclaimed: CachePadded<AtomicU64>,
    blocker: AtomicU64,
    roster: Mutex<Roster>,
    claims: PhantomData<fn(T) -> T>,
}

struct Slot {
    claim: AtomicPtr<()>,
    /// Accounted bytes that were ever appended, with this one: a reader knows the size of a run from its ends.
    end_bytes: AtomicU64,
}

/// Those whose positions hold claims.
struct Roster {
    members: Vec<Member>,
    reclaimed: u64,
}

struct Member {
    id: u64,
    taken: Arc<CachePadded<Taken>>,
    /// Its position less what it had taken when it joined.
    offset: u64,
}

impl Member {
    fn position(&self) -> u64 {
        self.taken.events.load(Acquire).wrapping_add(self.offset)
    }
}

impl<T> Log<T> {
    pub(crate) fn new(slots: usize) -> Self {
        let slot = || Slot {
            claim: AtomicPtr::new(ptr::null_mut()),
            end_bytes: AtomicU64::new(0),
        };
        Self {
            slots: (0..slots.next_power_of_two()).map(|_| slot()).collect(),
            tail: CachePadded::new(AtomicU64::new(0)),
            bytes: AtomicU64::new(0),
            reclaimed: CachePadded::new(AtomicU64::new(0)),
            blocker: AtomicU64::new(NOBODY),
            roster: Mutex::new(Roster {
                members: Vec::new(),
                reclaimed: 0,
            }),
            claims: PhantomData,
        }
    }

    fn slot(&self, position: u64) -> &Slot {
        &self.slots[position as usize & (self.slots.len() - 1)]
    }

    /// Where the next event goes.
    #[inline]
    pub(crate) fn tail(&self) -> u64 {
        self.tail.load(Acquire)
    }

    /// Accounted bytes that were ever appended.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// How many slots are free; grows by itself as members read.
    pub(crate) fn free_slots(&self) -> u64 {
        let used = self.tail.load(Relaxed) - self.reclaimed.load(Acquire);
        self.slots.len() as u64 - used
    }

    /// The member that holds the oldest claim, if the log knows one.
    pub(crate) fn blocker(&self) -> Option<u64> {
        Some(self.blocker.load(Relaxed)).filter(|id| *id != NOBODY)
    }
}

/// The writer's side, serialised by the caller.
impl<T> Log<T> {
    /// Appends; there has to be a free slot.
    #[inline]
    pub(crate) fn append(&self, claim: Claim<T>, size_bytes: u64) {
        let tail = self.tail.load(Relaxed);
        let slot = self.slot(tail);
        // Release, both: a member that was taken out and reads a slot that was written again must see that it was.
        let end_bytes = self.bytes.load(Relaxed).wrapping_add(size_bytes);
        slot.end_bytes.store(end_bytes, Release);
        slot.claim.store(claim.into_raw(), Release);
        self.bytes.store(end_bytes, Relaxed);
        self.tail.store(tail + 1, Release);
    }

    /// Adds a member that reads from here on; `taken` must not move before it knows. Returns its first position.
    pub(crate) fn join(&self, id: u64, taken: &Arc<CachePadded<Taken>>) -> u64 {
        let mut roster = lock(&self.roster);
        let position = self.tail.load(Relaxed);
        roster.members.push(Member {
            id,
            taken: Arc::clone(taken),
            offset: position.wrapping_sub(taken.events.load(Acquire)),
        });
        if roster.members.len() == 1 {
            self.blocker.store(id, Relaxed);
        }
        position
    }

    /// Takes a member out and hands a claim on each event that it has not read to `keep`, oldest first.
    /// Returns the position of the first. `told` runs before any slot can be written again: it makes the reader look
    /// there no more.
    pub(crate) fn leave(
        &self,
        id: u64,
        mut keep: impl FnMut(Claim<T>),
        told: impl FnOnce(u64),
    ) -> Option<u64> {
        let mut roster = lock(&self.roster);
        let index = roster.members.iter().position(|member| member.id == id)?;
        // While the roster is locked nothing is reclaimed, so every claim from its position on is alive.
        let first = roster.members[index].position();
        for position in first..self.tail.load(Relaxed) {
            let slot = self.slot(position);
            // SAFETY: appended, and not reclaimed: see above (model: `one_that_leaves_keeps_what_it_has_not_read`).
            let claim: Claim<T> = unsafe { Claim::from_raw(slot.claim.load(Relaxed)) };
            // SAFETY: the slot's claim is alive until the roster is unlocked.
            unsafe { claim.borrow() }.add_claims(1);
            keep(claim);
        }
        told(first);
        roster.members.swap_remove(index);
        Some(first)
    }

    /// Makes room for so many members without allocating later.
    pub(crate) fn reserve(&self, members: usize) {
        let mut roster = lock(&self.roster);
        let more = members.saturating_sub(roster.members.len());
        roster.members.reserve(more);
    }
}

/// The readers' side.
impl<T> Log<T> {
    /// The claim at `position`, which is below the tail. It is only what the reader thinks it is if, looking *afterwards*,
    /// it finds that it is still a member; it is then alive until the reader counts it as taken.
    #[inline]
    pub(crate) fn read(&self, position: u64) -> Claim<T> {
        let raw = self.slot(position).claim.load(Acquire);
        // SAFETY: a slot below the tail was written, and always holds what `append` put there; whether it is alive is the
        // caller's to check before it uses it.
        unsafe { Claim::from_raw(raw) }
    }

    /// Accounted bytes that were ever appended up to and with `position`, under the same condition.
    #[inline]
    pub(crate) fn end_bytes(&self, position: u64) -> u64 {
        self.slot(position).end_bytes.load(Acquire)
    }

    /// Called by reader `id` after it has counted events as taken: if it was the slowest, drops what all have passed.
    /// `at_end` when it will not come back by itself: then the look cannot be missed.
    #[inline]
    pub(crate) fn passed(&self, id: u64, at_end: bool) {
        if at_end {
            fence(SeqCst);
        }
        if self.blocker.load(Relaxed) == id {
            self.reclaim();
        }
    }

    /// Drops the claims that all members have passed. Runs destructors: call it without any lock.
    #[cold]
    pub(crate) fn reclaim(&self) {
        loop {
            let mut batch = [const { None }; DROP_BATCH];
            let done = self.collect(&mut batch);
            for dead in batch.into_iter().flatten() {
                // Not the reader's event alone: a panic of its payload must not become the reader's.
                contain(|| drop(dead));
            }
            if done {
                return;
            }
        }
    }

    /// Moves dead claims into `batch`; whether that were all.
    fn collect(&self, batch: &mut [Option<Counted<T>>]) -> bool {
        let mut roster = lock(&self.roster);
        let mut free = batch.iter_mut();
        loop {
            let (slowest, blocker) = self.slowest(&roster);
            while roster.reclaimed < slowest {
                let Some(place) = free.next() else {
                    return false;
                };
                *place = Some(self.take_out(&mut roster));
            }
            self.blocker.store(
                blocker.map_or(NOBODY, |index| roster.members[index].id),
                Relaxed,
            );
            // The blocker moves on and looks whether it is the one; here the one is named and looked at. With a fence
            // between on both sides, one of the two sees the other.
            fence(SeqCst);
            let moved = blocker.is_some_and(|index| roster.members[index].position() > slowest);
            if !moved {
                return true;
            }
        }
    }

    fn slowest(&self, roster: &MutexGuard<'_, Roster>) -> (u64, Option<usize>) {
        let positions = roster.members.iter().map(Member::position).enumerate();
        // Whoever is still where the last look left off is as slow as can be: no need to ask the others.
        let mut slowest = (self.tail.load(Acquire), None);
        for (index, position) in positions {
            if slowest.1.is_none() || position < slowest.0 {
                slowest = (position, Some(index));
                if position == roster.reclaimed {
                    break;
                }
            }
        }
        slowest
    }

    fn take_out(&self, roster: &mut MutexGuard<'_, Roster>) -> Counted<T> {
        let raw = self.slot(roster.reclaimed).claim.load(Relaxed);
        roster.reclaimed += 1;
        // Release: the slot may be written again once this is seen, and by then it has been read.
        self.reclaimed.store(roster.reclaimed, Release);
        // SAFETY: appended, passed by every member (each counted it as taken with release), and the count under the lock
        // goes by each position once (model: `claims_are_dropped_once_and_not_before_the_slowest`).
        unsafe { Claim::from_raw(raw).redeem() }
    }
}

impl<T> Drop for Log<T> {
    fn drop(&mut self) {
        lock(&self.roster).members.clear();
        self.reclaim();
    }
}

#[cfg(test)]
#[path = "log/tests.rs"]
mod tests;
