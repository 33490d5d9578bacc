//! The one number that a publisher obeys who can wait.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The share of its own pace that a publisher may use: the smaller of the gate's scale and the throttle's.
#[derive(Debug)]
pub(crate) struct Pace {
    share: AtomicU64,
    published: AtomicU64,
    refused: AtomicU64,
    waited_us: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            share: AtomicU64::new(1.0_f64.to_bits()),
            published: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            waited_us: AtomicU64::new(0),
        }
    }
}

impl Pace {
    pub(crate) fn set(&self, share: f64) {
        self.share.store(share.to_bits(), Relaxed);
    }

    /// From 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        f64::from_bits(self.share.load(Relaxed))
    }

    /// One publication, done or refused, after so much waiting for its turn.
    pub(crate) fn note(&self, published: bool, waited: std::time::Duration) {
        let count = if published {
            &self.published
        } else {
            &self.refused
        };
        count.fetch_add(1, Relaxed);
        let waited = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.waited_us.fetch_add(waited, Relaxed);
    }

    /// Events published, events refused, and seconds waited, ever.
    pub(crate) fn account(&self) -> (u64, u64, f64) {
        let seconds = self.waited_us.load(Relaxed) as f64 / 1e6;
        (
            self.published.load(Relaxed),
            self.refused.load(Relaxed),
            seconds,
        )
    }
}
