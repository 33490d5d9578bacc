//! The three clocks of a recording, in nanoseconds. Reading them is safe in a signal handler.

use rustix::time::{ClockId, Timespec, clock_gettime};

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
            boottime_ns: nanoseconds(clock_gettime(ClockId::Boottime)),
            real_ns: real_ns(),
        }
    }
}

pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

pub(crate) fn real_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

/// Zero before 1970, which no recording needs to tell apart.
fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}
