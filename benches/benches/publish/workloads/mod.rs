//! One file per workload; the numbers are those of the rows in `docs/benchmarks.md`.

pub(crate) mod allocations;
pub(crate) mod async_receive;
pub(crate) mod fan_out;
pub(crate) mod full;
pub(crate) mod latency;
pub(crate) mod many_to_one;
pub(crate) mod one_thread;
pub(crate) mod two_threads;
pub(crate) mod unheard;

/// Room in every queue, in events.
pub(crate) const CAPACITY: usize = 1024;

/// Events published before anybody receives, where one thread does both.
pub(crate) const BATCH: usize = 512;

/// Timed batches in a round of a workload of one thread; one more warms the caches up before.
pub(crate) const BATCHES: usize = 8;
