//! jemalloc, as `tikv-jemallocator` builds it.
//!
//! Its functions are reached through `tikv-jemalloc-sys`, which knows whether the build prefixes them (`_rjem_`). Names
//! and meanings: `jemalloc(3)`, version 5.3.

#![allow(unsafe_code)]

use std::ptr::null_mut;
use std::time::Instant;

use tikv_jemalloc_ctl::{arenas, epoch, raw, stats};

use super::{Allocator, AllocatorStats};

/// jemalloc. Where it is not the global allocator, it is empty.
#[derive(Debug, Default)]
pub struct Jemalloc {
    /// The arena the next purge begins with.
    next: u32,
}

// === impl Jemalloc ===

impl Jemalloc {
    /// The one of this process.
    pub fn new() -> Self {
        Self::default()
    }

    /// Purges one arena: decays all its unused pages now. An arena that no thread has used yet is
    /// left alone by jemalloc.
    fn purge_arena(mut mib: [usize; 3], arena: u32) {
        mib[1] = arena as usize;
        // SAFETY: `mib` has the length that is given, and `arena.<i>.purge` neither reads nor writes a value: both
        // pointers have to be null. Exercised by `tests/jemalloc.rs`. AddressSanitizer sees no memory of
        // jemalloc's.
        let _refused = unsafe {
            tikv_jemalloc_sys::mallctlbymib(
                mib.as_ptr(),
                mib.len(),
                null_mut(),
                null_mut(),
                null_mut(),
                0,
            )
        };
    }
}

impl Allocator for Jemalloc {
    fn name(&self) -> &'static str {
        "jemalloc"
    }

    /// Refreshes its figures first, which takes every arena's lock: 8 to 60 µs.
    fn stats(&mut self) -> AllocatorStats {
        if epoch::advance().is_err() {
            return AllocatorStats::default();
        }
        let bytes = |figure: Result<usize, _>| figure.ok().map(|bytes| bytes as u64);
        AllocatorStats {
            allocated: bytes(stats::allocated::read()),
            active: bytes(stats::active::read()),
            resident: bytes(stats::resident::read()),
            mapped: bytes(stats::mapped::read()),
            retained: bytes(stats::retained::read()),
        }
    }

    /// One arena after the other. What other threads hold in their caches stays there.
    fn purge(&mut self, deadline: Instant) -> bool {
        let mut mib = [0; 3];
        let Ok(count) = arenas::narenas::read() else {
            return true;
        };
        if raw::name_to_mib(b"arena.0.purge\0", &mut mib).is_err() {
            return true;
        }
        for done in 0..count {
            if done > 0 && Instant::now() >= deadline {
                return false;
            }
            // `arenas.narenas` can grow, never shrink.
            Self::purge_arena(mib, self.next % count);
            self.next = (self.next + 1) % count;
        }
        true
    }
}
