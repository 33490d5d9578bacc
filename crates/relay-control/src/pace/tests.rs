use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

const CALM: PaceInput = PaceInput {
    level: Level::Normal,
    outlook: Outlook::Clear,
    learning: false,
    moving: false,
};

fn pace() -> Pace {
    Pace::try_new(PaceConfig::default()).unwrap()
}

fn meets(after: Duration) -> PaceInput {
    PaceInput {
        outlook: Outlook::Meets {
            after,
            level: 0,
            imminent: false,
        },
        moving: true,
        ..CALM
    }
}

/// The waits of a run in which each look follows the wait before it.
fn course(pace: &mut Pace, now: &mut Duration, input: PaceInput, looks: usize) -> Vec<u128> {
    let look = |_| {
        let wait = pace.step(&input, *now);
        *now += wait;
        wait.as_millis()
    };
    (0..looks).map(look).collect()
}

#[test]
fn the_wait_is_a_fiftieth_of_the_time_that_is_left_from_50_ms_down_to_1() {
    for (left_ms, wait_ms) in [
        (10_000, 50),
        (2_500, 50),
        (1_000, 20),
        (500, 10),
        (50, 1),
        (10, 1),
        (0, 1),
    ] {
        let wait = pace().step(&meets(MS * left_ms), S);
        assert_eq!(wait, MS * wait_ms, "{left_ms} ms left");
    }
}

/// However steep the rise, the last tenth of the limit gets its looks: a fixed period has five.
#[test]
fn at_181_mib_a_second_the_last_tenth_of_256_mib_gets_forty_looks() {
    let mut pace = pace();
    let (mut left, rate) = (25.6, 181.0);
    let mut looks = 0;
    let mut now = Duration::ZERO;
    while left > 0.0 {
        let wait = pace.step(&meets(Duration::from_secs_f64(left / rate)), now);
        now += wait;
        left -= rate * wait.as_secs_f64();
        looks += 1;
    }
    assert!((40..200).contains(&looks), "{looks}");
}

#[test]
fn danger_acts_at_once_and_calm_returns_by_doubling() {
    let (mut pace, mut now) = (pace(), Duration::ZERO);
    assert_eq!(course(&mut pace, &mut now, meets(20 * MS), 1), [1]);
    let busy = PaceInput {
        moving: true,
        ..CALM
    };
    let back = course(&mut pace, &mut now, busy, 8);
    assert_eq!(back, [2, 4, 8, 16, 32, 50, 50, 50]);
}

#[test]
fn a_second_of_calm_leads_to_idleness_and_one_movement_out_of_it() {
    let (mut pace, mut now) = (pace(), Duration::ZERO);
    let waits = course(&mut pace, &mut now, CALM, 27);
    assert!(waits[..20].iter().all(|wait| *wait == 50), "{waits:?}");
    assert_eq!(waits[20..], [100, 200, 400, 800, 1000, 1000, 1000]);
    let moving = PaceInput {
        moving: true,
        ..CALM
    };
    assert_eq!(pace.step(&moving, now), 50 * MS);
    course(&mut pace, &mut now, CALM, 30);
    assert_eq!(pace.wait(), S);
    pace.wake();
    assert_eq!(pace.step(&CALM, now), 50 * MS, "calm is counted anew");
}

#[test]
fn memory_that_merely_drifts_keeps_nobody_awake() {
    for (left, rests) in [(50 * S, true), (3600 * S, true), (49 * S, false)] {
        let (mut pace, mut now) = (pace(), Duration::ZERO);
        let drifting = PaceInput {
            moving: false,
            ..meets(left)
        };
        course(&mut pace, &mut now, drifting, 40);
        assert_eq!(pace.wait() == S, rests, "{left:?}");
    }
}

#[test]
fn what_is_unknown_or_raised_is_never_idle() {
    for input in [
        PaceInput {
            outlook: Outlook::Unknown,
            ..CALM
        },
        PaceInput {
            level: Level::Warning,
            ..CALM
        },
    ] {
        let (mut pace, mut now) = (pace(), Duration::ZERO);
        let waits = course(&mut pace, &mut now, input, 100);
        assert!(waits.iter().all(|wait| *wait == 50), "{input:?}");
    }
}

#[test]
fn a_high_level_is_looked_at_more_often_without_any_forecast() {
    for (level, wait_ms) in [
        (Level::Warning, 50),
        (Level::Error, 20),
        (Level::Critical, 10),
        (Level::Emergency, 10),
    ] {
        let input = PaceInput { level, ..CALM };
        assert_eq!(pace().step(&input, S), MS * wait_ms, "{level}");
    }
}

#[test]
fn constants_out_of_order_are_refused_by_name() {
    let refused = |config: PaceConfig| Pace::try_new(config).unwrap_err().field;
    let base = PaceConfig::default;
    let zero = Duration::ZERO;
    let cases = [
        (
            PaceConfig {
                min: zero,
                ..base()
            },
            "pace.min",
        ),
        (
            PaceConfig {
                min: 11 * MS,
                ..base()
            },
            "pace.min",
        ),
        (
            PaceConfig {
                critical: 21 * MS,
                ..base()
            },
            "pace.critical",
        ),
        (
            PaceConfig {
                error: 51 * MS,
                ..base()
            },
            "pace.error",
        ),
        (
            PaceConfig {
                usual: 2 * S,
                ..base()
            },
            "pace.usual",
        ),
        (
            PaceConfig {
                idle: 61 * S,
                ..base()
            },
            "pace.idle",
        ),
        (PaceConfig { looks: 1, ..base() }, "pace.looks"),
    ];
    for (config, field) in cases {
        assert_eq!(refused(config), field);
    }
    for usual in [MS / 10, MS, 5 * MS, 50 * MS, 5 * S, 60 * S] {
        assert!(
            Pace::try_new(PaceConfig::with_usual(usual)).is_ok(),
            "{usual:?}"
        );
    }
}

proptest! {
    /// The wait stays between its bounds, never more than doubles, and danger is never made to wait.
    #[test]
    fn the_wait_stays_in_bounds_and_never_jumps_up(
        walk in prop::collection::vec((0_usize..5, prop::option::of(0_u64..5_000), any::<bool>(), any::<bool>()), 1..200),
    ) {
        let mut pace = pace();
        let mut now = Duration::ZERO;
        let mut before = pace.wait();
        for (level, left_ms, moving, learning) in walk {
            let outlook = left_ms.map_or(Outlook::Clear, |ms| meets(MS * ms as u32).outlook);
            let wait = pace.step(&PaceInput { level: Level::ALL[level], outlook, learning, moving }, now);
            prop_assert!((MS..=S).contains(&wait));
            prop_assert!(wait <= 2 * before);
            prop_assert!(!learning || wait <= 5 * MS);
            if let Some(left) = left_ms {
                prop_assert!(wait <= (MS * left as u32 / 50).max(MS));
            }
            before = wait;
            now += wait;
        }
    }
}
