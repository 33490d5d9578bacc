//! What the forecast can be told.

use std::time::Duration;

use crate::error::{InvalidConfig, require};

/// An imminent end is over when the limit is this many times `imminent` away.
pub(super) const RELIEF: u32 = 2;

/// Constants of the forecast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForecastConfig {
    /// Time constant of the short average.
    pub short: Duration,
    /// Time constant of the long average.
    pub long: Duration,
    /// A limit that is farther away is not foreseen.
    pub horizon: Duration,
    /// Nearer than this the limit is imminent.
    pub imminent: Duration,
    /// Percent of the nearest limit in use from which it can be imminent.
    pub imminent_from_percent: u8,
}

impl ForecastConfig {
    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        require(
            !self.short.is_zero() && self.short < self.long,
            "forecast.short",
            &self.short,
            format_args!(
                "must be above zero and below forecast.long ({:?})",
                self.long
            ),
        )?;
        require(
            self.long <= self.horizon,
            "forecast.long",
            &self.long,
            format_args!("must be at most forecast.horizon ({:?})", self.horizon),
        )?;
        require(
            !self.imminent.is_zero() && self.imminent.saturating_mul(RELIEF) <= self.horizon,
            "forecast.imminent",
            &self.imminent,
            format_args!(
                "must be above zero and at most half of forecast.horizon ({:?})",
                self.horizon
            ),
        )?;
        require(
            self.imminent_from_percent <= 100,
            "forecast.imminent_from_percent",
            &self.imminent_from_percent,
            "must be at most 100",
        )
    }
}

impl Default for ForecastConfig {
    fn default() -> Self {
        Self {
            short: Duration::from_millis(150),
            long: Duration::from_secs(2),
            horizon: Duration::from_hours(1),
            imminent: Duration::from_secs(2),
            imminent_from_percent: 70,
        }
    }
}
