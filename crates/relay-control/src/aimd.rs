//! The AIMD governor: fast down, slow up, one number between a floor and 1.
//!
//! **Problem.** When nothing is known about what drains, memory alone must say how much to admit.
//! Cutting must be quick and growing back slow, or the loop overshoots.
//!
//! **Law.** Additive increase, multiplicative decrease, in three states:
//!
//! ```text
//!            p ≥ enter: × decrease_factor            p < exit
//!   Normal ───────────────────────────▶ Degraded ──────────────▶ Recovering
//!     ▲                                    ▲  p ≥ enter               │
//!     │                                    └──────────────────────────┤
//!     └───────────────────────────────── scale = 1.0 ─────────────────┘
//! ```
//!
//! - The first crossing into critical during an episode cuts once more at once. Every other
//!   further cut waits for the cooldown after the last one, so however memory moves there are at
//!   most two cuts a cooldown.
//! - While recovering below `exit`, each cooldown adds `increase`. Between `exit` and `enter`
//!   nothing moves.
//! - Recovering → Degraded cuts only where the cooldown allows it, otherwise it keeps the scale.
//!
//! | field | default | why |
//! |---|---|---|
//! | `enter` | 0.70 | the ladder's warning |
//! | `exit` | 0.55 | 15 points of hysteresis |
//! | `critical` | 0.90 | the ladder's critical |
//! | `increase` | 0.05 | 10 steps from 0.5 to 1 |
//! | `decrease_factor` | 0.5 | RFC 5681's halving |
//! | `floor` | 0.10 | something always passes; 0 closes entirely |
//! | `cooldown` | 30 s | recovery from 0.5 takes 300 s; at 50 ms, half a second |
//!
//! **Source.** Chiu and Jain, *Analysis of the Increase and Decrease Algorithms for Congestion
//! Avoidance in Computer Networks* (1989); RFC 5681 §3.1. We deviate in acting on a threshold of
//! memory instead of on loss, with a cooldown in the place of a round trip.

use std::{fmt, time::Duration};

use crate::error::{InvalidConfig, require};

/// Ten additions of 0.05 to 0.5 end 1e-16 short of 1.
const EPSILON: f64 = 1e-9;

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
    /// Least time between two steps of the same direction.
    pub cooldown: Duration,
}

/// Which way the governor is going. Displayed in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GovernorState {
    /// Scale 1, nothing to do.
    #[default]
    Normal,
    /// Cut, and holding or cutting on.
    Degraded,
    /// Growing back.
    Recovering,
}

/// What the governor says: its state and the share of the nominal rate to admit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Governor {
    /// Which way it is going.
    pub state: GovernorState,
    /// Share of the nominal rate, from the floor to 1.
    pub scale: f64,
}

/// The law and its state.
///
/// ```
/// use relay_control::{Aimd, AimdConfig, GovernorState};
/// use std::time::Duration;
///
/// let mut aimd = Aimd::try_new(AimdConfig::default())?;
/// assert_eq!(aimd.step(0.70, Duration::from_secs(1)).scale, 0.5);
/// assert_eq!(aimd.step(0.90, Duration::from_secs(2)).scale, 0.25, "crossing into critical");
/// assert_eq!(aimd.step(0.95, Duration::from_secs(3)).scale, 0.25, "the cooldown holds");
/// assert_eq!(aimd.step(0.50, Duration::from_secs(4)).state, GovernorState::Recovering);
/// assert_eq!(aimd.step(0.50, Duration::from_secs(34)).scale, 0.30);
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct Aimd {
    config: AimdConfig,
    governor: Governor,
    last_cut: Option<Duration>,
    last_growth: Duration,
    /// The one cut that does not wait is still to come in this episode.
    may_cut_at_critical: bool,
}

// === impl AimdConfig ===

impl AimdConfig {
    fn check(&self) -> Result<(), InvalidConfig> {
        let Self {
            enter,
            exit,
            critical,
            increase,
            decrease_factor,
            floor,
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
            cooldown: Duration::from_secs(30),
        }
    }
}

// === impl GovernorState ===

impl GovernorState {
    /// The name that [`Display`](fmt::Display) prints, as metric labels want it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Degraded => "degraded",
            Self::Recovering => "recovering",
        }
    }
}

impl fmt::Display for GovernorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Aimd ===

impl Aimd {
    /// A governor in [`GovernorState::Normal`] with scale 1.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `0 < exit < enter ≤ critical ≤ 1`, `0 < increase ≤ 1`,
    /// `0 < decrease_factor < 1` and `0 ≤ floor < 1`.
    pub fn try_new(config: AimdConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            config,
            governor: Governor {
                state: GovernorState::Normal,
                scale: 1.0,
            },
            last_cut: None,
            last_growth: Duration::ZERO,
            may_cut_at_critical: false,
        })
    }

    /// Takes the pressure at `now` and answers what holds from now on. One change of scale a step.
    pub fn step(&mut self, pressure: f64, now: Duration) -> Governor {
        match self.governor.state {
            GovernorState::Normal | GovernorState::Recovering if pressure >= self.config.enter => {
                self.degrade(now);
            }
            GovernorState::Degraded if pressure >= self.config.critical => self.cut_again(now),
            GovernorState::Degraded if pressure < self.config.exit => self.start_recovery(now),
            GovernorState::Recovering if pressure < self.config.exit => self.grow(now),
            _ => {}
        }
        self.governor
    }

    /// What the last step answered.
    pub fn governor(&self) -> Governor {
        self.governor
    }

    fn degrade(&mut self, now: Duration) {
        let allowed = self.cooled_down(now);
        self.governor.state = GovernorState::Degraded;
        self.may_cut_at_critical = allowed;
        if allowed {
            self.cut(now);
        }
    }

    fn cut_again(&mut self, now: Duration) {
        if std::mem::take(&mut self.may_cut_at_critical) || self.cooled_down(now) {
            self.cut(now);
        }
    }

    fn cut(&mut self, now: Duration) {
        let cut = self.governor.scale * self.config.decrease_factor;
        self.governor.scale = cut.max(self.config.floor);
        self.last_cut = Some(now);
    }

    fn start_recovery(&mut self, now: Duration) {
        self.governor.state = GovernorState::Recovering;
        self.last_growth = now;
    }

    fn grow(&mut self, now: Duration) {
        if now.saturating_sub(self.last_growth) < self.config.cooldown {
            return;
        }
        self.last_growth = now;
        self.governor.scale += self.config.increase;
        if self.governor.scale >= 1.0 - EPSILON {
            self.governor.scale = 1.0;
            self.governor.state = GovernorState::Normal;
        }
    }

    fn cooled_down(&self, now: Duration) -> bool {
        self.last_cut
            .is_none_or(|cut| now.saturating_sub(cut) >= self.config.cooldown)
    }
}

#[cfg(test)]
mod tests;
