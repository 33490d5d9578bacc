use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_millis(50);

fn throttle() -> Throttle {
    Throttle::try_new(ThrottleConfig::default()).unwrap()
}

/// Steps until the factor reaches `end`.
fn steps(throttle: &mut Throttle, from: u32, fill: f64, pressure: f64, end: f64) -> u32 {
    for step in 1..100 {
        if throttle.step(fill, Some(pressure), TICK * (from + step)) == end {
            return step;
        }
    }
    panic!("{end} is never reached")
}

/// S02, S03
#[test]
fn thirteen_steps_up_to_ten_and_twenty_two_back_to_one() {
    let mut throttle = throttle();
    assert_eq!(steps(&mut throttle, 0, 0.9, 0.5, 10.0), 13);
    assert_eq!(steps(&mut throttle, 100, 0.1, 0.5, 1.0), 22);
}

/// S04, S05, S06
#[test]
fn either_signal_raises_both_lower_and_between_them_it_holds() {
    for (fill, pressure, factor) in [
        (0.81, Some(0.0), 2.4),
        (0.0, Some(0.851), 2.4),
        (0.81, None, 2.4),
        (0.80, Some(0.85), 2.0),
        (0.49, Some(0.69), 1.8),
        (0.49, Some(0.70), 2.0),
        (0.50, Some(0.69), 2.0),
        (0.49, None, 2.0),
    ] {
        let mut throttle = throttle();
        throttle.factor = 2.0;
        assert_eq!(
            throttle.step(fill, pressure, TICK),
            factor,
            "{fill} {pressure:?}"
        );
    }
}

/// S07
#[test]
fn a_factor_of_1_2_is_1_2_times_the_delay() {
    let mut throttle = throttle();
    assert_eq!(throttle.delay(TICK), TICK);
    throttle.step(0.9, None, TICK);
    assert_eq!(throttle.delay(TICK), Duration::from_millis(60));
    assert_eq!(throttle.delay(Duration::MAX), Duration::MAX);
}

/// S08: one number, the smaller of the two.
#[test]
fn gate_and_throttle_can_only_make_the_share_smaller() {
    let mut throttle = throttle();
    assert_eq!(throttle.share(1.0), 1.0);
    throttle.factor = 4.0;
    assert_eq!([throttle.share(1.0), throttle.share(0.1)], [0.25, 0.1]);
}

#[test]
fn ticks_that_come_faster_do_not_make_it_faster() {
    let mut throttle = throttle();
    for ms in 1..=100 {
        throttle.step(0.9, None, Duration::from_millis(ms));
    }
    assert!((throttle.factor() - 1.44).abs() < 1e-12, "at 1 and 51 ms");
}

#[test]
fn a_step_that_is_asked_for_comes_at_once_and_counts_as_one() {
    let mut throttle = throttle();
    assert_eq!([throttle.raise(TICK), throttle.raise(TICK)], [1.2, 1.44]);
    assert_eq!(
        throttle.step(0.1, Some(0.1), TICK),
        1.44,
        "the interval has begun anew"
    );
    throttle.factor = 9.9;
    assert_eq!(throttle.raise(TICK), 10.0);
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: ThrottleConfig| Throttle::try_new(config).unwrap_err().field;
    let base = ThrottleConfig::default;
    let cases = [
        (ThrottleConfig { up: 1.0, ..base() }, "throttle.up"),
        (ThrottleConfig { max: 1.1, ..base() }, "throttle.up"),
        (ThrottleConfig { max: 1e4, ..base() }, "throttle.max"),
        (
            ThrottleConfig {
                down: 1.0,
                ..base()
            },
            "throttle.down",
        ),
        (
            ThrottleConfig {
                fill_low: 0.8,
                ..base()
            },
            "throttle.fill_low",
        ),
        (
            ThrottleConfig {
                fill_high: 1.1,
                ..base()
            },
            "throttle.fill_high",
        ),
        (
            ThrottleConfig {
                pressure_low: 0.9,
                ..base()
            },
            "throttle.pressure_low",
        ),
        (
            ThrottleConfig {
                pressure_high: f64::NAN,
                ..base()
            },
            "throttle.pressure_low",
        ),
        (
            ThrottleConfig {
                pressure_high: 1.1,
                ..base()
            },
            "throttle.pressure_high",
        ),
    ];
    for (config, field) in cases {
        assert_eq!(refused(config), field);
    }
}

proptest! {
    #[test]
    fn the_factor_stays_between_one_and_ten(
        walk in prop::collection::vec((0.0_f64..1.5, prop::option::of(0.0_f64..1.5)), 1..200),
    ) {
        let mut throttle = throttle();
        for (tick, (fill, pressure)) in walk.into_iter().enumerate() {
            let factor = throttle.step(fill, pressure, TICK * tick as u32);
            prop_assert!((1.0..=10.0).contains(&factor));
        }
    }
}
