//! The pace: how long to wait until the next look at memory.
//!
//! **Problem.** A fixed period is wrong twice: at rest it wakes a core twenty times a second for
//! nothing, and at 181 MiB/s the last 10 % of a container of 256 MiB last a quarter of a second,
//! five looks at 50 ms.
//!
//! **Equation.**
//!
//! ```text
//! wanted = min(usual, bound of the level, time_to_limit ÷ looks)     at least min; at most `learning` while learning
//!        = idle                                                      when calm for `settle`
//! wait   = wanted            when that is shorter than the last wait
//!        = min(wanted, 2 · the last wait)                            otherwise
//! ```
//!
//! The period shrinks at once and grows by doubling, so that a forecast which comes and goes does
//! not make it jump: from 1 ms it is back at 50 ms after 63 ms of calm. It shrinks with the time
//! that is left, not with the bytes: `looks` looks are left however steep the rise.
//!
//! *Calm* is level normal, nothing moving, and an outlook that is clear or so far away that even idle waits leave `looks`
//! of them (50 s by default). An unknown outlook is not calm:
//! without a sensor the period never goes above `usual`.
//!
//! | field | default | why |
//! |---|---|---|
//! | `idle` | 1 s | a look costs tens of microseconds: far below 0.1 % of a core |
//! | `usual` | 50 ms | the laws' constants are multiples of it |
//! | `learning` | 5 ms | three looks at how fast a new backlog drains fit into the 20 ms in which a step is to be answered |
//! | `error`, `critical` | 20 ms, 10 ms | a burst that no forecast can see starts closer to the limit |
//! | `min` | 1 ms | a look and its decision stay below a tenth of it |
//! | `looks` | 50 | 2 % of what is left a look; begins 2.5 s before the limit |
//! | `settle` | 1 s | a pause between two batches is no idleness |
//!
//! Who waits by this must be woken when something begins to move: [`Pace::wake`] then returns to
//! the usual period.
//!
//! **Source.** Sampling as a fixed fraction of the time to the event is ours; the measured times
//! are in the design notes of this crate.

use std::time::Duration;

use crate::{
    error::{InvalidConfig, require},
    forecast::Outlook,
    level::Level,
};

/// Constants of the pace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaceConfig {
    /// The wait while nothing moves.
    pub idle: Duration,
    /// The wait as a rule.
    pub usual: Duration,
    /// The longest wait while it is being learnt how fast a backlog drains.
    pub learning: Duration,
    /// The longest wait at level error.
    pub error: Duration,
    /// The longest wait from level critical on.
    pub critical: Duration,
    /// The shortest wait.
    pub min: Duration,
    /// Into how many waits the time to the limit is divided.
    pub looks: u32,
    /// How long nothing must have moved before it counts as idle.
    pub settle: Duration,
}

/// What the pace follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceInput {
    /// How near the limit is.
    pub level: Level,
    /// How long it will take.
    pub outlook: Outlook,
    /// Is it still being learnt how fast a backlog drains?
    pub learning: bool,
    /// Has anything been admitted, delivered, or been queued since the last look, or a knob been
    /// moved?
    pub moving: bool,
}

/// The law and the last wait.
///
/// ```
/// use relay_control::{Level, Outlook, Pace, PaceConfig, PaceInput};
/// use std::time::Duration;
///
/// let mut pace = Pace::try_new(PaceConfig::default())?;
/// let ms = Duration::from_millis;
/// let steep = PaceInput {
///     level: Level::Normal,
///     outlook: Outlook::Meets { after: ms(500), level: 0, imminent: false },
///     learning: false,
///     moving: true,
/// };
/// assert_eq!(pace.step(&steep, ms(50)), ms(10), "fifty looks are left");
/// let calm = PaceInput { outlook: Outlook::Clear, ..steep };
/// assert_eq!(pace.step(&calm, ms(60)), ms(20), "back by doubling");
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pace {
    config: PaceConfig,
    wait: Duration,
    /// Since when nothing has moved.
    calm_since: Option<Duration>,
}

// === impl PaceConfig ===

impl PaceConfig {
    /// The default with another usual period, and everything that depends on it within reach.
    ///
    /// ```
    /// use relay_control::PaceConfig;
    /// use std::time::Duration;
    ///
    /// let config = PaceConfig::with_usual(Duration::from_millis(5));
    /// assert_eq!(config.critical, Duration::from_millis(5));
    /// assert_eq!(config.idle, Duration::from_secs(1));
    /// ```
    pub fn with_usual(usual: Duration) -> Self {
        let default = Self::default();
        Self {
            idle: default.idle.max(usual),
            learning: default.learning.min(usual),
            error: default.error.min(usual),
            critical: default.critical.min(usual),
            min: default.min.min(usual),
            usual,
            ..default
        }
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        require(
            !self.min.is_zero() && self.min <= self.critical,
            "pace.min",
            &self.min,
            format_args!(
                "must be above zero and at most pace.critical ({:?})",
                self.critical
            ),
        )?;
        require(
            self.min <= self.learning && self.learning <= self.usual,
            "pace.learning",
            &self.learning,
            format_args!(
                "must be from pace.min ({:?}) to pace.usual ({:?})",
                self.min, self.usual
            ),
        )?;
        require(
            self.critical <= self.error,
            "pace.critical",
            &self.critical,
            format_args!("must be at most pace.error ({:?})", self.error),
        )?;
        require(
            self.error <= self.usual,
            "pace.error",
            &self.error,
            format_args!("must be at most pace.usual ({:?})", self.usual),
        )?;
        require(
            self.usual <= self.idle,
            "pace.usual",
            &self.usual,
            format_args!("must be at most pace.idle ({:?})", self.idle),
        )?;
        require(
            self.idle <= Duration::from_mins(1),
            "pace.idle",
            &self.idle,
            "must be at most 60 s",
        )?;
        require(
            (2..=1000).contains(&self.looks),
            "pace.looks",
            &self.looks,
            "must be from 2 to 1000",
        )
    }
}

impl Default for PaceConfig {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(1),
            usual: Duration::from_millis(50),
            learning: Duration::from_millis(5),
            error: Duration::from_millis(20),
            critical: Duration::from_millis(10),
            min: Duration::from_millis(1),
            looks: 50,
            settle: Duration::from_secs(1),
        }
    }
}

// === impl Pace ===

impl Pace {
    /// A pace at the usual period.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `0 < min ≤ critical ≤ error ≤ usual ≤ idle ≤ 60 s`, `min ≤ learning ≤ usual` and `looks` is
    /// from 2 to 1000.
    pub fn try_new(config: PaceConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            wait: config.usual,
            calm_since: None,
            config,
        })
    }

    /// How long to wait after a look at `now`.
    pub fn step(&mut self, input: &PaceInput, now: Duration) -> Duration {
        let wanted = if self.is_idle(input, now) {
            self.config.idle
        } else {
            self.busy(input)
        };
        self.wait = wanted.min(self.wait.saturating_mul(2));
        self.wait
    }

    /// Something began to move during a wait: the next one is no longer than the usual.
    pub fn wake(&mut self) {
        self.calm_since = None;
        self.wait = self.wait.min(self.config.usual);
    }

    /// What the last step answered.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    fn is_idle(&mut self, input: &PaceInput, now: Duration) -> bool {
        let calm = input.level == Level::Normal && self.is_far(input.outlook) && !input.moving;
        if !calm {
            self.calm_since = None;
            return false;
        }
        let since = *self.calm_since.get_or_insert(now);
        now.saturating_sub(since) >= self.config.settle
    }

    /// So far away that waiting idly leaves as many looks as are wanted: memory that merely drifts is no danger.
    fn is_far(&self, outlook: Outlook) -> bool {
        match outlook {
            Outlook::Unknown => false,
            Outlook::Clear => true,
            Outlook::Meets { after, .. } => after / self.config.looks >= self.config.idle,
        }
    }

    fn busy(&self, input: &PaceInput) -> Duration {
        let c = &self.config;
        let by_level = match input.level {
            Level::Normal | Level::Warning => c.usual,
            Level::Error => c.error,
            Level::Critical | Level::Emergency => c.critical,
        };
        let by_level = if input.learning {
            by_level.min(c.learning)
        } else {
            by_level
        };
        let by_time = input.outlook.time_to_limit().map(|time| time / c.looks);
        by_time
            .map_or(by_level, |time| by_level.min(time))
            .max(c.min)
    }
}

#[cfg(test)]
mod tests;
