use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn alarm() -> PressureAlarm {
    PressureAlarm::try_new(PressureAlarmConfig::default()).unwrap()
}

/// Readings every 100 ms of a share for a time: the alerts, and the seconds at which they came.
fn run(
    alarm: &mut PressureAlarm,
    from: Duration,
    length: Duration,
    share: impl Fn(Duration) -> Option<f64>,
) -> Vec<(Duration, PressureAlert)> {
    let ticks = (length.as_millis() / 100) as u32;
    (0..=ticks)
        .filter_map(|tick| {
            let now = from + 100 * MS * tick;
            alarm.step(share(now), now).alert.map(|alert| (now, alert))
        })
        .collect()
}

/// K02: the kernel's 19.99 and 20.01, as ratios.
#[test]
fn just_below_the_threshold_never_alerts_and_just_above_it_once() {
    assert_eq!(run(&mut alarm(), S, 60 * S, |_| Some(0.1999)), []);
    let alerts = run(&mut alarm(), S, 50 * S, |_| Some(0.2001));
    assert_eq!(alerts, [(3 * S, PressureAlert::Raised(Level::Warning))]);
}

/// K03
#[test]
fn nineteen_tenths_of_a_second_are_not_sustained_and_twenty_one_are() {
    assert_eq!(run(&mut alarm(), S, 1900 * MS, |_| Some(0.4)), []);
    let alerts = run(&mut alarm(), S, 2100 * MS, |_| Some(0.4));
    assert_eq!(alerts, [(3 * S, PressureAlert::Raised(Level::Error))]);
}

#[test]
fn one_reading_below_begins_the_stretch_anew() {
    let dips = |now: Duration| {
        Some(if now.as_millis().is_multiple_of(1500) {
            0.19
        } else {
            0.9
        })
    };
    assert_eq!(run(&mut alarm(), S, 30 * S, dips), []);
}

/// K07
#[test]
fn ten_minutes_of_pressure_make_ten_alerts_and_of_flapping_no_more() {
    let steady = run(&mut alarm(), S, 599 * S, |_| Some(0.6));
    assert_eq!(steady.len(), 10);
    let flapping = |now: Duration| Some(if now.as_secs() % 10 < 5 { 0.6 } else { 0.0 });
    let alerts = run(&mut alarm(), S, 599 * S, flapping);
    let raised = alerts
        .iter()
        .filter(|(_, alert)| matches!(alert, PressureAlert::Raised(_)));
    assert!((8..=10).contains(&raised.count()), "{alerts:?}");
}

/// K08
#[test]
fn a_relief_follows_an_alert_once_and_nothing_else() {
    let mut alarm = alarm();
    assert_eq!(run(&mut alarm, S, 60 * S, |_| Some(0.05)), []);
    run(&mut alarm, 100 * S, 3 * S, |_| Some(0.6));
    let alerts = run(&mut alarm, 104 * S, 3 * S, |_| Some(0.16));
    assert_eq!((alerts.len(), alarm.level()), (0, Level::Warning));
    let alerts = run(&mut alarm, 108 * S, 60 * S, |_| Some(0.14));
    assert_eq!(alerts, [(108 * S, PressureAlert::Relieved)]);
    assert_eq!(alarm.level(), Level::Normal);
}

/// DEC25
#[test]
fn the_level_follows_the_share_once_it_is_sustained() {
    let mut alarm = alarm();
    run(&mut alarm, S, 3 * S, |_| Some(0.2));
    for (share, level) in [
        (0.29, Level::Warning),
        (0.30, Level::Error),
        (0.50, Level::Critical),
        (0.20, Level::Warning),
    ] {
        assert_eq!(alarm.step(Some(share), 5 * S).level, level, "{share}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_neither_pressure_nor_relief() {
    let mut alarm = alarm();
    let gap = |now: Duration| (!now.as_millis().is_multiple_of(1500)).then_some(0.9);
    assert_eq!(run(&mut alarm, S, 30 * S, gap), []);
    run(&mut alarm, 40 * S, 3 * S, |_| Some(0.9));
    assert_eq!(run(&mut alarm, 44 * S, 60 * S, |_| None), []);
    assert_eq!(alarm.level(), Level::Critical);
    assert_eq!(alarm.step(Some(f64::NAN), 200 * S).level, Level::Critical);
}

#[test]
fn constants_out_of_order_are_refused_by_name() {
    let refused = |config: PressureAlarmConfig| PressureAlarm::try_new(config).unwrap_err();
    let base = PressureAlarmConfig::default;
    let cases = [
        (
            PressureAlarmConfig {
                relief: 0.21,
                ..base()
            },
            "psi.relief",
        ),
        (
            PressureAlarmConfig {
                relief: 0.0,
                ..base()
            },
            "psi.relief",
        ),
        (
            PressureAlarmConfig {
                threshold: 20.0,
                ..base()
            },
            "psi.threshold",
        ),
        (
            PressureAlarmConfig {
                error: 0.5,
                ..base()
            },
            "psi.error",
        ),
        (
            PressureAlarmConfig {
                critical: 50.0,
                ..base()
            },
            "psi.critical",
        ),
        (
            PressureAlarmConfig {
                sustain: Duration::ZERO,
                ..base()
            },
            "psi.sustain",
        ),
        (
            PressureAlarmConfig {
                repeat: S,
                ..base()
            },
            "psi.repeat",
        ),
    ];
    for (config, field) in cases {
        assert_eq!(refused(config).field, field);
    }
    let percent = PressureAlarmConfig {
        threshold: 20.0,
        ..base()
    };
    assert!(refused(percent).to_string().contains("20 % is 0.2"));
}

proptest! {
    /// Alerts and reliefs alternate as far as reliefs go, and raised ones are a minute apart.
    #[test]
    fn alerts_are_a_minute_apart_and_no_relief_comes_without_one(
        walk in prop::collection::vec((prop::option::of(0.0_f64..1.0), 0_u64..5_000), 1..300),
    ) {
        let mut alarm = alarm();
        let (mut now, mut last, mut open) = (Duration::ZERO, None, false);
        for (share, wait_ms) in walk {
            now += MS * wait_ms as u32;
            match alarm.step(share, now).alert {
                Some(PressureAlert::Raised(level)) => {
                    prop_assert!(level > Level::Normal);
                    prop_assert!(last.is_none_or(|last: Duration| now.saturating_sub(last) >= 60 * S));
                    (last, open) = (Some(now), true);
                }
                Some(PressureAlert::Relieved) => prop_assert!(std::mem::take(&mut open)),
                None => {}
            }
        }
    }
}
