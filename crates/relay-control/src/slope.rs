//! How fast a level rises, smoothed enough to look ahead by it.
//!
//! The difference quotient of neighbouring samples, averaged over a time constant. Only a rise is
//! of use to a law that must not be late: a fall is often an allocator handing pages back, which
//! says nothing about what comes next, so [`Slope::rise_per_second`] answers 0 for it.

use std::time::Duration;

use crate::ewma::Ewma;

/// Three ticks of the usual 50 ms: long enough to level out one allocator chunk, short enough that
/// the look-ahead still sees a burst while it rises.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// The smoothed slope of a sampled level.
#[derive(Debug, Clone)]
pub(crate) struct Slope {
    average: Ewma,
    last: Option<(f64, Duration)>,
}

impl Slope {
    pub(crate) const fn new(time_constant: Duration) -> Self {
        Self {
            average: Ewma::new(time_constant),
            last: None,
        }
    }

    /// Takes one sample; a second one for the same instant is ignored.
    pub(crate) fn update(&mut self, level: f64, now: Duration) {
        let Some((last, at)) = self.last else {
            self.last = Some((level, now));
            return;
        };
        let elapsed = now.saturating_sub(at);
        if elapsed.is_zero() {
            return;
        }
        self.last = Some((level, now));
        self.average
            .update((level - last) / elapsed.as_secs_f64(), now);
    }

    /// The rise in levels a second, 0 when level or falling; `None` before the second sample.
    pub(crate) fn rise(&self) -> Option<f64> {
        self.average.value().map(|slope| slope.max(0.0))
    }

    /// The rise in levels a second, 0 when level or falling, or not yet known.
    pub(crate) fn rise_per_second(&self) -> f64 {
        self.rise().unwrap_or(0.0)
    }

    /// Forgets: after a gap the last level says nothing about the present slope.
    pub(crate) fn reset(&mut self) {
        self.average.reset();
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_found_and_a_fall_is_no_rise() {
        let mut slope = Slope::new(SHORT);
        assert_eq!(slope.rise(), None);
        for tick in 0..40_u32 {
            slope.update(
                0.1 * f64::from(tick) * 0.05,
                Duration::from_millis(50) * tick,
            );
        }
        assert!((slope.rise_per_second() - 0.1).abs() < 1e-9);
        slope.update(0.0, Duration::from_millis(2050));
        assert_eq!(slope.rise_per_second(), 0.0);
        slope.reset();
        slope.update(0.9, Duration::from_secs(9));
        assert_eq!(slope.rise(), None, "one sample has no slope");
    }
}
