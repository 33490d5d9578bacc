//! A rough histogram of durations, cheap enough for a path that is timed anyway: one atomic addition.
//!
//! **Problem.** A snapshot wants the median and the 99th percentile of the last second or two, and the exporter's histograms
//! cannot be read back.
//!
//! **What it does.** Buckets grow by powers of two, each divided into four, from 64 ns to 68 s: the middle of a bucket is
//! at most an eighth from any value in it. The reader keeps the counts of a second ago and looks at the difference.
//!
//! **Source.** The layout is that of `HdrHistogram` (Tene) with two bits of precision.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Each power of two has 2² buckets.
const PRECISION_BITS: u32 = 2;

/// Shorter than 2⁶ ns is the first bucket.
const SHORTEST_BITS: u32 = 6;

const BUCKETS: usize = 128;

/// What is looked at: the last one to two of these.
const WINDOW: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Sketch([AtomicU32; BUCKETS]);

/// The reader's side: what was counted of late.
#[derive(Debug)]
pub(crate) struct Recent {
    now: [u32; BUCKETS],
    /// Counts when the present window began, and the one before it.
    began: [u32; BUCKETS],
    before: [u32; BUCKETS],
    at: Option<Duration>,
}

impl Default for Sketch {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            now: [0; BUCKETS],
            began: [0; BUCKETS],
            before: [0; BUCKETS],
            at: None,
        }
    }
}

// === impl Sketch ===

impl Sketch {
    pub(crate) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0[bucket_of(nanos)].fetch_add(1, Relaxed);
    }
}

// === impl Recent ===

impl Recent {
    /// The median and the 99th percentile of what `sketches` counted within the last second or two, in microseconds; `None`
    /// when that is nothing.
    pub(crate) fn look<'a>(
        &mut self,
        now: Duration,
        sketches: impl Iterator<Item = &'a Sketch>,
    ) -> Option<(f32, f32)> {
        self.now = [0; BUCKETS];
        for sketch in sketches {
            for (sum, count) in self.now.iter_mut().zip(&sketch.0) {
                *sum = sum.wrapping_add(count.load(Relaxed));
            }
        }
        if self.at.is_none_or(|at| now.saturating_sub(at) >= WINDOW) {
            (self.before, self.began) = (self.began, self.now);
            self.at = Some(now);
        }
        let counts = || {
            let pairs = self.now.iter().zip(&self.before);
            pairs.map(|(now, before)| u64::from(now.wrapping_sub(*before)))
        };
        let total: u64 = counts().sum();
        (total > 0).then(|| (quantile(counts(), total, 50), quantile(counts(), total, 99)))
    }
}

fn quantile(counts: impl Iterator<Item = u64>, total: u64, percent: u64) -> f32 {
    let rank = (total * percent).div_ceil(100).max(1);
    let mut seen = 0;
    for (bucket, count) in counts.enumerate() {
        seen += count;
        if seen >= rank {
            return middle_of(bucket) / 1000.0;
        }
    }
    middle_of(BUCKETS - 1) / 1000.0
}

fn bucket_of(nanos: u64) -> usize {
    let power = nanos.max(1 << SHORTEST_BITS).ilog2();
    let part =
        (nanos.max(1 << SHORTEST_BITS) >> (power - PRECISION_BITS)) & ((1 << PRECISION_BITS) - 1);
    let bucket = ((power - SHORTEST_BITS) << PRECISION_BITS) as usize + part as usize;
    bucket.min(BUCKETS - 1)
}

/// In nanoseconds.
fn middle_of(bucket: usize) -> f32 {
    let power = SHORTEST_BITS + (bucket >> PRECISION_BITS) as u32;
    let part = (bucket & ((1 << PRECISION_BITS) - 1)) as f32 + 0.5;
    let step = (1_u64 << (power - PRECISION_BITS)) as f32;
    (1_u64 << power) as f32 + part * step
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_middle_of_a_bucket_is_near_every_value_in_it() {
        for power in 0..36 {
            for value in [0, 1, 7, 13].map(|part| (1_u64 << power) + (part << power) / 14) {
                let told = f64::from(middle_of(bucket_of(value)));
                let truth = value.max(64) as f64;
                assert!((told / truth - 1.0).abs() <= 0.126, "{told} for {truth}");
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_last_seconds() {
        let (sketch, mut recent) = (Sketch::default(), Recent::default());
        assert_eq!(recent.look(ms(0), [&sketch].into_iter()), None);
        for _ in 0..98 {
            sketch.record(Duration::from_micros(100));
        }
        for _ in 0..2 {
            sketch.record(ms(50));
        }
        let (median, tail) = recent.look(ms(10), [&sketch].into_iter()).unwrap();
        assert!((90.0..110.0).contains(&median), "{median}");
        assert!((45_000.0..57_000.0).contains(&tail), "{tail}");
        // What was slow is forgotten when two windows are over.
        for at in [1000, 2100, 3200] {
            sketch.record(Duration::from_micros(10));
            recent.look(ms(at), [&sketch].into_iter());
        }
        let (_, tail) = recent.look(ms(3300), [&sketch].into_iter()).unwrap();
        assert!(tail < 12.0, "{tail}");
        for at in [5000, 7000] {
            recent.look(ms(at), [&sketch].into_iter());
        }
        assert_eq!(recent.look(ms(7100), [&sketch].into_iter()), None);
    }
}
