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
//! - The lowest priority has a scale of its own with a lower floor: it is cut and grown with the
//!   other, and reaches the floor as soon as a cut would leave less than one `increase`. At 20 times
//!   the capacity a tenth of everything is still twice too much.
//!
//! **Kept memory.** An allocator keeps pages after they were freed, and a governor that follows
//! memory alone would never recover from that. Where live bytes are counted
//! ([`Aimd::step_with_live`]), an episode is judged by them as soon as they are below `exit`, as if
//! they were the pressure, until memory itself has come down. Should memory rise by 5 % of the limit
//! all the same, it is not the allocator, and pressure alone counts for the rest of the episode.
//!
//! | field | default | why |
//! |---|---|---|
//! | `enter` | 0.70 | the ladder's warning |
//! | `exit` | 0.55 | 15 points of hysteresis |
//! | `critical` | 0.90 | the ladder's critical |
//! | `increase` | 0.05 | 10 steps from 0.5 to 1 |
//! | `decrease_factor` | 0.5 | RFC 5681's halving |
//! | `floor` | 0.10 | something always passes; 0 closes entirely |
//! | `lowest_floor` | 0 | of the lowest priority: it makes room for the others |
//! | `cooldown` | 30 s | recovery from 0.5 takes 300 s; at 50 ms, half a second |
//!
//! **Source.** Chiu and Jain, *Analysis of the Increase and Decrease Algorithms for Congestion
//! Avoidance in Computer Networks* (1989); RFC 5681 §3.1. We deviate in acting on a threshold of
//! memory instead of on loss, with a cooldown in the place of a round trip.

mod config;

use std::{fmt, time::Duration};

pub use self::config::AimdConfig;
use crate::error::InvalidConfig;

/// Ten additions of 0.05 to 0.5 end 1e-16 short of 1.
const EPSILON: f64 = 1e-9;

/// Memory that rises by this share of the limit is not merely kept.
const KEPT_RISE: f64 = 0.05;

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
    /// The same for the lowest priority, from its floor to `scale`.
    pub lowest_scale: f64,
}

/// Is the memory of this episode only kept by the allocator?
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kept {
    /// Nothing says so.
    No,
    /// Live bytes do. The lowest pressure since then.
    Since(f64),
    /// It was thought so, and then memory rose.
    Refuted,
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
    kept: Kept,
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
    /// `0 < decrease_factor < 1` and `0 ≤ lowest_floor ≤ floor < 1`.
    pub fn try_new(config: AimdConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            config,
            governor: Governor {
                state: GovernorState::Normal,
                scale: 1.0,
                lowest_scale: 1.0,
            },
            kept: Kept::No,
            last_cut: None,
            last_growth: Duration::ZERO,
            may_cut_at_critical: false,
        })
    }

    /// Takes the pressure at `now` and answers what holds from now on. One change of scale a step.
    pub fn step(&mut self, pressure: f64, now: Duration) -> Governor {
        self.step_with_live(pressure, None, now)
    }

    /// [`step`](Self::step) where live bytes are counted: `live` is what the allocator has handed
    /// out and not got back, divided by the limit that `pressure` refers to.
    ///
    /// ```
    /// use relay_control::{Aimd, AimdConfig, GovernorState};
    /// use std::time::Duration;
    ///
    /// let mut aimd = Aimd::try_new(AimdConfig::default())?;
    /// let s = Duration::from_secs;
    /// aimd.step_with_live(0.80, Some(0.75), s(1));
    /// // All was worked off and freed, and the pages were kept.
    /// let governor = aimd.step_with_live(0.80, Some(0.10), s(2));
    /// assert_eq!(governor.state, GovernorState::Recovering);
    /// # Ok::<(), relay_control::InvalidConfig>(())
    /// ```
    pub fn step_with_live(&mut self, pressure: f64, live: Option<f64>, now: Duration) -> Governor {
        let judged = self.judged(pressure, live);
        match self.governor.state {
            GovernorState::Normal | GovernorState::Recovering if judged >= self.config.enter => {
                self.degrade(now);
            }
            GovernorState::Degraded if judged >= self.config.critical => self.cut_again(now),
            GovernorState::Degraded if judged < self.config.exit => self.start_recovery(now),
            GovernorState::Recovering if judged < self.config.exit => self.grow(now),
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
        // Memory that was taken for kept and rises after all is the same episode, and what it may do it still may.
        let same = matches!(self.kept, Kept::Refuted);
        self.may_cut_at_critical = allowed || (same && self.may_cut_at_critical);
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
        let c = &self.config;
        let cut = |scale: f64, floor: f64| {
            let cut = scale * c.decrease_factor;
            // What one step of recovery would more than double is as good as shut.
            if cut < c.increase {
                floor
            } else {
                cut.max(floor)
            }
        };
        self.governor.scale = cut(self.governor.scale, c.floor);
        self.governor.lowest_scale = cut(self.governor.lowest_scale, c.lowest_floor);
        self.last_cut = Some(now);
    }

    fn judged(&mut self, pressure: f64, live: Option<f64>) -> f64 {
        let Some(live) = live.filter(|_| pressure >= self.config.exit) else {
            self.kept = Kept::No;
            return pressure;
        };
        let freed = self.governor.state == GovernorState::Degraded && live < self.config.exit;
        self.kept = match self.kept {
            Kept::No if freed => Kept::Since(pressure),
            Kept::Since(lowest) if pressure > lowest + KEPT_RISE => Kept::Refuted,
            Kept::Since(lowest) => Kept::Since(lowest.min(pressure)),
            unchanged => unchanged,
        };
        match self.kept {
            Kept::Since(_) => live,
            Kept::No | Kept::Refuted => pressure,
        }
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
        self.governor.lowest_scale += self.config.increase;
        if self.governor.scale >= 1.0 - EPSILON {
            self.governor = Governor {
                state: GovernorState::Normal,
                scale: 1.0,
                lowest_scale: 1.0,
            };
        }
    }

    fn cooled_down(&self, now: Duration) -> bool {
        self.last_cut
            .is_none_or(|cut| now.saturating_sub(cut) >= self.config.cooldown)
    }
}

#[cfg(test)]
mod tests;
