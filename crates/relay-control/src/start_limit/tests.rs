use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);

fn limit(burst: u32, warn: u32) -> StartLimit {
    let interval = 60 * S;
    StartLimit::try_new(StartLimitConfig {
        burst,
        warn,
        interval,
    })
    .unwrap()
}

/// AF03, AF05: the tenth passes, the eleventh does not, the sixth warns.
#[test]
fn ten_in_a_minute_pass_and_more_than_five_warn() {
    let mut limit = limit(10, 5);
    let starts: Vec<_> = (0..10).map(|n| limit.try_start(S * n).unwrap()).collect();
    assert!(starts[..5].iter().all(|start| !start.warn));
    assert!(starts[5..].iter().all(|start| start.warn));
    assert_eq!(limit.try_start(10 * S).unwrap_err().retry_after, 50 * S);
    assert_eq!(limit.recent(10 * S), 10);
    assert!(
        limit.try_start(60 * S).is_ok(),
        "exactly a minute after the first"
    );
}

/// A window that begins anew each minute would let twenty pass here.
#[test]
fn the_border_between_two_minutes_lets_no_double_burst_pass() {
    let mut limit = limit(10, 10);
    let ms = Duration::from_millis(1);
    let passed = (0..40_u32).filter(|n| limit.try_start(59 * S + 50 * ms * *n).is_ok());
    assert_eq!(passed.count(), 10);
}

/// AF10
#[test]
fn an_override_lets_one_pass_and_no_more() {
    let mut limit = limit(2, 1);
    assert!(limit.try_start(S).is_ok() && limit.try_start(S).is_ok());
    limit.override_once();
    assert!(limit.try_start(2 * S).is_ok());
    assert!(limit.try_start(3 * S).is_err());
    limit.reset();
    assert_eq!(limit.recent(3 * S), 0);
    assert!(limit.try_start(3 * S).is_ok());
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: StartLimitConfig| StartLimit::try_new(config).unwrap_err().field;
    let base = StartLimitConfig::default;
    let cases = [
        (StartLimitConfig { burst: 0, ..base() }, "start_limit.burst"),
        (
            StartLimitConfig {
                burst: BURST_MAX + 1,
                ..base()
            },
            "start_limit.burst",
        ),
        (StartLimitConfig { warn: 11, ..base() }, "start_limit.warn"),
        (
            StartLimitConfig {
                interval: Duration::ZERO,
                ..base()
            },
            "start_limit.interval",
        ),
    ];
    for (config, field) in cases {
        assert_eq!(refused(config), field);
    }
}

proptest! {
    /// AF01: against the definition, which remembers everything and counts.
    #[test]
    fn agrees_with_counting_all_starts(
        burst in 1_u32..8,
        waits_ms in prop::collection::vec(0_u64..30_000, 1..200),
    ) {
        let mut limit = limit(burst, burst);
        let mut allowed: Vec<Duration> = Vec::new();
        let mut now = Duration::ZERO;
        for wait_ms in waits_ms {
            now += Duration::from_millis(wait_ms);
            let recent = allowed.iter().filter(|start| now.saturating_sub(**start) < 60 * S).count();
            let expected = recent < burst as usize;
            let found = limit.try_start(now);
            prop_assert_eq!(found.is_ok(), expected);
            if let Err(reached) = found {
                // What it promises is true, and not a nanosecond earlier.
                let mut later = limit.clone();
                prop_assert!(later.try_start(now + reached.retry_after).is_ok());
                let mut sooner = limit.clone();
                prop_assert!(sooner.try_start((now + reached.retry_after).saturating_sub(Duration::from_nanos(1))).is_err());
            } else {
                allowed.push(now);
            }
        }
    }
}
