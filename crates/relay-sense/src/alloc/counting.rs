//! The wrapper around an allocator: it counts, and hands on.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use super::heap::{self, Heap};
use super::local;

/// A global allocator that counts what passes through it.
///
/// ```
/// use relay_sense::alloc::Counting;
/// use std::alloc::System;
///
/// #[global_allocator]
/// static ALLOCATOR: Counting<System> = Counting::new(System);
/// ```
///
/// The account belongs to the process, as the global allocator does: [`heap`](super::heap()) gives
/// it to whoever has no hold of the static. A second `Counting` counts into the same account, so one
/// inside another counts twice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counting<A> {
    inner: A,
}

// === impl Counting ===

impl<A> Counting<A> {
    /// Wraps an allocator.
    pub const fn new(inner: A) -> Self {
        Self { inner }
    }

    /// The allocator inside.
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    /// The account of this process.
    pub fn heap(&self) -> &'static Heap {
        heap::global()
    }
}

// SAFETY: every call is handed to `A` with the arguments it came with, and what `A` answers is returned as it is, so
// `A`'s promise is kept word for word. Counting happens beside it, in thread-locals without destructors and static
// atomics, and does not unwind: the arithmetic wraps, and the hook's panic is contained in `HookCell::run`. Memory is
// counted as freed only after `A` has taken it back, by its layout alone. Exercised under AddressSanitizer by
// `tests/counting.rs`, in which every allocation of a many-threaded process passes here.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the same.
        let pointer = unsafe { self.inner.alloc(layout) };
        count(pointer, layout)
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let pointer = unsafe { self.inner.alloc_zeroed(layout) };
        count(pointer, layout)
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.inner.dealloc(pointer, layout) };
        local::sub(layout.size());
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { self.inner.realloc(pointer, layout, new_size) };
        if !moved.is_null() {
            if new_size >= layout.size() {
                local::add(new_size - layout.size());
            } else {
                local::sub(layout.size() - new_size);
            }
        }
        moved
    }
}

/// Counts unless the allocation failed.
#[inline]
fn count(pointer: *mut u8, layout: Layout) -> *mut u8 {
    if !pointer.is_null() {
        local::add(layout.size());
    }
    pointer
}
