//! How much a purge may cost.

use std::time::Duration;

/// A cap on what reclaiming costs. The defaults suit a second thread that nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Effort {
    /// The shortest pause between two purges. 1 s by default: a second `malloc_trim` costs 1.5 ms even
    /// if nothing is to be found.
    pub interval_min: Duration,
    /// The largest share of the time that may be spent purging, 0 to 1. 0.05 by default: after a
    /// purge of 68 ms comes a pause of 1.3 s.
    pub share_max: f64,
    /// When to stop one purge. Seen between arenas only: one call to the C library or to mimalloc,
    /// or one arena of jemalloc, runs to its end. 100 ms by default, the whole of 256 MiB.
    pub budget: Duration,
    /// How much of the resident size must be unused for a purge to be worth it, 0 to 1. 0.10 by
    /// default. Known only beside a [`Counting`](crate::alloc::Counting); not asked otherwise.
    pub gain_min: f64,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            interval_min: Duration::from_secs(1),
            share_max: 0.05,
            budget: Duration::from_millis(100),
            gain_min: 0.10,
        }
    }
}

// === impl Effort ===

impl Effort {
    /// No cap at all: for a shutdown, or for a person who asked for it.
    pub fn unlimited() -> Self {
        Self {
            interval_min: Duration::ZERO,
            share_max: 1.0,
            budget: Duration::MAX,
            gain_min: 0.0,
        }
    }

    /// The shortest pause between two purges.
    #[must_use]
    pub fn with_interval_min(mut self, interval_min: Duration) -> Self {
        self.interval_min = interval_min;
        self
    }

    /// The largest share of the time, 0 to 1.
    #[must_use]
    pub fn with_share_max(mut self, share_max: f64) -> Self {
        self.share_max = share_max;
        self
    }

    /// When to stop one purge.
    #[must_use]
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// How much of the resident size must be unused, 0 to 1.
    #[must_use]
    pub fn with_gain_min(mut self, gain_min: f64) -> Self {
        self.gain_min = gain_min;
        self
    }

    /// The pause that a purge of this length has to be followed by: busy ÷ (busy + pause) = share.
    pub(super) fn pause(&self, took: Duration) -> Duration {
        let factor = 1.0 / self.share_max.clamp(0.0, 1.0) - 1.0;
        let pause = Duration::try_from_secs_f64(took.as_secs_f64() * factor);
        self.interval_min.max(pause.unwrap_or(Duration::MAX))
    }

    pub(super) fn is_worth(&self, unused: u64, resident: u64) -> bool {
        unused as f64 >= self.gain_min * resident as f64
    }
}
