//! What one thread has allocated and freed: two counters that it alone writes.
//!
//! A counter with one writer needs no read-modify-write, whose lock prefix costs 10 ns on x86 whether
//! or not anybody else wants the line. The owner loads, adds and stores; readers load.

use super::sync::atomic::{
    AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use super::sync::const_new;

/// Two cache lines: the neighbour prefetcher of x86 fetches them in pairs.
#[repr(align(128))]
#[derive(Debug)]
pub(super) struct Slot {
    allocated: AtomicU64,
    freed: AtomicU64,
    /// The owner settles when a counter reaches its mark.
    allocated_mark: AtomicU64,
    freed_mark: AtomicU64,
    /// What both counters were when they were last settled.
    settled_allocated: AtomicU64,
    settled_freed: AtomicU64,
    claimed: AtomicBool,
}

// === impl Slot ===

impl Slot {
    const_new! {
        pub(super) fn new() -> Self {
            Self {
                allocated: AtomicU64::new(0),
                freed: AtomicU64::new(0),
                allocated_mark: AtomicU64::new(0),
                freed_mark: AtomicU64::new(0),
                settled_allocated: AtomicU64::new(0),
                settled_freed: AtomicU64::new(0),
                claimed: AtomicBool::new(false),
            }
        }
    }

    /// Makes the caller the owner, unless somebody else is. Counters go on where the last owner left
    /// them, so nothing that a thread counted is lost when it ends.
    pub(super) fn claim(&self) -> bool {
        // Pairs with `release`: the new owner reads what the last one stored.
        !self.claimed.load(Relaxed)
            && self
                .claimed
                .compare_exchange(false, true, Acquire, Relaxed)
                .is_ok()
    }

    /// Gives the slot up. The owner must not count here any more.
    pub(super) fn release(&self) {
        self.claimed.store(false, Release);
    }

    /// Counts an allocation, as the owner; true when it is time to settle.
    #[inline]
    pub(super) fn add(&self, bytes: u64) -> bool {
        let allocated = self.allocated.load(Relaxed).wrapping_add(bytes);
        self.allocated.store(allocated, Relaxed);
        allocated >= self.allocated_mark.load(Relaxed)
    }

    /// Counts a release of memory, as the owner; true when it is time to settle.
    #[inline]
    pub(super) fn sub(&self, bytes: u64) -> bool {
        let freed = self.freed.load(Relaxed).wrapping_add(bytes);
        // Pairs with `freed`: whoever sees this also sees the allocation of what was freed, which
        // came to this thread by some other synchronisation.
        self.freed.store(freed, Release);
        freed >= self.freed_mark.load(Relaxed)
    }

    /// Takes what was allocated since the last time, as the owner, and asks for the next time after
    /// `step` bytes.
    pub(super) fn settle_allocated(&self, step: u64) -> u64 {
        let allocated = self.allocated.load(Relaxed);
        let settled = self.settled_allocated.load(Relaxed);
        self.settled_allocated.store(allocated, Relaxed);
        self.allocated_mark
            .store(allocated.saturating_add(step), Relaxed);
        allocated.wrapping_sub(settled)
    }

    /// The same for what was freed.
    pub(super) fn settle_freed(&self, step: u64) -> u64 {
        let freed = self.freed.load(Relaxed);
        let settled = self.settled_freed.load(Relaxed);
        self.settled_freed.store(freed, Relaxed);
        self.freed_mark.store(freed.saturating_add(step), Relaxed);
        freed.wrapping_sub(settled)
    }

    /// Counts an allocation without owning the slot.
    pub(super) fn add_shared(&self, bytes: u64) {
        self.allocated.fetch_add(bytes, Relaxed);
    }

    /// Counts a release of memory without owning the slot.
    pub(super) fn sub_shared(&self, bytes: u64) {
        self.freed.fetch_add(bytes, Release);
    }

    pub(super) fn allocated(&self) -> u64 {
        self.allocated.load(Relaxed)
    }

    pub(super) fn freed(&self) -> u64 {
        // Pairs with `sub`.
        self.freed.load(Acquire)
    }
}
