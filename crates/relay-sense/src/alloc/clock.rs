//! The byte clock: all threads add what they allocated, and the one that fills an interval ticks.

use super::sync::atomic::{AtomicU64, Ordering::Relaxed};
use super::sync::const_new;

/// Bytes a thread gathers before it tells the others: at 16 bytes an allocation, one shared atomic
/// operation (some 20 ns) in 4096. Smaller batches cost more, larger ones make the clock late.
pub(super) const BATCH_BYTES: u64 = 64 << 10;

/// Counts the batches of all threads.
#[derive(Debug)]
pub(super) struct ByteClock {
    /// Zero: nobody asked for ticks.
    interval: AtomicU64,
    told: AtomicU64,
    due: AtomicU64,
}

// === impl ByteClock ===

impl ByteClock {
    const_new! {
        pub(super) fn new() -> Self {
            Self {
                interval: AtomicU64::new(0),
                told: AtomicU64::new(0),
                due: AtomicU64::new(u64::MAX),
            }
        }
    }

    /// Asks for a tick each `interval` bytes from now on; zero asks for none.
    pub(super) fn start(&self, interval: u64) {
        self.interval.store(interval, Relaxed);
        let due = match interval {
            0 => u64::MAX,
            _ => self.told.load(Relaxed).saturating_add(interval),
        };
        self.due.store(due, Relaxed);
    }

    /// How many bytes a thread may gather.
    pub(super) fn batch(&self) -> u64 {
        match self.interval.load(Relaxed) {
            0 => BATCH_BYTES,
            interval => interval.min(BATCH_BYTES),
        }
    }

    /// Adds a batch and leaves the tick, if it is due, to the next thread.
    pub(super) fn tell(&self, bytes: u64) {
        self.told.fetch_add(bytes, Relaxed);
    }

    /// Adds a batch. `Some(all bytes told so far)` for the one caller whose batch fills the interval.
    ///
    /// However many intervals a batch spans, it ticks once: the second look would see nothing new.
    pub(super) fn advance(&self, bytes: u64) -> Option<u64> {
        let told = self.told.fetch_add(bytes, Relaxed).wrapping_add(bytes);
        let due = self.due.load(Relaxed);
        if told < due {
            return None;
        }
        let next = told.saturating_add(self.interval.load(Relaxed).max(1));
        // Only one of those who find it due moves it on.
        self.due
            .compare_exchange(due, next, Relaxed, Relaxed)
            .is_ok()
            .then_some(told)
    }
}
