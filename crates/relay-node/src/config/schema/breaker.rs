//! `[emitters.<id>.breaker]`: when to stop trying for a while.

use std::time::Duration;

use relay_engine::default_breaker;

use crate::config::kind::number::{above, within};
use crate::config::kind::{Kind, NoneOr, Switch};
use crate::config::raw::RawValue;
use crate::config::reader::Section;
use crate::units::{Ratio, format_duration};

/// A circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Breaker {
    /// Whether there is one.
    pub enabled: bool,
    /// So many failures in a row open it.
    pub failures: Option<u32>,
    /// This share of failures opens it.
    pub failure_rate: Option<Ratio>,
    /// This share of slow attempts opens it.
    pub slow_rate: Option<Ratio>,
    /// An attempt that takes this long is slow.
    pub slow_call: Duration,
    /// Attempts that the shares are taken of.
    pub window: BreakerWindow,
    /// Fewer attempts make no share.
    pub min_calls: u32,
    /// How long it stays open the first time.
    pub open_for: Duration,
    /// What each failed trial multiplies that with.
    pub growth: u32,
    /// The longest that it stays open.
    pub open_max: Duration,
    /// Trials at a time while it is half open.
    pub trials: u32,
}

/// Attempts that a share is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerWindow {
    /// The last so many.
    Calls(u32),
    /// Those of the last so long.
    Time(Duration),
}

/// Reads a number of attempts, or a time.
struct WindowKind;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);
const CALLS: std::ops::RangeInclusive<u32> = 1..=65_536;

impl Breaker {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let law = default_breaker();
        let rates = || NoneOr(above(Ratio::percent(0), Ratio::percent(100)));
        let times = within(MILLISECOND, HOUR);
        let ratio = |rate: Option<f64>| rate.and_then(Ratio::new);
        Self {
            enabled: s.read(
                "enabled",
                &Switch,
                true,
                "stop trying for a while when it fails",
            ),
            failures: s.read(
                "failures",
                &NoneOr(within(1, 1 << 20)),
                law.consecutive,
                "failures in a row that open it",
            ),
            failure_rate: s.read(
                "failure_rate",
                &rates(),
                ratio(law.failure_rate),
                "share of failures that opens it",
            ),
            slow_rate: s.read(
                "slow_rate",
                &rates(),
                ratio(law.slow_rate),
                "share of slow attempts that opens it",
            ),
            slow_call: s.read(
                "slow_call",
                &times,
                law.slow_call,
                "an attempt this long is slow",
            ),
            window: s.read(
                "window",
                &WindowKind,
                BreakerWindow::Calls(100),
                "attempts that shares are taken of",
            ),
            min_calls: s.read(
                "min_calls",
                &within(1, 65_536),
                law.min_calls,
                "fewer attempts make no share",
            ),
            open_for: s.read(
                "open_for",
                &times,
                law.open_for,
                "how long it stays open at first",
            ),
            growth: s.read(
                "growth",
                &within(1, 100),
                2,
                "what a failed trial multiplies that with",
            ),
            open_max: s.read(
                "open_max",
                &times,
                law.open_max,
                "longest that it stays open",
            ),
            trials: s.read(
                "trials",
                &within(1, 1024),
                law.trials,
                "trials at a time while half open",
            ),
        }
    }
}

impl Kind for WindowKind {
    type Value = BreakerWindow;

    fn read(&self, raw: &RawValue) -> Result<BreakerWindow, String> {
        if let Ok(calls) = within(*CALLS.start(), *CALLS.end()).read(raw) {
            return Ok(BreakerWindow::Calls(calls));
        }
        let least = Duration::from_millis(10);
        within(least, HOUR).read(raw).map(BreakerWindow::Time)
    }

    fn show(&self, value: &BreakerWindow) -> String {
        match value {
            BreakerWindow::Calls(calls) => calls.to_string(),
            BreakerWindow::Time(time) => format!("\"{}\"", format_duration(*time)),
        }
    }

    fn allowed(&self) -> String {
        format!(
            "a number of attempts from {} to {}, or a time from 10ms to 1h",
            CALLS.start(),
            CALLS.end()
        )
    }
}
