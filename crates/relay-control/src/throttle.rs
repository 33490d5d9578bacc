//! The throttle: by how much a publisher stretches its pace.
//!
//! **Problem.** A publisher that can wait should be slowed before it has to be refused, and sped up
//! again little by little, or all publishers return in one wave.
//!
//! **Law.** One factor from 1 to `max`, moved at most once an `interval`:
//!
//! ```text
//! × up     fill > fill_high  or  pressure > pressure_high
//! × down   fill < fill_low  and  pressure < pressure_low
//! hold     otherwise, and while pressure is unknown and the queue not full
//!
//! delay = base · factor             share = min(scale of the gate, 1 ÷ factor)
//! ```
//!
//! The share is the one number that a publisher obeys: gate and throttle can only make it smaller.
//!
//! | field | default | why |
//! |---|---|---|
//! | `up` | 1.2 | 13 steps to the maximum |
//! | `down` | 0.9 | 22 steps back: slower than up |
//! | `max` | 10 | a publisher is slowed, not stopped: stopping is the gate's |
//! | `fill_high`, `fill_low` | 0.8, 0.5 | from the saturation warning on; well below it |
//! | `pressure_high`, `pressure_low` | 0.85, 0.70 | the ladder's error and warning |
//! | `interval` | 50 ms | a tick: the law keeps its speed when ticks come faster |
//!
//! **Source.** Multiplicative back-off on a signal of the receiver, as RFC 3168 asks for on a mark.
//! We deviate in recovering multiplicatively as well: a factor has no round trip to count in.

use std::time::Duration;

use crate::error::{InvalidConfig, require};

/// Constants of the throttle.
#[derive(Debug, Clone, PartialEq)]
pub struct ThrottleConfig {
    /// What a step up multiplies the factor with.
    pub up: f64,
    /// What a step down multiplies the factor with.
    pub down: f64,
    /// The largest factor.
    pub max: f64,
    /// Fill above which the factor rises.
    pub fill_high: f64,
    /// Fill below which it may fall.
    pub fill_low: f64,
    /// Pressure above which the factor rises.
    pub pressure_high: f64,
    /// Pressure below which it may fall.
    pub pressure_low: f64,
    /// Least time between two steps.
    pub interval: Duration,
}

/// The law and the present factor.
///
/// ```
/// use relay_control::{Throttle, ThrottleConfig};
/// use std::time::Duration;
///
/// let mut throttle = Throttle::try_new(ThrottleConfig::default())?;
/// let base = Duration::from_millis(10);
/// throttle.step(0.9, Some(0.4), Duration::from_millis(50));
/// assert_eq!(throttle.delay(base), Duration::from_millis(12));
/// assert_eq!(throttle.share(0.5), 0.5, "the gate asks for more");
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct Throttle {
    config: ThrottleConfig,
    factor: f64,
    moved_at: Option<Duration>,
}

// === impl ThrottleConfig ===

impl ThrottleConfig {
    fn check(&self) -> Result<(), InvalidConfig> {
        require(
            self.up > 1.0 && self.up <= self.max,
            "throttle.up",
            &self.up,
            format_args!("must be above 1 and at most throttle.max ({})", self.max),
        )?;
        require(
            self.max <= 1000.0,
            "throttle.max",
            &self.max,
            "must be at most 1000",
        )?;
        require(
            self.down > 0.0 && self.down < 1.0,
            "throttle.down",
            &self.down,
            "must be above 0 and below 1",
        )?;
        require(
            self.fill_low > 0.0 && self.fill_low < self.fill_high,
            "throttle.fill_low",
            &self.fill_low,
            format_args!(
                "must be above 0 and below throttle.fill_high ({})",
                self.fill_high
            ),
        )?;
        require(
            self.fill_high <= 1.0,
            "throttle.fill_high",
            &self.fill_high,
            "must be at most 1",
        )?;
        require(
            self.pressure_low > 0.0 && self.pressure_low < self.pressure_high,
            "throttle.pressure_low",
            &self.pressure_low,
            format_args!(
                "must be above 0 and below throttle.pressure_high ({})",
                self.pressure_high
            ),
        )?;
        require(
            self.pressure_high <= 1.0,
            "throttle.pressure_high",
            &self.pressure_high,
            "must be at most 1",
        )
    }
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            up: 1.2,
            down: 0.9,
            max: 10.0,
            fill_high: 0.8,
            fill_low: 0.5,
            pressure_high: 0.85,
            pressure_low: 0.70,
            interval: Duration::from_millis(50),
        }
    }
}

// === impl Throttle ===

impl Throttle {
    /// A throttle that slows nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `1 < up ≤ max ≤ 1000`, `0 < down < 1`, `0 < fill_low < fill_high
    /// ≤ 1` and `0 < pressure_low < pressure_high ≤ 1`.
    pub fn try_new(config: ThrottleConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            config,
            factor: 1.0,
            moved_at: None,
        })
    }

    /// Takes the fill of the fullest queue and the memory pressure (`None` while unknown), and
    /// answers the factor from now on.
    pub fn step(&mut self, fill: f64, pressure: Option<f64>, now: Duration) -> f64 {
        let c = &self.config;
        let waits = self
            .moved_at
            .is_some_and(|at| now.saturating_sub(at) < c.interval);
        if waits {
            return self.factor;
        }
        let moved = if fill > c.fill_high || pressure.is_some_and(|p| p > c.pressure_high) {
            self.factor * c.up
        } else if fill < c.fill_low && pressure.is_some_and(|p| p < c.pressure_low) {
            self.factor * c.down
        } else {
            return self.factor;
        };
        self.factor = moved.clamp(1.0, c.max);
        self.moved_at = Some(now);
        self.factor
    }

    /// One step up at once, because somebody asked for it.
    pub fn raise(&mut self, now: Duration) -> f64 {
        self.factor = (self.factor * self.config.up).min(self.config.max);
        self.moved_at = Some(now);
        self.factor
    }

    /// By how much the pace is stretched, from 1.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// What a publisher waits instead of `base`.
    pub fn delay(&self, base: Duration) -> Duration {
        Duration::try_from_secs_f64(base.as_secs_f64() * self.factor).unwrap_or(Duration::MAX)
    }

    /// The share of its nominal rate that a publisher may use, given the gate's scale.
    pub fn share(&self, gate_scale: f64) -> f64 {
        gate_scale.min(1.0 / self.factor)
    }
}

#[cfg(test)]
mod tests;
