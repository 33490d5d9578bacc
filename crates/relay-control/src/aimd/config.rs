//! What the governor can be told.

use std::time::Duration;

use crate::error::{InvalidConfig, require};

/// Constants of the governor.
#[derive(Debug, Clone, PartialEq)]
pub struct AimdConfig {
    /// Pressure at or above which the governor degrades.
    pub enter: f64,
    /// Pressure below which it recovers.
    pub exit: f64,
    /// Pressure at or above which it cuts again.
    pub critical: f64,
    /// What one recovery step adds to the scale.
    pub increase: f64,
    /// What one cut multiplies the scale with.
    pub decrease_factor: f64,
    /// The scale never falls below this.
    pub floor: f64,
    /// The scale of the lowest priority never falls below this.
    pub lowest_floor: f64,
    /// Least time between two steps of the same direction.
    pub cooldown: Duration,
}

impl AimdConfig {
    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        let Self {
            enter,
            exit,
            critical,
            increase,
            decrease_factor,
            floor,
            lowest_floor,
            ..
        } = *self;
        require(
            exit > 0.0 && exit < enter,
            "aimd.exit",
            &exit,
            format_args!("must be above 0 and below aimd.enter ({enter})"),
        )?;
        require(
            enter <= critical,
            "aimd.enter",
            &enter,
            format_args!("must be at most aimd.critical ({critical})"),
        )?;
        require(
            critical <= 1.0,
            "aimd.critical",
            &critical,
            "must be at most 1",
        )?;
        require(
            increase > 0.0 && increase <= 1.0,
            "aimd.increase",
            &increase,
            "must be above 0 and at most 1",
        )?;
        require(
            decrease_factor > 0.0 && decrease_factor < 1.0,
            "aimd.decrease_factor",
            &decrease_factor,
            "must be above 0 and below 1",
        )?;
        require(
            (0.0..1.0).contains(&floor),
            "aimd.floor",
            &floor,
            "must be at least 0 and below 1",
        )?;
        require(
            (0.0..=floor).contains(&lowest_floor),
            "aimd.lowest_floor",
            &lowest_floor,
            format_args!("must be at least 0 and at most aimd.floor ({floor})"),
        )
    }
}

impl Default for AimdConfig {
    fn default() -> Self {
        Self {
            enter: 0.70,
            exit: 0.55,
            critical: 0.90,
            increase: 0.05,
            decrease_factor: 0.5,
            floor: 0.10,
            lowest_floor: 0.0,
            cooldown: Duration::from_secs(30),
        }
    }
}
