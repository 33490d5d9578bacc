//! Random early detection: drop a few while the queue fills, so that not all are refused at once.
//!
//! **Problem.** A queue that takes everything until it is full refuses in blocks, and those who
//! sent at the wrong moment lose everything. Dropping at random earlier spreads the loss and lets
//! senders slow down.
//!
//! **Equation.** With the time-weighted average fill `f` (see [`Ewma`](crate::Ewma)):
//!
//! ```text
//! p(f) = 0                                                   f ≤ min
//!      = max_p · (f − min) / (max − min)                     min < f < max
//!      = max_p                                               f ≥ max          (classic)
//!      = max_p + (1 − max_p) · (f − max) / (full − max)      max ≤ f < full   (gentle)
//!      = 1                                                   f ≥ full         (gentle)
//! ```
//!
//! | field | classic | gentle | meaning |
//! |---|---|---|---|
//! | `min_threshold` | 0.60 | 0.60 | nothing is dropped up to here |
//! | `max_threshold` | 1.00 | 0.80 | the ramp reaches `max_probability` |
//! | `max_probability` | 0.30 | 0.30 | |
//! | `full` | – | 0.92 | everything is dropped: before the queue's hard bound |
//!
//! **Per class.** A class of weight `w` sees `1 − (1 − p)^w`: the hazard of being dropped, times
//! `w`. Unlike `w · p` it never leaves 0..=1 and reaches 1 together with `p`, so that a gentle curve
//! stays complete before the hard bound for every weighted class. Weight 0 is never dropped early.
//!
//! **What it cannot do.** Classic RED refuses at most 30 %, which holds no more than
//! `1 / (1 − 0.30)` = 1.43 × the drain: the queue's own policy and the gate take over from there.
//!
//! **Source.** Floyd and Jacobson, *Random Early Detection Gateways for Congestion Avoidance*
//! (1993); RFC 7567; the gentle variant is Floyd's of 2000. We deviate in ending the gentle ramp at
//! `full` and not at `2 · max`, because a fill cannot exceed 1. Drops are drawn independently by
//! [`Red::should_drop`], or at even distances through [`DropSpread`].

mod spread;

pub use self::spread::DropSpread;
use crate::error::{InvalidConfig, require};

/// How many priority classes there are: low, normal, high, control.
pub const CLASSES: usize = 4;

/// The shape of the curve.
#[derive(Debug, Clone, PartialEq)]
pub struct RedConfig {
    /// Average fill up to which nothing is dropped.
    pub min_threshold: f64,
    /// Average fill at which the ramp reaches `max_probability`.
    pub max_threshold: f64,
    /// Probability at `max_threshold`.
    pub max_probability: f64,
    /// Gentle: average fill at which everything is dropped. `None` is the classic curve.
    pub full: Option<f64>,
    /// Weight of each class, low to control.
    pub class_weights: [f64; CLASSES],
}

/// The checked curve. It holds no state: the average and the chance are arguments.
///
/// ```
/// use relay_control::{Red, RedConfig};
///
/// let red = Red::try_new(RedConfig::classic())?;
/// assert_eq!(red.probability(0.6), 0.0);
/// assert!((red.probability(0.8) - 0.15).abs() < 1e-12);
/// assert!(red.should_drop(0.8, 0.10));
/// assert!(!red.should_drop(0.8, 0.20));
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct Red {
    config: RedConfig,
}

// === impl RedConfig ===

impl RedConfig {
    /// 0.60 → 1.00, at most 0.30, every class alike but control, which is never dropped early.
    pub const fn classic() -> Self {
        Self {
            min_threshold: 0.60,
            max_threshold: 1.00,
            max_probability: 0.30,
            full: None,
            class_weights: [1.0, 1.0, 1.0, 0.0],
        }
    }

    /// 0.60 → 0.80 at 0.30, then to 1 at 0.92.
    pub const fn gentle() -> Self {
        Self {
            max_threshold: 0.80,
            full: Some(0.92),
            ..Self::classic()
        }
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        let Self {
            min_threshold,
            max_threshold,
            max_probability,
            full,
            class_weights,
        } = *self;
        require(
            min_threshold >= 0.0 && min_threshold <= max_threshold,
            "red.min_threshold",
            &min_threshold,
            format_args!("must be at least 0 and at most red.max_threshold ({max_threshold})"),
        )?;
        require(
            max_threshold <= 1.0,
            "red.max_threshold",
            &max_threshold,
            "must be at most 1",
        )?;
        require(
            (0.0..=1.0).contains(&max_probability),
            "red.max_probability",
            &max_probability,
            "must be from 0 to 1",
        )?;
        require(
            full.is_none_or(|full| (max_threshold..=1.0).contains(&full)),
            "red.full",
            &full,
            format_args!("must be from red.max_threshold ({max_threshold}) to 1"),
        )?;
        require(
            class_weights
                .iter()
                .all(|weight| weight.is_finite() && *weight >= 0.0),
            "red.class_weights",
            &class_weights,
            "must be finite and at least 0",
        )
    }
}

impl Default for RedConfig {
    /// The classic curve.
    fn default() -> Self {
        Self::classic()
    }
}

// === impl Red ===

impl Red {
    /// A curve of this shape.
    ///
    /// `min_threshold` may equal `max_threshold`: the ramp is then a step.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `0 ≤ min_threshold ≤ max_threshold ≤ full ≤ 1`,
    /// `0 ≤ max_probability ≤ 1` and every weight is finite and at least 0.
    pub fn try_new(config: RedConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self { config })
    }

    /// How likely an event of weight 1 is dropped at this average fill, from 0 to 1.
    pub fn probability(&self, average_fill: f64) -> f64 {
        let c = &self.config;
        match c.full {
            Some(full) if average_fill >= full => 1.0,
            Some(full) if average_fill >= c.max_threshold => {
                let share = (average_fill - c.max_threshold) / (full - c.max_threshold);
                c.max_probability + (1.0 - c.max_probability) * share
            }
            _ if average_fill >= c.max_threshold => c.max_probability,
            _ if average_fill > c.min_threshold => {
                let share = (average_fill - c.min_threshold) / (c.max_threshold - c.min_threshold);
                c.max_probability * share
            }
            _ => 0.0,
        }
    }

    /// [`probability`](Self::probability) for a priority class, 0 (low) to 3 (control). A class
    /// above the highest counts as the highest.
    pub fn probability_for(&self, average_fill: f64, class: usize) -> f64 {
        let weight = self.config.class_weights[class.min(CLASSES - 1)];
        1.0 - (1.0 - self.probability(average_fill)).powf(weight)
    }

    /// Drop an event of weight 1? `chance` is a uniform draw from 0 (included) to 1 (excluded).
    pub fn should_drop(&self, average_fill: f64, chance: f64) -> bool {
        chance < self.probability(average_fill)
    }

    /// Drop an event of this class? `chance` is a uniform draw from 0 (included) to 1 (excluded).
    pub fn should_drop_for(&self, average_fill: f64, class: usize, chance: f64) -> bool {
        chance < self.probability_for(average_fill, class)
    }
}

#[cfg(test)]
mod tests;
