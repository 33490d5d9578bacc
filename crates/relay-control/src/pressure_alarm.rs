//! The stall alarm: pressure stall information that stays high.
//!
//! **Problem.** Pressure stall information (PSI) says which share of the time tasks waited for
//! memory. Single readings above a threshold are common and mean nothing; a stretch of them means
//! that the kernel is thrashing through file pages. It is a second opinion only: without swap it
//! stays at 0.00 until the last MiB before the kill.
//!
//! **Law.** The alarm is raised when `some avg10` has been at or above `threshold` for `sustain`
//! without a break, and relieved below `relief`. Alerts are at least `repeat` apart, whatever the
//! readings do; the level goes on without them. A relief is only told after an alert.
//!
//! | field | default | why |
//! |---|---|---|
//! | `threshold` | 0.20 | a **ratio**: the kernel's file says `20.00`, in percent |
//! | `error`, `critical` | 0.30, 0.50 | how bad it is, once it is sustained |
//! | `relief` | 0.15 | a quarter of hysteresis below the threshold |
//! | `sustain` | 2 s | two readings of the kernel's own 2 s averaging period |
//! | `repeat` | 60 s | one alert a minute at most |
//!
//! **Source.** Linux `Documentation/accounting/psi.rst`: `avg10` is a running average over 10 s
//! that the kernel renews every 2 s (`PSI_FREQ`, `kernel/sched/psi.c`). A sustained threshold is
//! how systemd-oomd judges it (`DefaultMemoryPressureDurationSec=`).

use std::time::Duration;

use crate::{
    error::{InvalidConfig, require},
    level::Level,
};

/// Constants of the stall alarm. Shares are ratios from 0 to 1, not percent.
#[derive(Debug, Clone, PartialEq)]
pub struct PressureAlarmConfig {
    /// From this share on the alarm is raised, at level warning.
    pub threshold: f64,
    /// From this share on a raised alarm is at level error.
    pub error: f64,
    /// From this share on a raised alarm is at level critical.
    pub critical: f64,
    /// Below this share the alarm is over.
    pub relief: f64,
    /// How long the share must have been at or above the threshold.
    pub sustain: Duration,
    /// Least time between two alerts.
    pub repeat: Duration,
}

/// What is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PressureAlert {
    /// Pressure is sustained, at this level.
    Raised(Level),
    /// It is over.
    Relieved,
}

/// The state of the alarm after a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PressureDecision {
    /// [`Level::Normal`] while there is no alarm, else warning, error or critical.
    pub level: Level,
    /// What is to be told now, if anything.
    pub alert: Option<PressureAlert>,
}

/// The alarm and what it remembers.
///
/// ```
/// use relay_control::{Level, PressureAlarm, PressureAlarmConfig, PressureAlert};
/// use std::time::Duration;
///
/// let mut alarm = PressureAlarm::try_new(PressureAlarmConfig::default())?;
/// let s = Duration::from_secs(1);
/// assert_eq!(alarm.step(Some(0.25), s).alert, None);
/// assert_eq!(alarm.step(Some(0.25), 3 * s).alert, Some(PressureAlert::Raised(Level::Warning)));
/// assert_eq!(alarm.step(Some(0.25), 4 * s).alert, None, "said once");
/// assert_eq!(alarm.step(Some(0.01), 5 * s).alert, Some(PressureAlert::Relieved));
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct PressureAlarm {
    config: PressureAlarmConfig,
    level: Level,
    above_since: Option<Duration>,
    alerted_at: Option<Duration>,
    /// An alert was told and its relief was not yet.
    relief_due: bool,
}

// === impl PressureAlarmConfig ===

impl PressureAlarmConfig {
    fn check(&self) -> Result<(), InvalidConfig> {
        let Self {
            threshold,
            error,
            critical,
            relief,
            ..
        } = *self;
        require(
            relief > 0.0 && relief <= threshold,
            "psi.relief",
            &relief,
            format_args!("must be above 0 and at most psi.threshold ({threshold})"),
        )?;
        require(
            threshold < error,
            "psi.threshold",
            &threshold,
            format_args!("must be below psi.error ({error}); a ratio, so 20 % is 0.2"),
        )?;
        require(
            error < critical,
            "psi.error",
            &error,
            format_args!("must be below psi.critical ({critical})"),
        )?;
        require(
            critical <= 1.0,
            "psi.critical",
            &critical,
            "must be at most 1; a ratio, so 50 % is 0.5",
        )?;
        require(
            !self.sustain.is_zero(),
            "psi.sustain",
            &self.sustain,
            "must be above zero",
        )?;
        require(
            self.repeat >= self.sustain,
            "psi.repeat",
            &self.repeat,
            format_args!("must be at least psi.sustain ({:?})", self.sustain),
        )
    }

    fn level_at(&self, share: f64) -> Level {
        if share >= self.critical {
            Level::Critical
        } else if share >= self.error {
            Level::Error
        } else {
            Level::Warning
        }
    }
}

impl Default for PressureAlarmConfig {
    fn default() -> Self {
        Self {
            threshold: 0.20,
            error: 0.30,
            critical: 0.50,
            relief: 0.15,
            sustain: Duration::from_secs(2),
            repeat: Duration::from_mins(1),
        }
    }
}

// === impl PressureAlarm ===

impl PressureAlarm {
    /// An alarm at rest.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `0 < relief ≤ threshold < error < critical ≤ 1` and
    /// `0 < sustain ≤ repeat`.
    pub fn try_new(config: PressureAlarmConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            config,
            level: Level::Normal,
            above_since: None,
            alerted_at: None,
            relief_due: false,
        })
    }

    /// Takes `some avg10` as a ratio; `None` while the file cannot be read, which neither raises
    /// the alarm nor ends it.
    pub fn step(&mut self, share: Option<f64>, now: Duration) -> PressureDecision {
        let Some(share) = share.filter(|share| share.is_finite()) else {
            self.above_since = None;
            return self.decision(None);
        };
        self.level = self.judge(share, now);
        let alert = self.alert(now);
        self.decision(alert)
    }

    /// The level of the last step.
    pub fn level(&self) -> Level {
        self.level
    }

    fn judge(&mut self, share: f64, now: Duration) -> Level {
        let c = &self.config;
        if share >= c.threshold {
            let since = *self.above_since.get_or_insert(now);
            if now.saturating_sub(since) >= c.sustain {
                return c.level_at(share);
            }
            return self.level;
        }
        self.above_since = None;
        if share < c.relief {
            Level::Normal
        } else {
            self.level.min(Level::Warning)
        }
    }

    fn alert(&mut self, now: Duration) -> Option<PressureAlert> {
        if self.level == Level::Normal {
            return std::mem::take(&mut self.relief_due).then_some(PressureAlert::Relieved);
        }
        let due = self
            .alerted_at
            .is_none_or(|at| now.saturating_sub(at) >= self.config.repeat);
        if !due {
            return None;
        }
        self.alerted_at = Some(now);
        self.relief_due = true;
        Some(PressureAlert::Raised(self.level))
    }

    fn decision(&self, alert: Option<PressureAlert>) -> PressureDecision {
        PressureDecision {
            level: self.level,
            alert,
        }
    }
}

#[cfg(test)]
mod tests;
