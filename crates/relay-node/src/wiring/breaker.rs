//! The circuit breaker of an emitter.

use crate::config::{Breaker, BreakerWindow};
use crate::units::Ratio;
use relay_control::{BreakerConfig, Window};
use relay_engine::default_breaker;

/// As configured; `None` when it is turned off.
pub(super) fn config(breaker: &Breaker) -> Option<BreakerConfig> {
    breaker.enabled.then(|| BreakerConfig {
        consecutive: breaker.failures,
        failure_rate: breaker.failure_rate.map(Ratio::get),
        slow_rate: breaker.slow_rate.map(Ratio::get),
        slow_call: breaker.slow_call,
        window: match breaker.window {
            BreakerWindow::Calls(calls) => Window::Calls(calls),
            BreakerWindow::Time(time) => Window::Time(time),
        },
        min_calls: breaker.min_calls,
        open_for: breaker.open_for,
        growth: f64::from(breaker.growth),
        open_max: breaker.open_max,
        trials: breaker.trials,
        ..default_breaker()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Sources};
    use std::time::Duration;

    fn of(set: &[&str]) -> Option<BreakerConfig> {
        let sources = Sources {
            file: None,
            environment: Environment::default(),
            set: set
                .iter()
                .map(|one| format!("emitters.file.breaker.{one}"))
                .collect(),
        };
        let config = sources.load().unwrap().into_config();
        super::config(&config.emitters["file"].breaker)
    }

    #[test]
    fn the_default_is_that_of_the_engine() {
        assert_eq!(of(&["enabled=true"]), Some(default_breaker()));
        assert_eq!(of(&["enabled=false"]), None);
    }

    #[test]
    fn each_field_reaches_the_law() {
        let set = [
            "failures=3",
            "failure_rate=40%",
            "slow_rate=70%",
            "slow_call=2s",
            "window=1m",
            "min_calls=10",
            "open_for=2s",
            "growth=3",
            "open_max=20s",
            "trials=2",
        ];
        let expected = BreakerConfig {
            consecutive: Some(3),
            failure_rate: Some(0.4),
            slow_rate: Some(0.7),
            slow_call: Duration::from_secs(2),
            window: Window::Time(Duration::from_mins(1)),
            min_calls: 10,
            open_for: Duration::from_secs(2),
            growth: 3.0,
            open_max: Duration::from_secs(20),
            trials: 2,
            ..default_breaker()
        };
        assert_eq!(of(&set), Some(expected));
        assert_eq!(
            of(&["window=50"]).map(|law| law.window),
            Some(Window::Calls(50))
        );
    }
}
