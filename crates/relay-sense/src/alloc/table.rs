//! The slots of all threads: claimed at a thread's first allocation, given back at its end.

use super::slot::Slot;
use super::sync::atomic::{AtomicUsize, Ordering::Relaxed};
#[cfg(not(relay_loom))]
use super::sync::const_new;

/// `SLOTS` slots of one owner each, and one that all the others share.
#[derive(Debug)]
pub(super) struct Table<const SLOTS: usize> {
    own: [Slot; SLOTS],
    shared: Slot,
    /// Slots beyond this have never been claimed, and need not be read.
    used: AtomicUsize,
}

// === impl Table ===

impl<const SLOTS: usize> Table<SLOTS> {
    #[cfg(not(relay_loom))]
    const_new! {
        pub(super) fn new() -> Self {
            Self {
                own: [const { Slot::new() }; SLOTS],
                shared: Slot::new(),
                used: AtomicUsize::new(0),
            }
        }
    }

    #[cfg(relay_loom)]
    pub(super) fn new() -> Self {
        Self {
            own: std::array::from_fn(|_| Slot::new()),
            shared: Slot::new(),
            used: AtomicUsize::new(0),
        }
    }

    /// The lowest free slot; `None` while all are taken.
    pub(super) fn claim(&self) -> Option<&Slot> {
        let index = self.own.iter().position(Slot::claim)?;
        self.used.fetch_max(index + 1, Relaxed);
        self.own.get(index)
    }

    /// The slot of whoever has none of its own.
    pub(super) fn shared(&self) -> &Slot {
        &self.shared
    }

    /// Bytes allocated so far.
    pub(super) fn allocated(&self) -> u64 {
        self.sum(Slot::allocated)
    }

    /// Bytes allocated and not freed.
    ///
    /// What is freed is summed first: then the allocation of all of it is seen too, and the figure is
    /// at least what lived when the first sum was complete, never a difference below zero.
    pub(super) fn live(&self) -> u64 {
        let freed = self.sum(Slot::freed);
        self.allocated().wrapping_sub(freed)
    }

    fn sum(&self, of: impl Fn(&Slot) -> u64) -> u64 {
        let used = self.used.load(Relaxed).min(SLOTS);
        let own = self.own[..used].iter().map(&of);
        own.fold(of(&self.shared), u64::wrapping_add)
    }
}
