//! Back-off: how long to wait before trying again.
//!
//! **Problem.** What failed a moment ago fails again, and when many try at once they do so in step.
//!
//! **Equation.** For the `n`-th failure in a row, from 0, and `u` uniform in 0 to 1:
//!
//! ```text
//! d(n)          = min(max, initial · factorⁿ)
//! none          = d(n)
//! proportional  = d(n) · (1 + share · (2u − 1))
//! full          = d(n) · u
//! decorrelated  = initial + u · (3 · previous − initial)
//! delay         = clamp(weight · jittered, min, max)
//! ```
//!
//! `weight` is for failures that are worse than others. After `reset_after` without a failure the
//! next one counts as the first.
//!
//! | field | default | why |
//! |---|---|---|
//! | `initial`, `factor`, `max` | 1 s, 2, 60 s | 1, 2, 4, 8, 16, 32, 60, 60 … |
//! | `min` | 500 ms | jitter and light weights never make a busy loop |
//! | `jitter` | proportional, ±10 % | the sequence stays readable |
//! | `reset_after` | 300 s | longer than the longest delay and a start |
//!
//! **Source.** Truncated binary exponential back-off: Metcalfe and Boggs, *Ethernet* (1976); full
//! and decorrelated jitter: M. Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog
//! (2015). We deviate in clamping after the jitter, so that the maximum is one.

use std::time::Duration;

use crate::error::{InvalidConfig, require};

/// How delays are spread. Chance is an argument of each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Jitter {
    /// Not at all.
    None,
    /// Up to this share longer or shorter.
    Proportional(f64),
    /// Anything up to the delay.
    Full,
    /// From the initial delay to three times the last one.
    Decorrelated,
}

/// Constants of the back-off.
#[derive(Debug, Clone, PartialEq)]
pub struct BackoffConfig {
    /// The first delay.
    pub initial: Duration,
    /// What each further failure multiplies it with.
    pub factor: f64,
    /// No delay is shorter.
    pub min: Duration,
    /// No delay is longer.
    pub max: Duration,
    /// How delays are spread.
    pub jitter: Jitter,
    /// Time without a failure after which the next one counts as the first.
    pub reset_after: Duration,
}

/// The law and the failures in a row.
///
/// ```
/// use relay_control::{Backoff, BackoffConfig, Jitter};
/// use std::time::Duration;
///
/// let config = BackoffConfig { jitter: Jitter::None, ..BackoffConfig::default() };
/// let mut backoff = Backoff::try_new(config)?;
/// let seconds = [0.1, 0.5, 0.9].map(|chance| backoff.fail(chance).as_secs());
/// assert_eq!(seconds, [1, 2, 4]);
/// backoff.run(Duration::from_secs(300));
/// assert_eq!(backoff.fail(0.5).as_secs(), 1, "stable for five minutes");
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    config: BackoffConfig,
    failures: u32,
    previous: Duration,
}

// === impl BackoffConfig ===

impl BackoffConfig {
    /// The most failures that this back-off lets happen within any stretch of `window`, when each
    /// try fails at once: a limit on starts above it can never be reached.
    ///
    /// ```
    /// use relay_control::{BackoffConfig, Jitter};
    /// use std::time::Duration;
    ///
    /// let config = BackoffConfig { jitter: Jitter::None, ..BackoffConfig::default() };
    /// assert_eq!(config.most_within(Duration::from_secs(60)), 5, "at 1, 3, 7, 15 and 31 s");
    /// assert_eq!(config.most_within(Duration::from_secs(30)), 4);
    /// ```
    pub fn most_within(&self, window: Duration) -> u32 {
        // The densest stretch is the first: delays never shrink while failures go on. It begins
        // with the first try after a delay.
        let mut elapsed = Duration::ZERO;
        let mut count = 1;
        for failure in 1..u32::MAX {
            let shortest = self.shortest(failure);
            elapsed = elapsed.saturating_add(shortest);
            if elapsed >= window {
                break;
            }
            if shortest == self.shortest(u32::MAX) {
                // From here on the delays are alike.
                let left = window.saturating_sub(elapsed).as_secs_f64() / shortest.as_secs_f64();
                return (f64::from(count) + left.ceil()) as u32;
            }
            count += 1;
        }
        count
    }

    /// The shortest delay that the jitter can make of the `n`-th failure.
    fn shortest(&self, n: u32) -> Duration {
        let least = match self.jitter {
            Jitter::None => self.plain(n),
            Jitter::Proportional(share) => scaled(self.plain(n), 1.0 - share),
            Jitter::Full => Duration::ZERO,
            Jitter::Decorrelated => self.initial,
        };
        least.clamp(self.min, self.max)
    }

    fn plain(&self, n: u32) -> Duration {
        let exponent = i32::try_from(n).unwrap_or(i32::MAX);
        scaled(self.initial, self.factor.powi(exponent)).min(self.max)
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        require(
            !self.min.is_zero() && self.min <= self.max,
            "backoff.min",
            &self.min,
            format_args!(
                "must be above zero and at most backoff.max ({:?})",
                self.max
            ),
        )?;
        require(
            !self.initial.is_zero() && self.initial <= self.max,
            "backoff.initial",
            &self.initial,
            format_args!(
                "must be above zero and at most backoff.max ({:?})",
                self.max
            ),
        )?;
        require(
            (1.0..=100.0).contains(&self.factor),
            "backoff.factor",
            &self.factor,
            "must be from 1 to 100",
        )?;
        let share = match self.jitter {
            Jitter::Proportional(share) => share,
            Jitter::None | Jitter::Full | Jitter::Decorrelated => 0.0,
        };
        require(
            (0.0..=1.0).contains(&share),
            "backoff.jitter",
            &self.jitter,
            "must be a share from 0 to 1",
        )?;
        require(
            self.reset_after >= self.max,
            "backoff.reset_after",
            &self.reset_after,
            format_args!("must be at least backoff.max ({:?})", self.max),
        )
    }
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            factor: 2.0,
            min: Duration::from_millis(500),
            max: Duration::from_mins(1),
            jitter: Jitter::Proportional(0.1),
            reset_after: Duration::from_mins(5),
        }
    }
}

// === impl Backoff ===

impl Backoff {
    /// A back-off without a failure.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `0 < min ≤ max`, `0 < initial ≤ max ≤ reset_after`,
    /// `1 ≤ factor ≤ 100` and a proportional jitter is a share from 0 to 1.
    pub fn try_new(config: BackoffConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            failures: 0,
            previous: config.initial,
            config,
        })
    }

    /// It failed: how long to wait. `chance` is a uniform draw from 0 to 1.
    pub fn fail(&mut self, chance: f64) -> Duration {
        self.fail_weighted(1.0, chance)
    }

    /// [`fail`](Self::fail), waiting `weight` times as long: 2 for failures that take longer to
    /// get over. The maximum holds all the same.
    pub fn fail_weighted(&mut self, weight: f64, chance: f64) -> Duration {
        let c = &self.config;
        let plain = c.plain(self.failures);
        let jittered = match c.jitter {
            Jitter::None => plain,
            Jitter::Proportional(share) => scaled(plain, 1.0 + share * (2.0 * chance - 1.0)),
            Jitter::Full => scaled(plain, chance),
            Jitter::Decorrelated => {
                let span = self.previous.saturating_mul(3).saturating_sub(c.initial);
                c.initial.saturating_add(scaled(span, chance))
            }
        };
        let delay = scaled(jittered, weight).clamp(c.min, c.max);
        self.failures = self.failures.saturating_add(1);
        // The weight is for one delay; it must not compound through decorrelated jitter.
        self.previous = jittered.clamp(c.initial, c.max);
        delay
    }

    /// It ran for this long before what comes next. Long enough, and the next failure is the first.
    pub fn run(&mut self, lasted: Duration) {
        if lasted >= self.config.reset_after {
            self.reset();
        }
    }

    /// It succeeded for good.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.previous = self.config.initial;
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// `factor · time`, the longest time where that is too long for one.
fn scaled(time: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * factor.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests;
