//! The size of a whole budget, and a wire below it.
//!
//! Who reserves compares with one number, the *bound*: the size, or a wire that was laid below it. A reservation that
//! does not fit looks why, off the hot path: if it was the wire, the bound becomes the size again, and the one who made
//! it so tells. One thread lays and resizes; any thread trips.
//!
//! A wire is an odd number and a size, as a bound, an even one: whoever trips replaces the very wire it saw, and never
//! puts an old size in the place of a new one. The last byte of an odd size is found off the hot path.

use super::OnTrip;
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::sync::OnceLock;

/// Wires that follow each other differ by this, modulo 32, so that whoever is late to trip one does not take the next
/// for it.
const TURN: u64 = 2;

pub(super) struct Whole {
    /// What those who reserve compare with: never more than the size, as far as anybody has learnt of it.
    bound: AtomicU64,
    size_bytes: AtomicU64,
    /// Wires laid so far; only of interest to the one who lays them.
    laid: AtomicU64,
    hook: OnceLock<OnTrip>,
}

impl Whole {
    pub(super) fn new(size_bytes: u64) -> Self {
        Self {
            bound: AtomicU64::new(as_bound(size_bytes)),
            size_bytes: AtomicU64::new(size_bytes),
            laid: AtomicU64::new(0),
            hook: OnceLock::new(),
        }
    }

    #[inline]
    pub(super) fn bound(&self) -> u64 {
        self.bound.load(Relaxed)
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Relaxed)
    }

    pub(super) fn set_hook(&self, hook: OnTrip) -> bool {
        self.hook.set(hook).is_ok()
    }

    pub(super) fn resize(&self, size_bytes: u64) {
        self.size_bytes.store(size_bytes, Relaxed);
        // Release: who sees this bound, or a wire laid after it, sees the size. Swapped, not stored, because the model
        // knows of no order between a store and a swap that was made of the value before.
        self.bound.swap(as_bound(size_bytes), AcqRel);
    }

    pub(super) fn lay_wire(&self, at_bytes: u64) {
        let turn = self.laid.load(Relaxed);
        self.laid.store(turn.wrapping_add(1), Relaxed);
        let wire = at_bytes / 32 * 32 + turn * TURN % 32 + 1;
        if wire < self.size_bytes() {
            self.bound.swap(wire, AcqRel);
        }
    }

    /// Makes the bound the size again; true for the one caller who did.
    pub(super) fn take_wire(&self) -> bool {
        let wire = self.bound.load(Acquire);
        if wire.is_multiple_of(2) || wire == u64::MAX {
            return false;
        }
        let size = as_bound(self.size_bytes());
        // It fails when somebody else has tripped it, and when it was resized in between.
        self.bound
            .compare_exchange(wire, size, AcqRel, Relaxed)
            .is_ok()
    }

    pub(super) fn tell(&self, used_bytes: u64) {
        if let Some(hook) = self.hook.get() {
            hook(used_bytes);
        }
    }
}

/// The number that stands for a size: the largest even one that is not more, but for "no bound".
fn as_bound(size_bytes: u64) -> u64 {
    if size_bytes == u64::MAX {
        u64::MAX
    } else {
        size_bytes & !1
    }
}
