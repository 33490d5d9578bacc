//! Who may walk the stack: backtraces of panics, or one CPU profile, never both.
//!
//! The profiler walks the stack inside a signal handler. A signal that arrives while the same
//! thread walks its own stack for a backtrace can find the unwinder's lock held and wait for ever
//! (tikv/pprof-rs #36), so each of the two refuses to start while the other is at it.

use std::sync::atomic::{AtomicU32, Ordering};

const PROFILING: u32 = u32::MAX;

/// How many backtraces are being taken, or [`PROFILING`].
static WALKERS: AtomicU32 = AtomicU32::new(0);

/// Runs `walk` unless a profile is being taken.
pub(crate) fn for_backtrace<T>(walk: impl FnOnce() -> T) -> Option<T> {
    let enter = |walkers| (walkers < PROFILING - 1).then(|| walkers + 1);
    // (walkers) acquired and released by whoever walks; no data travels with it.
    WALKERS
        .fetch_update(Ordering::Acquire, Ordering::Relaxed, enter)
        .ok()?;
    let walked = walk();
    WALKERS.fetch_sub(1, Ordering::Release);
    Some(walked)
}

/// While it lives, no backtrace and no other profile is taken.
#[cfg(any(test, feature = "profile"))]
#[derive(Debug)]
pub(crate) struct Profiling(());

#[cfg(any(test, feature = "profile"))]
impl Profiling {
    pub(crate) fn try_start() -> Option<Self> {
        WALKERS
            .compare_exchange(0, PROFILING, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then(|| Self(()))
    }
}

#[cfg(any(test, feature = "profile"))]
impl Drop for Profiling {
    fn drop(&mut self) {
        WALKERS.store(0, Ordering::Release);
    }
}
