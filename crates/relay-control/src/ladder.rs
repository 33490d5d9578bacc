//! The ladder: five levels of danger, with hysteresis.
//!
//! **Problem.** People and coarse actuators (shed, drop, shut down) want one word for how near the
//! limit is, and the word must not flicker when memory hovers at a threshold.
//!
//! **Law.** A level is entered at or above its threshold (`≥`) and left strictly below its exit
//! (`<`). Rising acts at once, over several levels if need be. Warning is left below `relief`;
//! error, critical and emergency a fixed 0.10 below their thresholds, though never below `relief`.
//!
//! | field | early | late | meaning |
//! |---|---|---|---|
//! | `warning` | 0.70 | 0.85 | throttle |
//! | `error` | 0.85 | 0.90 | shed |
//! | `critical` | 0.90 | 0.95 | drop, purge |
//! | `emergency` | 0.98 | 0.98 | drain and exit before the kernel acts |
//! | `relief` | 0.55 | 0.70 | back to normal |
//!
//! Warning, error and critical are judged by the smaller of soft and hard limit; emergency by the
//! hard one. Emergency begins no closer to the hard limit than 0.5 MiB + 256 KiB × CPUs: Linux
//! charges memory to a cgroup in per-CPU batches of 64 pages (`MEMCG_CHARGE_BATCH`,
//! `mm/memcontrol.c`), so that much can be taken without being visible in usage.

use crate::{
    error::{InvalidConfig, require},
    level::Level,
    memory::Memory,
};

/// Each level above warning is left this far below where it was entered. With the early preset
/// error ends below 0.75, where the defensive actions end.
const STEP_DOWN: f64 = 0.10;
const RESERVE_BASE_BYTES: u64 = 512 * 1024;
const RESERVE_PER_CPU_BYTES: u64 = 256 * 1024;

/// Where the levels begin and end, as shares of the limit.
#[derive(Debug, Clone, PartialEq)]
pub struct LadderConfig {
    /// Warning begins at this pressure.
    pub warning: f64,
    /// Error begins at this pressure.
    pub error: f64,
    /// Critical begins at this pressure.
    pub critical: f64,
    /// Emergency begins at this share of the hard limit, or earlier on many CPUs.
    pub emergency: f64,
    /// Below this pressure everything is normal again.
    pub relief: f64,
    /// CPUs that may hold memory charged ahead: those the process may run on.
    pub cpus: u32,
}

/// The ladder and where it stands.
///
/// ```
/// use relay_control::{Ladder, LadderConfig, Level, Memory};
///
/// let mut ladder = Ladder::try_new(LadderConfig::early())?;
/// let at = |percent| Memory { unreclaimable_bytes: percent, limit_bytes: 100, soft_limit_bytes: None };
/// assert_eq!(ladder.step(&at(69)), Level::Normal);
/// assert_eq!(ladder.step(&at(70)), Level::Warning);
/// assert_eq!(ladder.step(&at(55)), Level::Warning);
/// assert_eq!(ladder.step(&at(54)), Level::Normal);
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ladder {
    config: LadderConfig,
    level: Level,
}

// === impl LadderConfig ===

impl LadderConfig {
    /// 0.70 / 0.85 / 0.90 / 0.98, relief 0.55: time to act before memory is scarce.
    pub const fn early() -> Self {
        Self {
            warning: 0.70,
            error: 0.85,
            critical: 0.90,
            emergency: 0.98,
            relief: 0.55,
            cpus: 1,
        }
    }

    /// 0.85 / 0.90 / 0.95 / 0.98, relief 0.70: for services that run near their limit on purpose.
    pub const fn late() -> Self {
        Self {
            warning: 0.85,
            error: 0.90,
            critical: 0.95,
            emergency: 0.98,
            relief: 0.70,
            cpus: 1,
        }
    }

    /// The share of a hard limit of `limit_bytes` at which emergency begins.
    ///
    /// Never above `emergency`, never nearer to the limit than the kernel's per-CPU precharge, and
    /// never below `critical`: a limit so small that the precharge reaches that far is in danger
    /// from critical on.
    ///
    /// ```
    /// use relay_control::LadderConfig;
    ///
    /// let config = LadderConfig { cpus: 16, ..LadderConfig::early() };
    /// assert_eq!(config.emergency_share(1 << 30), 0.98);
    /// assert_eq!(config.emergency_share(64 << 20), 59.5 / 64.0, "4.5 MiB are kept");
    /// assert_eq!(config.emergency_share(16 << 20), 0.90);
    /// ```
    pub fn emergency_share(&self, limit_bytes: u64) -> f64 {
        let reserve_bytes = RESERVE_BASE_BYTES + RESERVE_PER_CPU_BYTES * u64::from(self.cpus);
        let reserve = reserve_bytes as f64 / limit_bytes.max(1) as f64;
        self.emergency.min(1.0 - reserve).max(self.critical)
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        let Self {
            warning,
            error,
            critical,
            emergency,
            relief,
            cpus,
        } = *self;
        require(
            relief > 0.0 && relief < 1.0,
            "ladder.relief",
            &relief,
            "must be above 0 and below 1",
        )?;
        require(
            relief < warning && warning < error,
            "ladder.warning",
            &warning,
            format_args!("must be above ladder.relief ({relief}) and below ladder.error ({error})"),
        )?;
        require(
            error < critical,
            "ladder.error",
            &error,
            format_args!("must be below ladder.critical ({critical})"),
        )?;
        require(
            critical < emergency,
            "ladder.critical",
            &critical,
            format_args!("must be below ladder.emergency ({emergency})"),
        )?;
        require(
            emergency <= 1.0,
            "ladder.emergency",
            &emergency,
            "must be at most 1",
        )?;
        require(cpus > 0, "ladder.cpus", &cpus, "must be at least 1")
    }
}

impl Default for LadderConfig {
    /// The early preset.
    fn default() -> Self {
        Self::early()
    }
}

// === impl Ladder ===

impl Ladder {
    /// A ladder at [`Level::Normal`].
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `0 < relief < warning < error < critical < emergency ≤ 1` and
    /// there is at least one CPU.
    pub fn try_new(config: LadderConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            config,
            level: Level::Normal,
        })
    }

    /// Takes a reading and answers the level from now on.
    pub fn step(&mut self, memory: &Memory) -> Level {
        let highest = |reaches: &dyn Fn(Level) -> bool| {
            let level = Level::ALL.into_iter().rev().find(|level| reaches(*level));
            level.unwrap_or_default()
        };
        let entered = highest(&|level| self.distance(level, memory) >= 0.0);
        let held = highest(&|level| level <= self.level && self.still_holds(level, memory));
        self.level = entered.max(held);
        self.level
    }

    /// The level of the last step.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Back to normal without a reading: the limit has gone.
    pub fn release(&mut self) {
        self.level = Level::Normal;
    }

    /// Is this reading at or above the emergency threshold, whatever the level held from before?
    pub fn is_emergency(&self, memory: &Memory) -> bool {
        self.distance(Level::Emergency, memory) >= 0.0
    }

    fn threshold(&self, level: Level, memory: &Memory) -> f64 {
        match level {
            Level::Normal => f64::NEG_INFINITY,
            Level::Warning => self.config.warning,
            Level::Error => self.config.error,
            Level::Critical => self.config.critical,
            Level::Emergency => self.config.emergency_share(memory.limit_bytes),
        }
    }

    fn exit(&self, level: Level, memory: &Memory) -> f64 {
        match level {
            Level::Normal => f64::NEG_INFINITY,
            Level::Warning => self.config.relief,
            _ => (self.threshold(level, memory) - STEP_DOWN).max(self.config.relief),
        }
    }

    fn distance(&self, level: Level, memory: &Memory) -> f64 {
        pressure_for(level, memory) - self.threshold(level, memory)
    }

    fn still_holds(&self, level: Level, memory: &Memory) -> bool {
        pressure_for(level, memory) >= self.exit(level, memory)
    }
}

fn pressure_for(level: Level, memory: &Memory) -> f64 {
    if level == Level::Emergency {
        memory.hard_pressure()
    } else {
        memory.pressure()
    }
}

#[cfg(test)]
mod tests;
