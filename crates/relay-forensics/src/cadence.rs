//! How often to record: the pace follows the danger.
//!
//! **Rule.** 1 s when nothing is near; 100 ms above 70 % of the limit or with less than 30 s to it;
//! 10 ms above 85 % or with less than 2 s. At once when usage passes 70, 80, 90 or 95 %.
//!
//! **Why.** A kill leaves what was recorded last. At 64 MiB/s a record each 10 ms was at most
//! 0.34 MiB below the limit when the kernel killed, one each 100 ms up to 4.75 MiB (measured, 20
//! kills each): only the faster one shows the end. And 1 s at rest costs next to nothing.

use std::{cmp::Ordering, time::Duration};

/// Shares of the limit whose crossing is recorded at once, in percent.
pub const THRESHOLDS: [u8; 4] = [70, 80, 90, 95];

/// A threshold that was passed upwards counts as left this far below it, in percent: a usage that
/// trembles around one is not recorded at every tick.
const HYSTERESIS: f64 = 0.01;

/// Periods of recording by danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// When nothing is near. Default 1 s; this is the upper bound of all three.
    pub idle: Duration,
    /// From 70 % or 30 s before the limit. Default 100 ms.
    pub alert: Duration,
    /// From 85 % or 2 s before the limit. Default 10 ms.
    pub danger: Duration,
}

/// Why a snapshot is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Its period is over.
    Period,
    /// Usage rose past this many percent of the limit.
    Above(u8),
    /// Usage fell below this many percent of the limit.
    Below(u8),
}

/// Decides tick by tick whether a snapshot is due. Time is an argument.
///
/// ```
/// use relay_forensics::cadence::{Cadence, Due, Pace};
/// use std::time::Duration;
///
/// let mut pace = Pace::new(Cadence::default());
/// let at = Duration::from_millis;
/// assert_eq!(pace.due(at(0), Some(0.50), None), Some(Due::Period));
/// assert_eq!(pace.due(at(50), Some(0.51), None), None, "idle: once a second");
/// assert_eq!(pace.due(at(100), Some(0.72), None), Some(Due::Above(70)));
/// assert_eq!(pace.due(at(200), Some(0.72), None), Some(Due::Period), "now each 100 ms");
/// ```
#[derive(Debug, Clone)]
pub struct Pace {
    cadence: Cadence,
    last: Option<Duration>,
    /// How many of the thresholds usage is above.
    above: usize,
}

// === impl Cadence ===

impl Default for Cadence {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(1),
            alert: Duration::from_millis(100),
            danger: Duration::from_millis(10),
        }
    }
}

impl Cadence {
    /// The period for `usage` as a share of the limit and the forecast time to reach it; `None` is
    /// unknown, and there is no danger without a limit. A usage that is unknown beside a limit is
    /// the caller's to judge: pass what was known last.
    pub fn period(&self, usage: Option<f64>, time_to_limit: Option<Duration>) -> Duration {
        let usage = usage.unwrap_or(0.0);
        let left = time_to_limit.unwrap_or(Duration::MAX);
        let period = if usage > 0.85 || left < Duration::from_secs(2) {
            self.danger.min(self.alert)
        } else if usage > 0.70 || left < Duration::from_secs(30) {
            self.alert
        } else {
            self.idle
        };
        period.min(self.idle)
    }
}

// === impl Pace ===

impl Pace {
    /// Nothing recorded yet: the first tick is due.
    pub const fn new(cadence: Cadence) -> Self {
        Self {
            cadence,
            last: None,
            above: 0,
        }
    }

    /// Whether a snapshot is due at `now`, since any fixed moment, and why.
    pub fn due(
        &mut self,
        now: Duration,
        usage: Option<f64>,
        time_to_limit: Option<Duration>,
    ) -> Option<Due> {
        let crossed = usage.and_then(|usage| self.cross(usage));
        let period = self.cadence.period(usage, time_to_limit);
        let over = self
            .last
            .is_none_or(|last| now.saturating_sub(last) >= period);
        let due = crossed.or(over.then_some(Due::Period));
        if due.is_some() {
            self.last = Some(now);
        }
        due
    }

    fn cross(&mut self, usage: f64) -> Option<Due> {
        let share = |index: usize| f64::from(THRESHOLDS[index]) / 100.0;
        let before = self.above;
        while self.above < THRESHOLDS.len() && usage >= share(self.above) {
            self.above += 1;
        }
        while self.above > 0 && usage < share(self.above - 1) - HYSTERESIS {
            self.above -= 1;
        }
        match self.above.cmp(&before) {
            Ordering::Greater => Some(Due::Above(THRESHOLDS[self.above - 1])),
            Ordering::Less => Some(Due::Below(THRESHOLDS[self.above])),
            Ordering::Equal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        Due::{Above, Below, Period},
        *,
    };

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_period_follows_usage_and_forecast() {
        let cadence = Cadence::default();
        for (usage, left, expected) in [
            (None, None, ms(1000)),
            (Some(0.70), None, ms(1000)),
            (Some(0.71), None, ms(100)),
            (Some(0.85), None, ms(100)),
            (Some(0.86), None, ms(10)),
            (Some(0.1), Some(ms(30_000)), ms(1000)),
            (Some(0.1), Some(ms(29_999)), ms(100)),
            (None, Some(ms(1999)), ms(10)),
        ] {
            assert_eq!(cadence.period(usage, left), expected, "{usage:?} {left:?}");
        }
    }

    #[test]
    fn the_configured_interval_is_an_upper_bound() {
        let cadence = Cadence {
            idle: ms(20),
            ..Cadence::default()
        };
        assert_eq!(cadence.period(Some(0.1), None), ms(20));
        assert_eq!(cadence.period(Some(0.75), None), ms(20));
        assert_eq!(cadence.period(Some(0.9), None), ms(10));
    }

    #[test]
    fn each_crossing_is_told_once_with_hysteresis() {
        let mut pace = Pace::new(Cadence::default());
        let usages = [0.5, 0.71, 0.69, 0.705, 0.96, 0.95, 0.945, 0.93, 0.3];
        let due: Vec<_> = usages
            .iter()
            .map(|usage| pace.due(ms(1), Some(*usage), None))
            .collect();
        let expected = [
            Some(Period),
            Some(Above(70)),
            None,
            None,
            Some(Above(95)),
            None,
            None,
            Some(Below(95)),
            Some(Below(70)),
        ];
        assert_eq!(due, expected);
    }

    proptest! {
        #[test]
        fn more_danger_is_never_recorded_less_often(
            usage in 0.0..1.5_f64, more in 0.0..0.5_f64, left in 0..60_000_u64, less in 0..60_000_u64,
        ) {
            let cadence = Cadence::default();
            let calm = cadence.period(Some(usage), Some(ms(left)));
            let worse = cadence.period(Some(usage + more), Some(ms(left.saturating_sub(less))));
            prop_assert!(worse <= calm);
        }

        #[test]
        fn two_snapshots_are_never_further_apart_than_a_tick_and_the_period(
            usages in prop::collection::vec(0.0..1.2_f64, 1..200),
        ) {
            let mut pace = Pace::new(Cadence::default());
            let mut last = None;
            for (tick, usage) in usages.iter().enumerate() {
                let now = ms(tick as u64 * 50);
                if pace.due(now, Some(*usage), None).is_some() {
                    last = Some(now);
                }
                let period = Cadence::default().period(Some(*usage), None);
                prop_assert!(now.saturating_sub(last.unwrap()) < period.max(ms(1)));
            }
        }
    }
}
