//! Which slot this thread counts in.
//!
//! What the path reads has neither a lazy initialiser nor a destructor, so it can be used inside an
//! allocator and until the very end of a thread. Since Rust 1.93 the standard library registers
//! destructors of other thread-locals without the global allocator, which lets `LEASE` exist.

use std::cell::Cell;

use super::heap::{self, Heap};
use super::slot::Slot;

struct Local {
    slot: Cell<Option<&'static Slot>>,
    phase: Cell<Phase>,
    is_within_hook: Cell<bool>,
}

/// Why a thread has no slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has not asked for one.
    Fresh,
    /// It is asking, or all were taken.
    Refused,
    /// Its destructors are running, or have run.
    Ending,
}

/// Gives the slot back when the thread ends.
struct Lease;

thread_local! {
    static LOCAL: Local = const {
        Local {
            slot: Cell::new(None),
            phase: Cell::new(Phase::Fresh),
            is_within_hook: Cell::new(false),
        }
    };
    static LEASE: Lease = const { Lease };
}

/// Counts an allocation of this thread.
#[inline]
pub(super) fn add(bytes: usize) {
    let bytes = bytes as u64;
    LOCAL.with(|local| match local.slot.get() {
        Some(slot) => {
            if slot.add(bytes) {
                settle_allocated(slot, bytes);
            }
        }
        None => add_without_slot(local, bytes),
    });
}

/// Counts a release of memory by this thread.
#[inline]
pub(super) fn sub(bytes: usize) {
    let bytes = bytes as u64;
    LOCAL.with(|local| match local.slot.get() {
        Some(slot) => {
            if slot.sub(bytes) {
                settle_freed(slot);
            }
        }
        None => sub_without_slot(local, bytes),
    });
}

/// Runs `action` unless this thread is within it already.
pub(super) fn within_hook(action: impl FnOnce()) {
    LOCAL.with(|local| {
        if !local.is_within_hook.replace(true) {
            action();
            local.is_within_hook.set(false);
        }
    });
}

pub(super) fn is_within_hook() -> bool {
    LOCAL.with(|local| local.is_within_hook.get())
}

#[cold]
fn settle_allocated(slot: &Slot, request: u64) {
    heap::global().settle_allocated(slot, request);
}

#[cold]
fn settle_freed(slot: &Slot) {
    heap::global().settle_freed(slot);
}

#[cold]
fn add_without_slot(local: &Local, bytes: u64) {
    let heap = heap::global();
    match claim(local, heap) {
        Some(slot) => {
            if slot.add(bytes) {
                heap.settle_allocated(slot, bytes);
            }
        }
        None => heap.add_shared(bytes, local.phase.get() != Phase::Ending),
    }
}

#[cold]
fn sub_without_slot(local: &Local, bytes: u64) {
    let heap = heap::global();
    match claim(local, heap) {
        Some(slot) => {
            if slot.sub(bytes) {
                heap.settle_freed(slot);
            }
        }
        None => heap.sub_shared(bytes),
    }
}

/// A slot for a fresh thread, and the promise to give it back.
fn claim(local: &Local, heap: &'static Heap) -> Option<&'static Slot> {
    if local.phase.get() != Phase::Fresh {
        return None;
    }
    // Before anything else: what registers the destructor might allocate.
    local.phase.set(Phase::Refused);
    if LEASE.try_with(|_| ()).is_err() {
        // Its first allocation comes when its thread-locals are gone: nothing would give a slot back.
        local.phase.set(Phase::Ending);
        return None;
    }
    let slot = heap.table().claim();
    local.slot.set(slot);
    slot
}

// === impl Lease ===

impl Drop for Lease {
    fn drop(&mut self) {
        LOCAL.with(|local| {
            local.phase.set(Phase::Ending);
            if let Some(slot) = local.slot.take() {
                heap::global().leave(slot);
            }
        });
    }
}
