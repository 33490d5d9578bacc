//! The ring with its readers: publish, receive, park, close. What the models check.

use super::parking::Parking;
use super::ring::Ring;
use super::slot::Writing;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::task::{Context, Poll};

/// A lossy broadcast: every subscriber sees every value, or knows how many it did not see.
pub(super) struct Broadcast<T> {
    ring: Ring<T>,
    parking: Parking,
}

/// Where one subscriber is. Written by that subscriber alone, read by whoever asks for its account.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) index: usize,
    start: u64,
    cursor: AtomicU64,
    delivered: AtomicU64,
    skipped: AtomicU64,
}

/// A ticket that was claimed, and has to be used.
#[must_use]
pub(super) struct Turn<'a, T> {
    broadcast: &'a Broadcast<T>,
    /// `None` when the ticket is given up: each reader that gets there counts it as lost.
    place: Option<Writing<'a, T>>,
    wake: bool,
}

/// What became of the tickets that were claimed since a seat was taken; they add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) delivered: u64,
    pub(super) skipped: u64,
    pub(super) lost: u64,
    pub(super) waiting: u64,
}

impl<T> Broadcast<T> {
    /// For `seats` readers, each of which may lag `lag` values.
    pub(super) fn new(lag: usize, seats: usize) -> Self {
        Self {
            ring: Ring::new(lag),
            parking: Parking::new(seats),
        }
    }

    /// A turn to hand a value to every reader; `None` when all of them are full, or it is closed. In two steps, so that a
    /// large value is moved once, straight to its place.
    #[inline]
    pub(super) fn turn(&self) -> Option<Turn<'_, T>> {
        let claim = self.ring.claim()?;
        Some(Turn {
            broadcast: self,
            place: self.ring.enter(&claim),
            wake: claim.wake,
        })
    }

    #[cold]
    fn wake_all(&self) {
        self.ring.unpark();
        self.parking.wake_all();
    }

    /// Takes nothing more, and wakes everyone to see the end.
    pub(super) fn close(&self) {
        self.ring.close();
        self.wake_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }

    /// A seat for a reader of what is published from now on.
    pub(super) fn sit(&self, index: usize) -> Seat {
        let start = self.ring.tickets();
        self.ring.advance(start);
        Seat {
            index,
            start,
            cursor: AtomicU64::new(start),
            delivered: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }
    }

    /// Gives a seat back.
    pub(super) fn rise(&self, seat: &Seat) {
        self.parking.leave(seat.index);
    }

    /// The account of a seat: exact when nobody publishes or receives, and otherwise off by what is under way.
    pub(super) fn account(&self, seat: &Seat) -> Account {
        let tickets = self.ring.tickets();
        // Acquire: the counts are not older than the cursor, so that a loss is never counted too early.
        let cursor = seat.cursor.load(Acquire);
        let next = cursor.max(self.ring.oldest(tickets));
        let (delivered, skipped) = (seat.delivered.load(Relaxed), seat.skipped.load(Relaxed));
        Account {
            delivered,
            skipped,
            lost: (next - seat.start).saturating_sub(delivered + skipped),
            waiting: tickets.saturating_sub(next),
        }
    }
}

impl<T> Turn<'_, T> {
    /// Hands it over, and wakes whoever is parked.
    #[inline]
    pub(super) fn put(self, value: T) {
        if let Some(place) = self.place {
            place.put(value);
        }
        if self.wake {
            self.broadcast.wake_all();
        }
    }
}

impl<T: Clone> Broadcast<T> {
    /// The next value that `wants` agrees to, of those that were claimed before this call.
    pub(super) fn take(&self, seat: &Seat, wants: impl Fn(&T) -> bool) -> Option<T> {
        let end = self.ring.tickets();
        let mut cursor = seat.cursor.load(Relaxed);
        let mut taken = None;
        while taken.is_none() && cursor < end {
            // Publishers go on meanwhile: what is too old by now is passed over.
            cursor = cursor.max(self.ring.oldest(self.ring.tickets()));
            let seen = self.ring.read(cursor, |value| {
                if wants(value) {
                    taken = Some(value.clone());
                }
            });
            if taken.is_some() {
                count(&seat.delivered);
            } else if seen.is_some() {
                count(&seat.skipped);
            }
            cursor += 1;
            seat.cursor.store(cursor, Release);
        }
        self.ring.advance(cursor);
        taken
    }

    /// As [`take`](Self::take), or parks; `None` once it is closed and everything was seen.
    pub(super) fn poll(
        &self,
        seat: &Seat,
        wants: impl Fn(&T) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<T>> {
        if let Some(value) = self.take(seat, &wants) {
            return Poll::Ready(Some(value));
        }
        self.parking.enter(seat.index, cx.waker());
        let (tickets, closed) = self.ring.park();
        if seat.cursor.load(Relaxed) == tickets {
            return if closed {
                Poll::Ready(None)
            } else {
                Poll::Pending
            };
        }
        // What came in between wakes nobody. When none of it is wanted, others may run before the next look.
        let value = self.take(seat, &wants);
        if value.is_none() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(value)
    }
}

fn count(cell: &AtomicU64) {
    cell.store(cell.load(Relaxed) + 1, Relaxed);
}
