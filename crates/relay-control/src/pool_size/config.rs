//! What the pool sizer can be told.

use std::time::Duration;

use crate::error::{InvalidConfig, require};

/// What utilisation is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Measure {
    /// Queue depth.
    Depth,
    /// How long the queue takes to work off; depth until a service time is known.
    #[default]
    Lag,
    /// Service time against inter-arrival time; depth until both are known.
    Load,
}

/// Constants of the pool sizer.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolConfig {
    /// Fewest workers.
    pub min: usize,
    /// Most workers.
    pub max: usize,
    /// What utilisation is measured by.
    pub measure: Measure,
    /// Utilisation above which a worker is added.
    pub target: f64,
    /// Utilisation below which one is taken away.
    pub low: f64,
    /// Queued events that one worker is expected to cope with.
    pub depth_per_worker: u32,
    /// How long an event may wait in the queue.
    pub target_lag: Duration,
    /// Share of failed calls from which no worker is added.
    pub errors_below: f64,
    /// Pressure below which a worker may be added.
    pub growth_below: f64,
    /// Pressure from which workers are taken away whatever they do.
    pub forced_from: f64,
    /// Least time from a change to one more worker.
    pub up_wait: Duration,
    /// Least time from a change, or the start, to one worker less.
    pub down_wait: Duration,
    /// Least time between two forced changes.
    pub forced_wait: Duration,
    /// How long utilisation must be low to be called idle.
    pub idle_after: Duration,
}

impl PoolConfig {
    /// No more workers than the CPU quota feeds, rounded up, though never fewer than one.
    ///
    /// ```
    /// use relay_control::PoolConfig;
    ///
    /// let config = PoolConfig::default().capped(1.5);
    /// assert_eq!((config.min, config.max), (2, 2));
    /// ```
    #[must_use]
    pub fn capped(mut self, cpus: f64) -> Self {
        let most = (cpus.ceil() as usize).max(1);
        self.max = self.max.min(most);
        self.min = self.min.min(self.max);
        self
    }

    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        require(self.min > 0, "pool.min", &self.min, "must be at least 1")?;
        require(
            self.min <= self.max,
            "pool.min",
            &self.min,
            format_args!("must be at most pool.max ({})", self.max),
        )?;
        require(
            self.low >= 0.0 && self.low < self.target,
            "pool.low",
            &self.low,
            format_args!("must be at least 0 and below pool.target ({})", self.target),
        )?;
        require(
            self.target <= 1.0,
            "pool.target",
            &self.target,
            "must be at most 1",
        )?;
        require(
            self.depth_per_worker > 0,
            "pool.depth_per_worker",
            &self.depth_per_worker,
            "must be at least 1",
        )?;
        require(
            self.errors_below > 0.0 && self.errors_below <= 1.0,
            "pool.errors_below",
            &self.errors_below,
            "must be above 0 and at most 1",
        )?;
        require(
            self.growth_below > 0.0 && self.growth_below < self.forced_from,
            "pool.growth_below",
            &self.growth_below,
            format_args!(
                "must be above 0 and below pool.forced_from ({})",
                self.forced_from
            ),
        )?;
        require(
            self.forced_from <= 1.0,
            "pool.forced_from",
            &self.forced_from,
            "must be at most 1",
        )?;
        require(
            self.up_wait <= self.down_wait,
            "pool.up_wait",
            &self.up_wait,
            format_args!("must be at most pool.down_wait ({:?})", self.down_wait),
        )?;
        for (field, time) in [
            ("pool.target_lag", self.target_lag),
            ("pool.up_wait", self.up_wait),
            ("pool.forced_wait", self.forced_wait),
        ] {
            require(!time.is_zero(), field, &time, "must be above zero")?;
        }
        Ok(())
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            min: 2,
            max: 8,
            measure: Measure::Lag,
            target: 0.7,
            low: 0.3,
            depth_per_worker: 10,
            target_lag: Duration::from_millis(10),
            errors_below: 0.05,
            growth_below: 0.75,
            forced_from: 0.90,
            up_wait: Duration::from_secs(30),
            down_wait: Duration::from_mins(5),
            forced_wait: Duration::from_secs(1),
            idle_after: Duration::from_secs(3),
        }
    }
}
