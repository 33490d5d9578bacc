//! Drain matching: admit what drains, a little more below the setpoint, less above it.
//!
//! **Problem.** Under overload, memory is what was admitted and has not been delivered. A law that
//! looks at memory alone (AIMD) has to swing to find the rate at which it stops growing. That rate
//! is no secret: it is the rate at which things go out.
//!
//! **Equation.** With pressure `p` (unreclaimable ÷ limit), its rise `ṗ`, ledger fill `u`, and
//! `h = (setpoint − (p + ṗ · look_ahead)) ÷ band` the headroom in bands:
//!
//! ```text
//! g = 1 + (gain_max − 1) · min(h, 1) · (1 − u)     h > 0     grow while there is room in both
//!   = max(0, 1 + h)                                h ≤ 0     shrink to nothing within one band
//!
//! rate = max(drain · g, room ÷ room_time)
//! ```
//!
//! where `room` is what fits below the setpoint and into the ledger, in accounted bytes. The second
//! term lets an almost empty queue absorb a stalled consumer, whose measured drain goes to nothing:
//! that is what queues are for. It vanishes at the setpoint, so it never moves the resting point.
//!
//! The loop rests where `g = 1`: at the setpoint, admitting exactly the drain. Around it, memory
//! follows `ṁ = cost · drain · (g − 1)`, a first-order lag without overshoot as long as one tick
//! moves memory by less than a band: `cost · drain · tick < band · limit`.
//!
//! | field | default | why |
//! |---|---|---|
//! | `setpoint` | 0.65 | below the AIMD entry, so the governor rests under ordinary overload |
//! | `band` | 0.10 | nothing is admitted from 0.75: 10 points before error. At a limit of 64 MiB and cost 1.6 it is stable up to 80 MiB/s |
//! | `gain_max` | 1.5 | between the 1.25 and 2 that `CockroachDB` starts with |
//! | `look_ahead` | 150 ms | three ticks: sensing, deciding, and what is already on its way |
//! | `time_constant` | 1 s | levels out batches; follows a consumer that slows down |
//! | `expiry` | 10 s | see below |
//! | `room_time` | 10 s | a stall of seconds is absorbed |
//!
//! The drain is measured only while there is a backlog, is in force only as long, and is forgotten
//! `expiry` after the last one. What happens without it is the controller's to say.
//!
//! **Source.** `CockroachDB`'s admission control hands out byte tokens by measured drain
//! (cockroachdb/cockroach #79092) and starts with 1.25–2 × the drain, shrinking to 1 × (#109085).
//! We deviate in steering by memory and not by the store's health, and in looking ahead.

use std::time::Duration;

use crate::error::{InvalidConfig, require};

/// Constants of drain matching and of the drain's measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct DrainConfig {
    /// Pressure at which exactly the drain is admitted.
    pub setpoint: f64,
    /// Pressure above the setpoint at which nothing is admitted any more; and below it, at which
    /// the gain reaches its maximum.
    pub band: f64,
    /// How many times the drain is admitted when there is plenty of room.
    pub gain_max: f64,
    /// How far ahead a rise is carried.
    pub look_ahead: Duration,
    /// Time constant of the measured drain.
    pub time_constant: Duration,
    /// Time without backlog after which the measured drain is forgotten.
    pub expiry: Duration,
    /// Time in which all room below the setpoint may be filled, whatever drains.
    pub room_time: Duration,
}

/// What the law looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Situation {
    /// Measured drain in accounted bytes a second.
    pub drain_bytes_per_second: f64,
    /// Unreclaimable memory ÷ limit.
    pub pressure: f64,
    /// By how much the pressure rises in a second; 0 when it falls.
    pub rise_per_second: f64,
    /// The limit that pressure refers to.
    pub limit_bytes: u64,
    /// Resident bytes for each accounted byte.
    pub cost_factor: f64,
    /// Accounted bytes in the ledger.
    pub ledger_used_bytes: u64,
    /// Accounted bytes that the ledger takes at most.
    pub ledger_bytes: u64,
}

/// The checked law. It holds no state.
///
/// ```
/// use relay_control::{DrainConfig, DrainMatch};
///
/// let law = DrainMatch::try_new(DrainConfig::default())?;
/// assert_eq!(law.gain(0.65, 0.0, 0.5), 1.0, "at the setpoint: what drains");
/// assert_eq!(law.gain(0.10, 0.0, 0.0), 1.5, "plenty of room");
/// assert_eq!(law.gain(0.80, 0.0, 0.5), 0.0);
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct DrainMatch {
    config: DrainConfig,
}

// === impl DrainConfig ===

impl DrainConfig {
    fn check(&self) -> Result<(), InvalidConfig> {
        require(
            self.setpoint > 0.0 && self.setpoint < 1.0,
            "drain.setpoint",
            &self.setpoint,
            "must be above 0 and below 1",
        )?;
        require(
            self.band > 0.0 && self.band <= self.setpoint,
            "drain.band",
            &self.band,
            format_args!(
                "must be above 0 and at most drain.setpoint ({})",
                self.setpoint
            ),
        )?;
        require(
            (1.0..=10.0).contains(&self.gain_max),
            "drain.gain_max",
            &self.gain_max,
            "must be from 1 to 10",
        )?;
        require(
            self.look_ahead <= Duration::from_secs(10),
            "drain.look_ahead",
            &self.look_ahead,
            "must be at most 10 s",
        )?;
        for (field, value) in [
            ("drain.time_constant", self.time_constant),
            ("drain.expiry", self.expiry),
            ("drain.room_time", self.room_time),
        ] {
            require(!value.is_zero(), field, &value, "must be above zero")?;
        }
        Ok(())
    }
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self {
            setpoint: 0.65,
            band: 0.10,
            gain_max: 1.5,
            look_ahead: Duration::from_millis(150),
            time_constant: Duration::from_secs(1),
            expiry: Duration::from_secs(10),
            room_time: Duration::from_secs(10),
        }
    }
}

// === impl DrainMatch ===

impl DrainMatch {
    /// The law with these constants.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `0 < band ≤ setpoint < 1`, `1 ≤ gain_max ≤ 10`,
    /// `look_ahead ≤ 10 s` and the other times are above zero.
    pub fn try_new(config: DrainConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self { config })
    }

    /// How many times the drain may be admitted: from 0 to `gain_max`, 1 at the setpoint.
    pub fn gain(&self, pressure: f64, rise_per_second: f64, ledger_fill: f64) -> f64 {
        let ahead = self.ahead(pressure, rise_per_second);
        let headroom = (self.config.setpoint - ahead) / self.config.band;
        if headroom <= 0.0 {
            (1.0 + headroom).max(0.0)
        } else {
            let unused = 1.0 - ledger_fill.clamp(0.0, 1.0);
            1.0 + (self.config.gain_max - 1.0) * headroom.min(1.0) * unused
        }
    }

    /// Accounted bytes a second to admit.
    ///
    /// ```
    /// use relay_control::{DrainConfig, DrainMatch, Situation};
    ///
    /// let law = DrainMatch::try_new(DrainConfig::default())?;
    /// let at_setpoint = Situation {
    ///     drain_bytes_per_second: 1_000_000.0,
    ///     pressure: 0.65,
    ///     rise_per_second: 0.0,
    ///     limit_bytes: 64 << 20,
    ///     cost_factor: 1.6,
    ///     ledger_used_bytes: 21 << 20,
    ///     ledger_bytes: 29 << 20,
    /// };
    /// assert_eq!(law.rate_bytes_per_second(&at_setpoint), 1_000_000.0);
    /// # Ok::<(), relay_control::InvalidConfig>(())
    /// ```
    pub fn rate_bytes_per_second(&self, situation: &Situation) -> f64 {
        let fill = situation.ledger_used_bytes as f64 / situation.ledger_bytes.max(1) as f64;
        let gain = self.gain(situation.pressure, situation.rise_per_second, fill);
        let matched = situation.drain_bytes_per_second * gain;
        matched.max(self.room_bytes(situation) / self.config.room_time.as_secs_f64())
    }

    /// Is the pressure at the setpoint now, or will it be within the look-ahead?
    pub fn reaches_setpoint(&self, pressure: f64, rise_per_second: f64) -> bool {
        self.ahead(pressure, rise_per_second) >= self.config.setpoint
    }

    fn ahead(&self, pressure: f64, rise_per_second: f64) -> f64 {
        pressure + rise_per_second.max(0.0) * self.config.look_ahead.as_secs_f64()
    }

    /// What fits below the setpoint and into the ledger, in accounted bytes.
    pub(crate) fn room_bytes(&self, s: &Situation) -> f64 {
        let ahead = self.ahead(s.pressure, s.rise_per_second);
        let below_setpoint = (self.config.setpoint - ahead).max(0.0) * s.limit_bytes as f64;
        let unused_bytes = s.ledger_bytes.saturating_sub(s.ledger_used_bytes);
        (below_setpoint / s.cost_factor).min(unused_bytes as f64)
    }
}

#[cfg(test)]
mod tests;
