use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn backoff(jitter: Jitter) -> Backoff {
    Backoff::try_new(BackoffConfig {
        jitter,
        ..BackoffConfig::default()
    })
    .unwrap()
}

/// AC01, and the times of the restarts.
#[test]
fn delays_double_up_to_the_maximum() {
    let mut backoff = backoff(Jitter::None);
    let delays: Vec<_> = (0..8).map(|_| backoff.fail(0.5).as_secs()).collect();
    assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
    let times = delays.iter().scan(0, |at, delay| {
        *at += delay;
        Some(*at)
    });
    assert_eq!(
        times.take(7).collect::<Vec<_>>(),
        [1, 3, 7, 15, 31, 63, 123]
    );
}

/// AC02, AC03
#[test]
fn proportional_jitter_stays_within_a_tenth_and_below_the_maximum() {
    let mut rng = fastrand::Rng::with_seed(11);
    let (mut low, mut high, mut sum) = (f64::INFINITY, 0.0_f64, 0.0);
    for _ in 0..10_000 {
        let mut backoff = backoff(Jitter::Proportional(0.1));
        backoff.failures = 3;
        let delay = backoff.fail(rng.f64()).as_secs_f64() / 8.0;
        (low, high, sum) = (low.min(delay), high.max(delay), sum + delay);
    }
    assert!((0.9..0.91).contains(&low) && (1.09..=1.1).contains(&high));
    assert!((sum / 10_000.0 - 1.0).abs() < 0.005);
    let mut late = backoff(Jitter::Proportional(0.1));
    late.failures = 50;
    assert_eq!(late.fail(1.0), 60 * S);
}

/// AC04, AC05
#[test]
fn no_number_of_failures_overflows_and_no_delay_is_below_the_minimum() {
    let mut many = backoff(Jitter::None);
    for failures in [1000, u32::MAX] {
        many.failures = failures;
        assert_eq!(many.fail(0.5), 60 * S);
    }
    assert_eq!(backoff(Jitter::Full).fail(0.0), 500 * MS);
    assert_eq!(backoff(Jitter::None).fail_weighted(0.01, 0.5), 500 * MS);
}

/// AC06
#[test]
fn three_hundred_seconds_reset_and_299_do_not() {
    let mut backoff = backoff(Jitter::None);
    backoff.fail(0.5);
    backoff.fail(0.5);
    backoff.run(299 * S);
    assert_eq!((backoff.failures(), backoff.fail(0.5)), (2, 4 * S));
    backoff.run(300 * S);
    assert_eq!((backoff.failures(), backoff.fail(0.5)), (0, S));
}

/// AC07
#[test]
fn a_weight_doubles_one_delay_and_not_the_next() {
    for jitter in [Jitter::None, Jitter::Decorrelated] {
        let (mut plain, mut weighted) = (backoff(jitter), backoff(jitter));
        assert_eq!(weighted.fail_weighted(2.0, 0.5), 2 * plain.fail(0.5));
        assert_eq!(weighted.fail(0.5), plain.fail(0.5));
    }
}

#[test]
fn full_jitter_is_uniform_and_decorrelated_grows_from_the_last() {
    let mut full = backoff(Jitter::Full);
    full.failures = 4;
    assert_eq!(full.fail(0.5), 8 * S);
    let mut walk = backoff(Jitter::Decorrelated);
    let highest: Vec<_> = (0..5).map(|_| walk.fail(1.0).as_secs()).collect();
    assert_eq!(highest, [3, 9, 27, 60, 60]);
    assert_eq!(walk.fail(0.0), S);
}

/// DEC26, AF11
#[test]
fn what_the_back_off_can_do_within_a_window_is_known() {
    let config = |jitter| BackoffConfig {
        jitter,
        ..BackoffConfig::default()
    };
    let most = |jitter, window| config(jitter).most_within(window);
    assert_eq!(most(Jitter::None, 60 * S), 5);
    assert_eq!(most(Jitter::None, 30 * S), 4);
    assert_eq!(most(Jitter::None, 600 * S), 14);
    assert_eq!(most(Jitter::Full, 60 * S), 120, "one every 500 ms");
    assert_eq!(most(Jitter::Decorrelated, 60 * S), 60);
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: BackoffConfig| Backoff::try_new(config).unwrap_err().field;
    let base = BackoffConfig::default;
    let cases = [
        (
            BackoffConfig {
                min: Duration::ZERO,
                ..base()
            },
            "backoff.min",
        ),
        (
            BackoffConfig {
                min: 61 * S,
                ..base()
            },
            "backoff.min",
        ),
        (
            BackoffConfig {
                initial: Duration::ZERO,
                ..base()
            },
            "backoff.initial",
        ),
        (
            BackoffConfig {
                initial: 61 * S,
                ..base()
            },
            "backoff.initial",
        ),
        (
            BackoffConfig {
                factor: 0.9,
                ..base()
            },
            "backoff.factor",
        ),
        (
            BackoffConfig {
                factor: f64::NAN,
                ..base()
            },
            "backoff.factor",
        ),
        (
            BackoffConfig {
                jitter: Jitter::Proportional(1.1),
                ..base()
            },
            "backoff.jitter",
        ),
        (
            BackoffConfig {
                reset_after: 59 * S,
                ..base()
            },
            "backoff.reset_after",
        ),
    ];
    for (config, field) in cases {
        assert_eq!(refused(config), field);
    }
}

proptest! {
    /// No run of failures is denser than `most_within` says, whatever the dice.
    #[test]
    fn no_window_holds_more_failures_than_foretold(
        jitter in prop_oneof![
            Just(Jitter::None),
            (0.0_f64..=1.0).prop_map(Jitter::Proportional),
            Just(Jitter::Full),
            Just(Jitter::Decorrelated),
        ],
        window_s in 1_u64..200,
        chances in prop::collection::vec(0.0_f64..1.0, 1..100),
    ) {
        let config = BackoffConfig { jitter, ..BackoffConfig::default() };
        let window = S * window_s as u32;
        let most = config.most_within(window) as usize;
        let mut backoff = Backoff::try_new(config).unwrap();
        let times: Vec<_> = chances
            .into_iter()
            .scan(Duration::ZERO, |at, chance| {
                let delay = backoff.fail(chance);
                assert!((500 * MS..=60 * S).contains(&delay));
                *at += delay;
                Some(*at)
            })
            .collect();
        for (index, start) in times.iter().enumerate() {
            let within = times[index..].iter().take_while(|at| at.saturating_sub(*start) < window).count();
            prop_assert!(within <= most, "{} within {:?}, foretold {}", within, window, most);
        }
    }
}
