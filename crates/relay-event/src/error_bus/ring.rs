//! The ring that all subscribers share: claiming tickets, and reading them from a cursor.
//!
//! A publisher claims a ticket with one `fetch_add` and writes slot `ticket % slots`. Each subscriber reads ticket after
//! ticket at its own pace. A ticket whose slot was taken by somebody a lap away is given up, and every subscriber counts
//! it as lost when it gets there: nobody waits, and no ticket is forgotten.
//!
//! ```text
//! head = tickets << 2 | closed << 1 | parked
//! ```
//!
//! The two flags live in the word of the claims, so that every claim is before or after "I park" and "it is closed"; that
//! is what makes parking cost publishers no barrier of its own.

use super::slot::{Read, Slot, Writing};
use crate::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

/// Set while some subscriber may be parked.
const PARKED: u64 = 1;

/// Set once the ring takes nothing more.
const CLOSED: u64 = 1 << 1;

/// Tickets begin here.
const TICKET: u64 = 1 << 2;

/// The fewest slots, and how many laps of a subscriber's lag the ring holds: a publisher meets a reader in a slot only
/// when that reader slept inside it while a whole lag of events came.
const MIN_SLOTS: u64 = if cfg!(relay_loom) { 1 } else { 64 };
const LAPS: u64 = if cfg!(relay_loom) { 1 } else { 2 };

/// How often a reader looks again for an event that is being written, before it counts it as lost: a while on the
/// processor (a write takes tens of nanoseconds), then a while giving it away, so that a preempted writer can go on.
const SPINS: u32 = if cfg!(relay_loom) { 0 } else { 32 };
const YIELDS: u32 = if cfg!(relay_loom) { 1 } else { 16 };

/// Fixed memory, any number of publishers and readers.
pub(super) struct Ring<T> {
    claims: Claims,
    fastest: Fastest,
    slots: Box<[Slot<T>]>,
    /// The most tickets that a subscriber may lag behind.
    lag: u64,
}

/// What every publisher writes: a pair of cache lines of its own.
#[repr(align(128))]
struct Claims {
    head: AtomicU64,
    /// Below this ticket the ring is known not to be full: spares publishers the line that readers write.
    limit: AtomicU64,
}

/// The furthest cursor of any subscriber, ever.
#[repr(align(128))]
struct Fastest(AtomicU64);

/// A ticket, and whether somebody has to be woken once it is written.
pub(super) struct Claim {
    ticket: u64,
    pub(super) wake: bool,
}

impl<T> Ring<T> {
    /// A ring whose readers may lag `lag` tickets behind; all memory it ever has.
    pub(super) fn new(lag: usize) -> Self {
        let lag = lag as u64;
        let slots = (lag * LAPS).max(MIN_SLOTS).next_power_of_two();
        Self {
            claims: Claims {
                head: AtomicU64::new(0),
                limit: AtomicU64::new(lag),
            },
            fastest: Fastest(AtomicU64::new(0)),
            slots: (0..slots).map(|_| Slot::new()).collect(),
            lag,
        }
    }

    fn slot(&self, ticket: u64) -> &Slot<T> {
        // A power of two, so the remainder is a mask, and a single look-up needs no check of its bounds.
        let mask = self.slots.len() - 1;
        &self.slots[ticket as usize & mask]
    }

    /// Claims the next ticket; `None` when every subscriber is `lag` behind, or the ring is closed.
    ///
    /// Publishers that ask at the same time may all pass the last free place: then the slowest readers lose an event
    /// each, as they do when another one keeps up.
    #[inline]
    pub(super) fn claim(&self) -> Option<Claim> {
        let head = self.claims.head.load(Relaxed);
        if head & CLOSED != 0 || self.is_full(head / TICKET) {
            return None;
        }
        // Acquire pairs with the Release of `park`: whoever sees PARKED sees the waker.
        let head = self.claims.head.fetch_add(TICKET, AcqRel);
        Some(Claim {
            ticket: head / TICKET,
            wake: head & PARKED != 0,
        })
    }

    fn is_full(&self, tickets: u64) -> bool {
        if tickets < self.claims.limit.load(Relaxed) {
            return false;
        }
        let limit = self.fastest.0.load(Relaxed) + self.lag;
        if tickets >= limit {
            return true;
        }
        // Racing stores can leave an older limit, which only costs another look.
        self.claims.limit.store(limit, Relaxed);
        false
    }

    /// The place for the event of a claim; `None` when it is taken, and the ticket has to be given up.
    #[inline]
    pub(super) fn enter(&self, claim: &Claim) -> Option<Writing<'_, T>> {
        self.slot(claim.ticket).enter(claim.ticket)
    }

    /// Shows the event of `ticket`, which was claimed, to `look`; `None` when it is lost.
    pub(super) fn read<R>(&self, ticket: u64, mut look: impl FnMut(&T) -> R) -> Option<R> {
        for attempt in 0..=SPINS + YIELDS {
            match self.slot(ticket).read(ticket, &mut look) {
                Read::Done(seen) => return Some(seen),
                Read::Overwritten => return None,
                Read::NotYet if attempt < SPINS => std::hint::spin_loop(),
                Read::NotYet => yield_now(),
            }
        }
        None
    }

    /// Says that somebody reads at `cursor` or beyond.
    pub(super) fn advance(&self, cursor: u64) {
        if self.fastest.0.load(Relaxed) < cursor {
            self.fastest.0.fetch_max(cursor, Relaxed);
        }
    }

    /// How many tickets were claimed.
    pub(super) fn tickets(&self) -> u64 {
        self.claims.head.load(Acquire) / TICKET
    }

    /// The oldest ticket that is still to be had when `tickets` were claimed.
    pub(super) fn oldest(&self, tickets: u64) -> u64 {
        tickets.saturating_sub(self.lag)
    }

    /// Asks for a wake-up after the next ticket. Returns the tickets claimed before, which wake nobody, and whether the
    /// ring is closed.
    pub(super) fn park(&self) -> (u64, bool) {
        let head = self.claims.head.fetch_or(PARKED, AcqRel);
        (head / TICKET, head & CLOSED != 0)
    }

    /// Takes back the request of those who parked; to be done before waking them.
    pub(super) fn unpark(&self) {
        self.claims.head.fetch_and(!PARKED, AcqRel);
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.claims.head.fetch_or(CLOSED, AcqRel);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.claims.head.load(Relaxed) & CLOSED != 0
    }
}

#[cfg(not(relay_loom))]
use std::thread::yield_now;

#[cfg(relay_loom)]
use loom::thread::yield_now;

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn write<T>(ring: &Ring<T>, claim: &Claim, value: T) -> bool {
        ring.enter(claim)
            .map(|writing| writing.put(value))
            .is_some()
    }

    #[test]
    fn a_writer_that_is_stuck_costs_its_own_event_and_one_a_lap() {
        let ring = Ring::new(32);
        let stuck = ring.claim().unwrap();
        let mut lost = Vec::new();
        for ticket in 1..=200_u64 {
            let claim = ring.claim().unwrap();
            assert!(write(&ring, &claim, ticket));
            ring.advance(ticket);
        }
        for ticket in ring.oldest(ring.tickets())..ring.tickets() {
            lost.extend(ring.read(ticket, |_| ()).is_none().then_some(ticket));
        }
        assert_eq!(lost, [0_u64; 0]);
        assert!(!write(&ring, &stuck, 0), "it comes three laps late");
        assert_eq!(ring.read(192, |value| *value), Some(192));
    }

    #[test]
    fn a_ticket_that_nobody_writes_is_lost_and_blocks_nobody() {
        let ring = Ring::new(4);
        let _stuck = ring.claim().unwrap();
        let claim = ring.claim().unwrap();
        assert!(write(&ring, &claim, 1));
        assert_eq!(ring.read(0, |value| *value), None);
        assert_eq!(ring.read(1, |value| *value), Some(1));
    }

    #[test]
    fn full_means_that_the_fastest_is_full() {
        let ring = Ring::new(2);
        let publish = |value| {
            ring.claim()
                .is_some_and(|claim| write(&ring, &claim, value))
        };
        assert_eq!([0, 1, 2].map(publish), [true, true, false]);
        ring.advance(1);
        assert_eq!([3, 4].map(publish), [true, false]);
        assert_eq!((ring.tickets(), ring.oldest(ring.tickets())), (3, 1));
    }
}
