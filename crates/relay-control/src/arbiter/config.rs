//! What the arbiter can be told.

use std::time::Duration;

use crate::error::{InvalidConfig, require};

/// Constants of the arbiter.
#[derive(Debug, Clone, PartialEq)]
pub struct ArbiterConfig {
    /// Least time between two loops.
    pub interval: Duration,
    /// Least time between two actions of one actuator in one direction.
    pub cooldown: Duration,
    /// The cooldown of taking a worker away.
    pub shrink_wait: Duration,
    /// Changes in one loop.
    pub actions_per_loop: usize,
    /// How long a reading is good for.
    pub expiry: Duration,
    /// Pressure from which memory comes before everything.
    pub critical: f64,
    /// Pressure below which defensive mode ends.
    pub defence_exit: f64,
    /// Pressure below which queues and pools may grow.
    pub growth_below: f64,
    /// Pressure below which there is time to tidy up.
    pub optimise_below: f64,
    /// Fill or utilisation above which something is too small.
    pub saturated: f64,
    /// Fill or utilisation below which something is too large.
    pub unused: f64,
}

impl ArbiterConfig {
    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        require(
            self.optimise_below > 0.0 && self.optimise_below < self.growth_below,
            "arbiter.optimise_below",
            &self.optimise_below,
            format_args!(
                "must be above 0 and below arbiter.growth_below ({})",
                self.growth_below
            ),
        )?;
        require(
            self.growth_below < self.critical,
            "arbiter.growth_below",
            &self.growth_below,
            format_args!("must be below arbiter.critical ({})", self.critical),
        )?;
        require(
            self.defence_exit > self.optimise_below && self.defence_exit < self.critical,
            "arbiter.defence_exit",
            &self.defence_exit,
            format_args!(
                "must be above arbiter.optimise_below ({}) and below arbiter.critical ({})",
                self.optimise_below, self.critical
            ),
        )?;
        require(
            self.critical <= 1.0,
            "arbiter.critical",
            &self.critical,
            "must be at most 1",
        )?;
        require(
            self.unused >= 0.0 && self.unused < self.saturated,
            "arbiter.unused",
            &self.unused,
            format_args!(
                "must be at least 0 and below arbiter.saturated ({})",
                self.saturated
            ),
        )?;
        require(
            self.saturated < 1.0,
            "arbiter.saturated",
            &self.saturated,
            "must be below 1",
        )?;
        require(
            (1..=8).contains(&self.actions_per_loop),
            "arbiter.actions_per_loop",
            &self.actions_per_loop,
            "must be from 1 to 8",
        )?;
        require(
            !self.interval.is_zero() && self.interval <= self.cooldown,
            "arbiter.interval",
            &self.interval,
            format_args!(
                "must be above zero and at most arbiter.cooldown ({:?})",
                self.cooldown
            ),
        )?;
        require(
            self.cooldown <= self.shrink_wait,
            "arbiter.cooldown",
            &self.cooldown,
            format_args!(
                "must be at most arbiter.shrink_wait ({:?})",
                self.shrink_wait
            ),
        )?;
        require(
            self.expiry >= self.interval,
            "arbiter.expiry",
            &self.expiry,
            format_args!("must be at least arbiter.interval ({:?})", self.interval),
        )
    }
}

impl Default for ArbiterConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(3),
            cooldown: Duration::from_secs(30),
            shrink_wait: Duration::from_mins(5),
            actions_per_loop: 1,
            expiry: Duration::from_secs(10),
            critical: 0.90,
            defence_exit: 0.75,
            growth_below: 0.75,
            optimise_below: 0.50,
            saturated: 0.7,
            unused: 0.3,
        }
    }
}
