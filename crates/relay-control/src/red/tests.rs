use proptest::prelude::*;

use super::*;

fn red(config: RedConfig) -> Red {
    Red::try_new(config).unwrap()
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
}

/// AI08, P03, P04
#[test]
fn red_dropper_probabilities() {
    let red = red(RedConfig::default());
    for (fill, p) in [
        (0.5, 0.0),
        (0.6, 0.0),
        (0.7, 0.075),
        (0.8, 0.15),
        (0.9, 0.225),
        (1.0, 0.30),
        (1.1, 0.30),
        (5.0 / 8.0, 0.01875),
        (6.0 / 8.0, 0.1125),
        (7.0 / 8.0, 0.20625),
    ] {
        near(red.probability(fill), p);
    }
}

/// AI09: 0 % and 100 % of fill, and 0 % and 100 % of probability.
#[test]
fn red_dropper_boundary_conditions() {
    let classic = red(RedConfig::classic());
    assert!(!classic.should_drop(0.0, 0.0));
    assert!(classic.should_drop(1.0, 0.299));
    assert!(!classic.should_drop(1.0, 0.30));
    let always = red(RedConfig {
        max_probability: 1.0,
        ..RedConfig::classic()
    });
    assert!(always.should_drop(1.0, 1.0 - f64::EPSILON / 2.0));
}

/// P05
#[test]
fn a_ramp_without_width_is_a_step() {
    let step = red(RedConfig {
        min_threshold: 0.8,
        max_threshold: 0.8,
        ..RedConfig::classic()
    });
    assert_eq!(
        [0.79, 0.80, 0.81].map(|fill| step.probability(fill)),
        [0.0, 0.30, 0.30]
    );
    let cliff = red(RedConfig {
        min_threshold: 0.8,
        max_threshold: 0.8,
        full: Some(0.8),
        ..RedConfig::classic()
    });
    assert_eq!([0.79, 0.80].map(|fill| cliff.probability(fill)), [0.0, 1.0]);
}

#[test]
fn the_gentle_curve_is_complete_before_the_hard_bound_for_every_weighted_class() {
    let gentle = red(RedConfig {
        class_weights: [2.0, 1.0, 0.5, 0.0],
        ..RedConfig::gentle()
    });
    near(gentle.probability(0.80), 0.30);
    near(gentle.probability(0.86), 0.65);
    for class in 0..3 {
        near(gentle.probability_for(0.92, class), 1.0);
    }
    near(gentle.probability_for(0.70, 0), 1.0 - 0.85 * 0.85);
    assert_eq!(
        gentle.probability_for(1.0, 3),
        0.0,
        "control is never dropped early"
    );
}

/// P02: the share that is dropped lies within five standard deviations of the probability.
#[test]
fn drops_are_as_frequent_as_the_probability_says() {
    let red = red(RedConfig::classic());
    let mut rng = fastrand::Rng::with_seed(7);
    let draws = 100_000;
    for fill in [0.65, 0.8, 1.0] {
        let p = red.probability(fill);
        let drops = (0..draws)
            .filter(|_| red.should_drop(fill, rng.f64()))
            .count();
        let deviation = (p * (1.0 - p) / f64::from(draws)).sqrt();
        assert!((drops as f64 / f64::from(draws) - p).abs() < 5.0 * deviation);
    }
}

#[test]
fn shapes_that_are_no_curve_are_refused_by_name() {
    let refused = |config: RedConfig| Red::try_new(config).unwrap_err().field;
    let base = RedConfig::gentle;
    assert_eq!(
        refused(RedConfig {
            min_threshold: 0.81,
            ..base()
        }),
        "red.min_threshold"
    );
    assert_eq!(
        refused(RedConfig {
            max_threshold: 1.2,
            ..base()
        }),
        "red.max_threshold"
    );
    assert_eq!(
        refused(RedConfig {
            max_probability: f64::NAN,
            ..base()
        }),
        "red.max_probability"
    );
    assert_eq!(
        refused(RedConfig {
            full: Some(0.7),
            ..base()
        }),
        "red.full"
    );
    let class_weights = [1.0, -1.0, 1.0, 1.0];
    assert_eq!(
        refused(RedConfig {
            class_weights,
            ..base()
        }),
        "red.class_weights"
    );
}

proptest! {
    #[test]
    fn the_probability_stays_in_range_and_never_falls(
        min_threshold in 0.0_f64..=1.0,
        ramp in 0.0_f64..=1.0,
        tail in prop::option::of(0.0_f64..=1.0),
        max_probability in 0.0_f64..=1.0,
        weight in 0.0_f64..10.0,
        fills in prop::collection::vec(-0.5_f64..2.0, 2..50),
    ) {
        let max_threshold = min_threshold + (1.0 - min_threshold) * ramp;
        let red = red(RedConfig {
            min_threshold,
            max_threshold,
            max_probability,
            full: tail.map(|tail| max_threshold + (1.0 - max_threshold) * tail),
            class_weights: [weight; CLASSES],
        });
        let mut fills = fills;
        fills.sort_by(f64::total_cmp);
        for pair in fills.windows(2) {
            for p in [|r: &Red, f| r.probability(f), |r: &Red, f| r.probability_for(f, 1)] {
                let (low, high) = (p(&red, pair[0]), p(&red, pair[1]));
                prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
                prop_assert!(low <= high + 1e-12);
            }
        }
    }
}
