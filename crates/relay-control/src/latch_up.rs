//! The latch-up detector: a gate that stays shut for memory that is not in use.
//!
//! **Problem.** An allocator keeps freed pages, so memory stays high though hardly anything is
//! live; a gate that follows memory then refuses everything, nothing is freed because nothing comes
//! in, and the service is down until somebody restarts it. It is the failure that is reported most
//! after the kill itself.
//!
//! **Law.** Suspected while all of this holds, latched after `after`:
//!
//! ```text
//! admitted ÷ min(offered, drain) ≤ shut_share
//! live ÷ limit       < live_low
//! pressure           ≥ pressure_from, and has not fallen by `fall` since the suspicion
//! ```
//!
//! What could have been admitted is what was offered, or what drains if that is less: at twenty times
//! the capacity a gate that works admits one in twenty. Memory that falls is being given back: the suspicion begins anew with each `fall`. Without an
//! account of live bytes nothing is suspected.
//!
//! | field | default | why |
//! |---|---|---|
//! | `shut_share` | 0.05 | one recovery step of the governor |
//! | `live_low` | 0.40 | well below the relief at 0.55 |
//! | `pressure_from` | 0.55 | below it everything is open |
//! | `fall` | 0.02 | twice the noise of a reading |
//! | `after` | 10 s | how long jemalloc keeps pages by default (`dirty_decay_ms`) |
//!
//! **Source.** Ours; the failures it describes are public: envoyproxy/envoy #39006,
//! elastic/elasticsearch #58674, tikv/tikv #15800.

use std::time::Duration;

use crate::error::{InvalidConfig, require};

/// Constants of the detector.
#[derive(Debug, Clone, PartialEq)]
pub struct LatchUpConfig {
    /// Up to this share of what could be admitted the gate counts as shut.
    pub shut_share: f64,
    /// Below this share of the limit the live bytes are low.
    pub live_low: f64,
    /// From this pressure on memory could be what keeps the gate shut.
    pub pressure_from: f64,
    /// A fall of the pressure that counts.
    pub fall: f64,
    /// How long the suspicion must last.
    pub after: Duration,
}

/// What the detector looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatchUpInput {
    /// Admitted ÷ the smaller of what was offered and what drains, since the last look; `None` when
    /// nothing was offered, which leaves the gate as it was seen last.
    pub admitted_share: Option<f64>,
    /// Live bytes of the allocator ÷ limit, `None` where nobody counts them.
    pub live_share: Option<f64>,
    /// Memory pressure, `None` while unknown.
    pub pressure: Option<f64>,
}

/// What the detector thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LatchUpState {
    /// Nothing to see.
    #[default]
    Clear,
    /// It looks like it, for now.
    Suspected,
    /// It has lasted. Purge the allocator and judge by live bytes.
    Latched,
}

/// The detector and what it remembers.
///
/// ```
/// use relay_control::{LatchUp, LatchUpConfig, LatchUpInput, LatchUpState};
/// use std::time::Duration;
///
/// let mut detector = LatchUp::try_new(LatchUpConfig::default())?;
/// let kept = LatchUpInput { admitted_share: Some(0.0), live_share: Some(0.1), pressure: Some(0.9) };
/// assert_eq!(detector.step(&kept, Duration::from_secs(1)), LatchUpState::Suspected);
/// assert_eq!(detector.step(&kept, Duration::from_secs(11)), LatchUpState::Latched);
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct LatchUp {
    config: LatchUpConfig,
    state: LatchUpState,
    shut: bool,
    /// When the suspicion began, and the pressure then.
    since: Option<(Duration, f64)>,
}

// === impl LatchUpConfig ===

impl LatchUpConfig {
    fn check(&self) -> Result<(), InvalidConfig> {
        for (field, value) in [
            ("latch_up.shut_share", self.shut_share),
            ("latch_up.fall", self.fall),
        ] {
            require(
                value > 0.0 && value < 1.0,
                field,
                &value,
                "must be above 0 and below 1",
            )?;
        }
        require(
            self.live_low > 0.0 && self.live_low < self.pressure_from,
            "latch_up.live_low",
            &self.live_low,
            format_args!(
                "must be above 0 and below latch_up.pressure_from ({})",
                self.pressure_from
            ),
        )?;
        require(
            self.pressure_from < 1.0,
            "latch_up.pressure_from",
            &self.pressure_from,
            "must be below 1",
        )?;
        require(
            !self.after.is_zero(),
            "latch_up.after",
            &self.after,
            "must be above zero",
        )
    }
}

impl Default for LatchUpConfig {
    fn default() -> Self {
        Self {
            shut_share: 0.05,
            live_low: 0.40,
            pressure_from: 0.55,
            fall: 0.02,
            after: Duration::from_secs(10),
        }
    }
}

// === impl LatchUp ===

impl LatchUp {
    /// A detector that suspects nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `0 < live_low < pressure_from < 1`, `shut_share` and `fall` are
    /// between 0 and 1, and `after` is above zero.
    pub fn try_new(config: LatchUpConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            config,
            state: LatchUpState::Clear,
            shut: false,
            since: None,
        })
    }

    /// Takes one look at `now`. An episode is one stretch of [`LatchUpState::Latched`].
    pub fn step(&mut self, input: &LatchUpInput, now: Duration) -> LatchUpState {
        let c = &self.config;
        if let Some(share) = input.admitted_share {
            self.shut = share <= c.shut_share;
        }
        let live_low = input.live_share.is_some_and(|live| live < c.live_low);
        let high = input.pressure.filter(|p| *p >= c.pressure_from);
        let Some(pressure) = high.filter(|_| self.shut && live_low) else {
            self.since = None;
            self.state = LatchUpState::Clear;
            return self.state;
        };
        let (since, from) = *self.since.get_or_insert((now, pressure));
        if pressure <= from - c.fall {
            self.since = Some((now, pressure));
            self.state = LatchUpState::Suspected;
        } else if now.saturating_sub(since) >= c.after {
            self.state = LatchUpState::Latched;
        } else if self.state == LatchUpState::Clear {
            self.state = LatchUpState::Suspected;
        }
        self.state
    }

    /// What the last step answered.
    pub fn state(&self) -> LatchUpState {
        self.state
    }
}

#[cfg(test)]
mod tests;
