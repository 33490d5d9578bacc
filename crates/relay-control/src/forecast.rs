//! The forecast: how long until the first limit is met, if memory goes on rising as it does.
//!
//! **Problem.** A threshold says how much is left, not for how long. At 7 MiB/s a container of
//! 256 MiB lives on for 3.8 s after 90 %, at 181 MiB/s for 0.25 s; pressure stall information says
//! nothing before either. And the tightest limit may belong to an ancestor that others fill as well.
//!
//! **Equation.** For each level `i` of the hierarchy, with `used` in unreclaimable bytes:
//!
//! ```text
//! rise(i)       = max(short average of Δused/Δt, long average of Δused/Δt, 0)
//! time_to_limit = min over i of (limit(i) − used(i)) ÷ rise(i)
//! ```
//!
//! The short average sees a burst while it rises; the long one still remembers it when one tick
//! happened to be quiet, so a sawing load is not taken for calm at each tooth.
//!
//! **Two clocks.** Between two samples the process may have allocated more than the last samples
//! let expect. [`Forecast::step_bytes`] takes bytes that were allocated since, from whoever counts
//! them: they are taken off every headroom at once and raise the rise to what they imply, until the
//! next sample says what came of them.
//!
//! | field | default | why |
//! |---|---|---|
//! | `short` | 150 ms | three ticks: levels out one allocator chunk |
//! | `long` | 2 s | a burst a second keeps its weight until the next one |
//! | `horizon` | 1 h | later than that is no forecast but a drift |
//! | `imminent` | 2 s | what it takes to shed and to drain a little; ends at twice that |
//! | `imminent_from` | 0.70 | below the first level a steep rise is a burst that the laws meet |
//!
//! **Source.** Linear extrapolation of time to exhaustion, as `predict_linear` does for disks in
//! Prometheus. We deviate in two windows instead of a regression: a regression over a fixed number
//! of samples is late by half its window, which near the limit is too late.

mod config;

use std::time::Duration;

pub use self::config::ForecastConfig;
use self::config::RELIEF;
use crate::{error::InvalidConfig, slope::Slope};

/// The levels of a hierarchy that are followed; of a deeper one, the outer levels are left out.
pub const LEVELS_MAX: usize = 8;

/// One level of the hierarchy: what is used of which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// Unreclaimable bytes, of everybody whom this limit holds.
    pub used_bytes: u64,
    /// The limit, in bytes.
    pub limit_bytes: u64,
}

/// What lies ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outlook {
    /// No limit is being met by what is known, and some level has not been read twice since its last gap. Never to be
    /// taken for calm.
    #[default]
    Unknown,
    /// Nothing rises towards a limit within the horizon, or nothing is limited.
    Clear,
    /// At the present rise a limit is met.
    Meets {
        /// After this time; zero when it has been met already.
        after: Duration,
        /// Which of the levels given, from 0.
        level: usize,
        /// The limit is near in time and in bytes (see [`ForecastConfig::imminent`]).
        imminent: bool,
    },
}

/// The law and its memory of each level.
///
/// ```
/// use relay_control::{Forecast, ForecastConfig, Headroom, Outlook};
/// use std::time::Duration;
///
/// let mut forecast = Forecast::try_new(ForecastConfig::default())?;
/// let mib = |used: u64, limit: u64| Headroom { used_bytes: used << 20, limit_bytes: limit << 20 };
/// let s = Duration::from_secs(1);
/// forecast.step(&[mib(100, 256), mib(900, 1024)], s);
/// // Ours rises by 10 MiB/s with 146 left, the group around us by 40 with 84 left.
/// let outlook = forecast.step(&[mib(110, 256), mib(940, 1024)], 2 * s);
/// assert_eq!(outlook.time_to_limit(), Some(Duration::from_millis(2100)));
/// assert!(matches!(outlook, Outlook::Meets { level: 1, .. }));
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct Forecast {
    config: ForecastConfig,
    levels: [Level; LEVELS_MAX],
    followed: usize,
    at: Option<Duration>,
    allocated_bytes: u64,
    imminent: bool,
    outlook: Outlook,
}

/// What is remembered of one level.
#[derive(Debug, Clone)]
struct Level {
    short: Slope,
    long: Slope,
    headroom: Headroom,
}

// === impl Outlook ===

impl Outlook {
    /// The time until a limit is met, if one is.
    pub const fn time_to_limit(self) -> Option<Duration> {
        match self {
            Self::Meets { after, .. } => Some(after),
            Self::Unknown | Self::Clear => None,
        }
    }

    /// Is a limit about to be met?
    pub const fn is_imminent(self) -> bool {
        matches!(self, Self::Meets { imminent: true, .. })
    }
}

// === impl Forecast ===

impl Forecast {
    /// A forecast that has seen nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `0 < short < long ≤ horizon`, `0 < imminent ≤ horizon ÷ 2` and
    /// `imminent_from_percent ≤ 100`.
    pub fn try_new(config: ForecastConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        let level = Level {
            short: Slope::new(config.short),
            long: Slope::new(config.long),
            headroom: Headroom {
                used_bytes: 0,
                limit_bytes: 0,
            },
        };
        Ok(Self {
            levels: std::array::from_fn(|_| level.clone()),
            followed: 0,
            at: None,
            allocated_bytes: 0,
            imminent: false,
            outlook: Outlook::Unknown,
            config,
        })
    }

    /// Takes a sample of every limited level, the innermost first and always in the same order.
    ///
    /// No levels at all means that nothing is limited. When their number changes, what was
    /// remembered of them is forgotten. Levels beyond [`LEVELS_MAX`] are not followed.
    pub fn step(&mut self, levels: &[Headroom], now: Duration) -> Outlook {
        let levels = &levels[..levels.len().min(LEVELS_MAX)];
        if levels.len() != self.followed {
            self.forget();
            self.followed = levels.len();
        }
        for (level, headroom) in self.levels.iter_mut().zip(levels) {
            level.update(*headroom, now);
        }
        self.at = Some(now);
        self.allocated_bytes = 0;
        self.look(0.0)
    }

    /// Takes note of `bytes` allocated since the last call of either method, between two samples.
    pub fn step_bytes(&mut self, bytes: u64, now: Duration) -> Outlook {
        self.allocated_bytes = self.allocated_bytes.saturating_add(bytes);
        // Without a sample to count from there is no headroom to take the bytes off.
        let Some(at) = self.at else {
            return self.outlook;
        };
        // Over less than a short window the bytes of one lucky moment are no rate.
        let elapsed = now.saturating_sub(at).max(self.config.short);
        self.look(self.allocated_bytes as f64 / elapsed.as_secs_f64())
    }

    /// What was remembered of one level is of another one now, such as after the binding limit moved to another group: its
    /// rise is unknown until it was read twice again.
    ///
    /// ```
    /// use relay_control::{Forecast, ForecastConfig, Headroom, Outlook};
    /// use std::time::Duration;
    ///
    /// let mut forecast = Forecast::try_new(ForecastConfig::default())?;
    /// let mib = |used: u64, limit: u64| Headroom { used_bytes: used << 20, limit_bytes: limit << 20 };
    /// let s = Duration::from_secs(1);
    /// forecast.step(&[mib(100, 256)], s);
    /// // 800 MiB of another group are no rise by 700.
    /// forecast.forget_level(0);
    /// assert_eq!(forecast.step(&[mib(800, 1024)], 2 * s), Outlook::Unknown);
    /// assert_eq!(forecast.step(&[mib(800, 1024)], 3 * s), Outlook::Clear);
    /// # Ok::<(), relay_control::InvalidConfig>(())
    /// ```
    pub fn forget_level(&mut self, level: usize) {
        if let Some(level) = self.levels.get_mut(level) {
            level.short.reset();
            level.long.reset();
        }
    }

    /// The sensor is silent: what was known says nothing any more.
    pub fn lose(&mut self) -> Outlook {
        self.forget();
        self.outlook
    }

    /// What the last step answered.
    pub fn outlook(&self) -> Outlook {
        self.outlook
    }

    fn forget(&mut self) {
        (0..LEVELS_MAX).for_each(|level| self.forget_level(level));
        self.followed = 0;
        self.at = None;
        self.allocated_bytes = 0;
        self.imminent = false;
        self.outlook = Outlook::Unknown;
    }

    fn look(&mut self, allocated_per_second: f64) -> Outlook {
        let followed = &self.levels[..self.followed];
        let known = followed.iter().all(|level| level.short.rise().is_some());
        let horizon = self.config.horizon.as_secs_f64();
        let nearest = followed
            .iter()
            .enumerate()
            .filter_map(|(index, level)| {
                let seconds = level.seconds(self.allocated_bytes, allocated_per_second)?;
                (seconds <= horizon).then_some((index, seconds))
            })
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((index, seconds)) = nearest else {
            self.imminent = false;
            self.outlook = if known {
                Outlook::Clear
            } else {
                Outlook::Unknown
            };
            return self.outlook;
        };
        let after = Duration::from_secs_f64(seconds);
        self.imminent = self.is_imminent(&followed[index], after);
        self.outlook = Outlook::Meets {
            after,
            level: index,
            imminent: self.imminent,
        };
        self.outlook
    }

    fn is_imminent(&self, level: &Level, after: Duration) -> bool {
        let Headroom {
            used_bytes,
            limit_bytes,
        } = level.headroom;
        let used_bytes = used_bytes.saturating_add(self.allocated_bytes);
        let near = used_bytes as f64 * 100.0
            >= limit_bytes as f64 * f64::from(self.config.imminent_from_percent);
        let bound = if self.imminent {
            self.config.imminent.saturating_mul(RELIEF)
        } else {
            self.config.imminent
        };
        near && after < bound
    }
}

// === impl Level ===

impl Level {
    fn update(&mut self, headroom: Headroom, now: Duration) {
        self.short.update(headroom.used_bytes as f64, now);
        self.long.update(headroom.used_bytes as f64, now);
        self.headroom = headroom;
    }

    /// Seconds until this limit is met; `None` while nothing rises.
    fn seconds(&self, allocated_bytes: u64, allocated_per_second: f64) -> Option<f64> {
        let left = self
            .headroom
            .limit_bytes
            .saturating_sub(self.headroom.used_bytes)
            .saturating_sub(allocated_bytes);
        let rise = self
            .short
            .rise_per_second()
            .max(self.long.rise_per_second())
            .max(allocated_per_second);
        if left == 0 {
            return Some(0.0);
        }
        (rise > 0.0).then(|| left as f64 / rise)
    }
}

#[cfg(test)]
mod tests;
