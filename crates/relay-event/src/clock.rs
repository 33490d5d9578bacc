//! The one coarse clock of the gate: a few nanoseconds a reading, good to the kernel's tick (1 to 4 ms).

/// Nanoseconds of a monotonic clock with an arbitrary start.
pub(crate) fn coarse_nanos() -> u64 {
    #[cfg(test)]
    if let Some(now_ns) = frozen::nanos() {
        return now_ns;
    }
    system_nanos()
}

#[cfg(all(target_os = "linux", not(relay_portable)))]
fn system_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    (now.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec as u64)
}

#[cfg(any(relay_portable, not(target_os = "linux")))]
fn system_nanos() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Milliseconds since 1970, for stamps that people and other processes compare.
pub(crate) fn unix_millis() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// A time of a test's own, in its thread.
#[cfg(test)]
pub(crate) mod frozen {
    use std::cell::Cell;

    thread_local!(static NOW_NS: Cell<Option<u64>> = const { Cell::new(None) });

    pub(crate) fn set_nanos(now_ns: u64) {
        NOW_NS.set(Some(now_ns));
    }

    pub(super) fn nanos() -> Option<u64> {
        NOW_NS.get()
    }
}
