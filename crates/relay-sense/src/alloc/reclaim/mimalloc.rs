//! mimalloc, as `libmimalloc-sys` builds it.

#![allow(unsafe_code)]

use std::time::Instant;

use super::{Allocator, AllocatorStats};

/// mimalloc. Where it is not the global allocator, it is empty.
///
/// Only the thread that owns a heap can collect it, so a purge reaches the calling thread's heap, those
/// of threads that have ended, and what running threads have already handed back. Call
/// [`Mimalloc::collect_own`] in worker threads for the rest. A block of 64 KiB of which anything is
/// in use is kept whole.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Mimalloc;

// === impl Mimalloc ===

impl Mimalloc {
    /// The one of this process.
    pub fn new() -> Self {
        Self
    }

    /// Gives back what the calling thread's heap keeps unused.
    pub fn collect_own() {
        // SAFETY: has no precondition; it works on the heap of the calling thread. Exercised by `tests/mimalloc.rs`.
        unsafe { libmimalloc_sys::mi_collect(true) };
    }
}

impl Allocator for Mimalloc {
    fn name(&self) -> &'static str {
        "mimalloc"
    }

    /// Only `mapped`, as memory committed; it keeps no count of what lives.
    fn stats(&mut self) -> AllocatorStats {
        let [mut elapsed, mut user, mut system, mut rss, mut rss_max] = [0; 5];
        let [mut commit, mut commit_max, mut faults] = [0; 3];
        // SAFETY: each pointer is to a `usize` of its own that outlives the call. Exercised by `tests/mimalloc.rs`.
        unsafe {
            libmimalloc_sys::mi_process_info(
                &raw mut elapsed,
                &raw mut user,
                &raw mut system,
                &raw mut rss,
                &raw mut rss_max,
                &raw mut commit,
                &raw mut commit_max,
                &raw mut faults,
            );
        }
        AllocatorStats {
            mapped: Some(commit as u64),
            ..AllocatorStats::default()
        }
    }

    /// `mi_collect`, which runs to its end.
    fn purge(&mut self, _deadline: Instant) -> bool {
        Self::collect_own();
        true
    }
}
