//! Who is parked, and how to wake them: fixed memory, no lock, nothing to do while nobody is.

use crate::sync::atomic::{AtomicU64, Ordering::AcqRel};
use atomic_waker::AtomicWaker;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Places in a word.
const BITS: usize = u64::BITS as usize;

/// A waker and a bit for each seat.
pub(super) struct Parking {
    wakers: Box<[AtomicWaker]>,
    parked: Box<[AtomicU64]>,
}

impl Parking {
    pub(super) fn new(seats: usize) -> Self {
        Self {
            wakers: (0..seats).map(|_| AtomicWaker::new()).collect(),
            parked: (0..seats.div_ceil(BITS))
                .map(|_| AtomicU64::new(0))
                .collect(),
        }
    }

    /// Leaves a waker in `seat`; `Ring::park` afterwards makes publishers look at it.
    pub(super) fn enter(&self, seat: usize, waker: &Waker) {
        self.wakers[seat].register(waker);
        self.parked[seat / BITS].fetch_or(1 << (seat % BITS), AcqRel);
    }

    /// Forgets the waker of `seat`.
    pub(super) fn leave(&self, seat: usize) {
        self.parked[seat / BITS].fetch_and(!(1 << (seat % BITS)), AcqRel);
        drop(self.wakers[seat].take());
    }

    /// Wakes everyone who entered before `Ring::unpark`: one pass, whatever those do who wake up.
    pub(super) fn wake_all(&self) {
        for (word, parked) in self.parked.iter().enumerate() {
            let mut bits = parked.swap(0, AcqRel);
            while bits != 0 {
                let seat = word * BITS + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                // A waker is foreign code: one that panics keeps neither the publisher nor the other readers from theirs.
                let _ = catch_unwind(AssertUnwindSafe(|| self.wakers[seat].wake()));
            }
        }
    }
}
