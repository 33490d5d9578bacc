//! The three clocks of a recording, in nanoseconds. Reading them is safe in a signal handler.

use crate::sys;
pub(crate) use crate::sys::{monotonic_ns, real_ns};

/// One moment on every clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockTriple {
    /// `CLOCK_MONOTONIC`: orders records; stands still while the machine is suspended.
    pub monotonic_ns: u64,
    /// `CLOCK_BOOTTIME`: the same with suspended time.
    pub boottime_ns: u64,
    /// `CLOCK_REALTIME`: since 1970, and it can jump.
    pub real_ns: u64,
}

impl ClockTriple {
    pub(crate) fn now() -> Self {
        Self {
            monotonic_ns: monotonic_ns(),
            boottime_ns: sys::boottime_ns(),
            real_ns: real_ns(),
        }
    }
}
