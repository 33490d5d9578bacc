//! The allocator of the GNU C library.

#![allow(unsafe_code)]

use std::time::Instant;

use super::{Allocator, AllocatorStats};

/// glibc's `malloc`: what [`System`](std::alloc::System) and all C code use where it is the C library.
///
/// It says nothing of itself here: `mallinfo2` takes every arena's lock and walks every bin (391 µs),
/// and is missing before glibc 2.33. [`Heap::live_bytes`](crate::alloc::Heap::live_bytes) is known at
/// once.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Glibc;

// === impl Glibc ===

impl Glibc {
    /// The one of this process.
    pub fn new() -> Self {
        Self
    }
}

impl Allocator for Glibc {
    fn name(&self) -> &'static str {
        "glibc"
    }

    fn stats(&mut self) -> AllocatorStats {
        AllocatorStats::default()
    }

    /// `malloc_trim`: walks all arenas, each under its lock, and runs to its end.
    fn purge(&mut self, _deadline: Instant) -> bool {
        // SAFETY: has no precondition and may be called from any thread (`malloc_trim(3)`: MT-Safe). Exercised by
        // `tests/reclaim.rs`; under AddressSanitizer there is another `malloc`.
        unsafe { libc::malloc_trim(0) };
        true
    }
}
