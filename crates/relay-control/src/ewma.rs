//! An exponentially weighted moving average over *time*, not over samples.
//!
//! **Problem.** The pulse does not tick evenly: 1 s when idle, 50 ms as a rule, 1 ms near the
//! limit. An average with one fixed weight a sample would forget a thousand times faster near the
//! limit than at rest.
//!
//! **Equation.** With Δt since the last sample and time constant τ:
//! `w = 1 − exp(−Δt/τ)`, `average ← average + w · (value − average)`.
//! Any way of cutting a constant stretch into samples gives the same average.
//!
//! **Source.** The idle-time correction of Floyd and Jacobson, *Random Early Detection Gateways*
//! (1993), §4, which decays the average by `(1 − w_q)^m` for `m` missed packets; `exp(−Δt/τ)` is
//! its continuous form.

use std::time::Duration;

use crate::error::{InvalidConfig, require};

/// A time-weighted moving average.
///
/// ```
/// use relay_control::Ewma;
/// use std::time::Duration;
///
/// let mut fill = Ewma::try_new(Duration::from_secs(1))?;
/// fill.update(0.0, Duration::ZERO);
/// fill.update(1.0, Duration::from_secs(1));
/// assert!((fill.value().unwrap() - 0.632).abs() < 0.001, "1 − 1/e after one time constant");
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ewma {
    time_constant: Duration,
    average: Option<f64>,
    at: Duration,
}

impl Ewma {
    /// An average without a value, that forgets with `time_constant`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `time_constant` is zero.
    pub fn try_new(time_constant: Duration) -> Result<Self, InvalidConfig> {
        require(
            !time_constant.is_zero(),
            "ewma.time_constant",
            &time_constant,
            "must be above zero",
        )?;
        Ok(Self::new(time_constant))
    }

    /// For constants and configurations that are checked already.
    pub(crate) const fn new(time_constant: Duration) -> Self {
        Self {
            time_constant,
            average: None,
            at: Duration::ZERO,
        }
    }

    /// Takes one sample at `now` (since any fixed epoch).
    ///
    /// The first sample is the average; one that is not finite is ignored; one with the same or an
    /// earlier time than the last carries no weight.
    pub fn update(&mut self, value: f64, now: Duration) {
        if !value.is_finite() {
            return;
        }
        let weight = weight(now.saturating_sub(self.at), self.time_constant);
        self.average = Some(match self.average {
            None => value,
            Some(average) => average * (1.0 - weight) + value * weight,
        });
        self.at = self.at.max(now);
    }

    /// The average, or `None` before the first sample.
    pub fn value(&self) -> Option<f64> {
        self.average
    }

    /// Forgets every sample.
    pub fn reset(&mut self) {
        self.average = None;
    }
}

/// `1 − exp(−Δt/τ)`: the weight of a sample that stands for `elapsed`.
pub(crate) fn weight(elapsed: Duration, time_constant: Duration) -> f64 {
    -(-elapsed.as_secs_f64() / time_constant.as_secs_f64()).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_tick_length_does_not_change_what_is_forgotten() {
        let after_two_seconds = |tick_ms: u32| {
            let mut average = Ewma::new(1000 * MS);
            average.update(0.0, Duration::ZERO);
            for tick in 1..=(2000 / tick_ms) {
                average.update(1.0, MS * tick_ms * tick);
            }
            average.value().unwrap()
        };
        assert!((after_two_seconds(1) - after_two_seconds(50)).abs() < 1e-9);
        assert!((after_two_seconds(1) - after_two_seconds(2000)).abs() < 1e-9);
    }

    #[test]
    fn an_idle_gap_of_any_length_keeps_the_average_finite() {
        let mut average = Ewma::new(MS);
        average.update(1.0, Duration::ZERO);
        average.update(0.25, Duration::MAX);
        assert_eq!(average.value(), Some(0.25));
    }

    #[test]
    fn a_sample_that_is_not_finite_or_from_the_past_changes_nothing() {
        let mut average = Ewma::new(MS);
        average.update(0.5, 10 * MS);
        average.update(f64::NAN, 20 * MS);
        average.update(f64::INFINITY, 20 * MS);
        average.update(9.0, 5 * MS);
        assert_eq!(average.value(), Some(0.5));
        average.reset();
        assert_eq!(average.value(), None);
    }

    #[test]
    fn a_time_constant_of_zero_is_refused() {
        assert_eq!(
            Ewma::try_new(Duration::ZERO).unwrap_err().field,
            "ewma.time_constant"
        );
    }
}
