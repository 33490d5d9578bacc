//! What the pulse may not read itself, because it takes long or allocates: the reclaimer leaves it here.

use relay_event::ErrorBus;
use relay_sense::Process;
use relay_sense::alloc::Reclaimer;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A clock tick of the processor time in `/proc/self/stat`, in microseconds (`USER_HZ` is 100 on Linux).
const TICK_US: u64 = 10_000;

/// Not known. No figure gets there.
const UNKNOWN: u64 = u64::MAX;

macro_rules! vitals {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Figures that are up to some seconds old.
        #[derive(Debug)]
        pub(crate) struct Vitals { $($name: AtomicU64),+ }

        impl Default for Vitals {
            fn default() -> Self {
                Self { $($name: AtomicU64::new(UNKNOWN)),+ }
            }
        }

        impl Vitals {
            $($(#[$doc])* pub(super) fn $name(&self) -> Option<u64> {
                let value = self.$name.load(Relaxed);
                (value != UNKNOWN).then_some(value)
            })+
        }
    };
}

vitals! {
    threads,
    descriptors,
    descriptors_limit,
    major_faults,
    cpu_us,
    host_available_bytes,
    heap_resident_bytes,
    errors_lost,
}

impl Vitals {
    /// Reads everything anew. Takes some tens of microseconds, and up to a millisecond in the allocator.
    pub(crate) fn read(&self, process: &mut Process, heap: &mut Reclaimer, errors: &ErrorBus) {
        let sample = process.sample();
        let resident = heap.stats().filter_map(|(_, stats)| stats.resident).max();
        let put =
            |cell: &AtomicU64, value: Option<u64>| cell.store(value.unwrap_or(UNKNOWN), Relaxed);
        put(&self.threads, sample.threads);
        put(&self.descriptors, sample.descriptors);
        put(&self.descriptors_limit, sample.descriptors_limit);
        put(&self.major_faults, sample.major_faults);
        put(
            &self.cpu_us,
            sample.cpu_ticks.map(|ticks| ticks.saturating_mul(TICK_US)),
        );
        put(&self.host_available_bytes, sample.host_available_bytes);
        put(&self.heap_resident_bytes, resident);
        put(&self.errors_lost, Some(errors.dropped()));
    }
}
