//! What a breaker can be told.

use std::time::Duration;

use super::window::Window;
use crate::error::{InvalidConfig, require};

/// The most calls that a window by count can hold: each is remembered, in a byte.
pub const CALLS_MAX: u32 = 65_536;

/// Constants of the breaker. At least one of the three ways to open must be set.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerConfig {
    /// So many failures in a row open it.
    pub consecutive: Option<u32>,
    /// This share of failures in the window opens it, from 0 to 1.
    pub failure_rate: Option<f64>,
    /// This share of slow calls in the window opens it, from 0 to 1.
    pub slow_rate: Option<f64>,
    /// A call that takes this long is slow.
    pub slow_call: Duration,
    /// Over which calls rates are taken.
    pub window: Window,
    /// Fewer calls than this in the window make no rate.
    pub min_calls: u32,
    /// How long it stays open the first time.
    pub open_for: Duration,
    /// What each failed trial multiplies the open time with.
    pub growth: f64,
    /// The open time never grows above this.
    pub open_max: Duration,
    /// Trials at a time while half open.
    pub trials: u32,
    /// Successful trials that close it.
    pub successes: u32,
    /// How long it must have been half open before it closes.
    pub stable_for: Duration,
}

impl BreakerConfig {
    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        self.check_trips()?;
        self.check_times()?;
        for (field, value) in [
            ("breaker.trials", self.trials),
            ("breaker.successes", self.successes),
        ] {
            require(value > 0, field, &value, "must be at least 1")?;
        }
        Ok(())
    }

    fn check_trips(&self) -> Result<(), InvalidConfig> {
        let rates = self.failure_rate.is_some() || self.slow_rate.is_some();
        require(
            self.consecutive.is_some() || rates,
            "breaker.consecutive",
            &self.consecutive,
            "must be set, or breaker.failure_rate or breaker.slow_rate: nothing would open it",
        )?;
        require(
            self.consecutive != Some(0),
            "breaker.consecutive",
            &self.consecutive,
            "must be at least 1",
        )?;
        for (field, rate) in [
            ("breaker.failure_rate", self.failure_rate),
            ("breaker.slow_rate", self.slow_rate),
        ] {
            require(
                rate.is_none_or(|rate| rate > 0.0 && rate <= 1.0),
                field,
                &rate,
                "must be above 0 and at most 1",
            )?;
        }
        let most = match self.window {
            Window::Calls(calls) => calls,
            Window::Time(_) => u32::MAX,
        };
        require(
            (1..=most).contains(&self.min_calls),
            "breaker.min_calls",
            &self.min_calls,
            "must be from 1 to the calls of breaker.window",
        )?;
        let sensible = match self.window {
            Window::Calls(calls) => (1..=CALLS_MAX).contains(&calls),
            Window::Time(length) => length >= Duration::from_millis(10),
        };
        require(
            sensible,
            "breaker.window",
            &self.window,
            format_args!("must be 1 to {CALLS_MAX} calls, or at least 10 ms"),
        )
    }

    fn check_times(&self) -> Result<(), InvalidConfig> {
        require(
            !self.slow_call.is_zero(),
            "breaker.slow_call",
            &self.slow_call,
            "must be above zero",
        )?;
        require(
            !self.open_for.is_zero() && self.open_for <= self.open_max,
            "breaker.open_for",
            &self.open_for,
            format_args!(
                "must be above zero and at most breaker.open_max ({:?})",
                self.open_max
            ),
        )?;
        require(
            (1.0..=100.0).contains(&self.growth),
            "breaker.growth",
            &self.growth,
            "must be from 1 to 100",
        )
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            consecutive: Some(5),
            failure_rate: Some(0.5),
            slow_rate: Some(0.8),
            slow_call: Duration::from_secs(5),
            window: Window::Calls(100),
            min_calls: 20,
            open_for: Duration::from_secs(30),
            growth: 2.0,
            open_max: Duration::from_mins(10),
            trials: 1,
            successes: 1,
            stable_for: Duration::ZERO,
        }
    }
}
