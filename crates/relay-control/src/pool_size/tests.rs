use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Twice as much as two workers cope with, nothing against growing.
const BUSY: PoolInput = PoolInput {
    queued: 40,
    service_time: None,
    inter_arrival_time: None,
    fill: 0.0,
    error_rate: 0.0,
    pressure: Some(0.4),
};
const IDLE: PoolInput = PoolInput { queued: 0, ..BUSY };

fn pool() -> PoolSize {
    PoolSize::try_new(PoolConfig::default()).unwrap()
}

fn pool_of(workers: usize) -> PoolSize {
    let mut pool = pool();
    pool.workers = workers;
    pool
}

/// U03: all sixteen combinations of the four conditions.
#[test]
fn a_worker_is_added_only_when_all_four_conditions_hold() {
    for case in 0..16_u8 {
        let holds = |bit: u8| case & (1 << bit) != 0;
        let mut pool = pool_of(if holds(0) { 2 } else { 8 });
        let input = PoolInput {
            queued: if holds(1) { 100 } else { 0 },
            error_rate: if holds(2) { 0.049 } else { 0.05 },
            pressure: Some(if holds(3) { 0.749 } else { 0.75 }),
            ..BUSY
        };
        let reason = pool.step(&input, S).reason;
        assert_eq!(reason.is_some(), case == 15, "{case:04b}: {reason:?}");
    }
    let unknown = PoolInput {
        pressure: None,
        ..BUSY
    };
    assert_eq!(pool().step(&unknown, S).reason, None, "unknown is not calm");
}

/// U04, DEC31
#[test]
fn a_worker_leaves_five_minutes_after_the_last_change_and_not_before() {
    let mut pool = pool_of(3);
    assert_eq!(pool.step(&IDLE, S).workers, 3);
    assert_eq!(
        pool.step(&IDLE, 300 * S).workers,
        3,
        "299 s after the start"
    );
    let decision = pool.step(&IDLE, 301 * S);
    assert_eq!(
        (decision.workers, decision.reason),
        (2, Some(ScaleReason::Idle))
    );
    assert_eq!(pool.step(&IDLE, 3000 * S).workers, 2, "the minimum");
}

/// U05
#[test]
fn critical_memory_takes_workers_at_once_down_to_the_minimum() {
    let mut pool = pool_of(5);
    let critical = PoolInput {
        pressure: Some(0.90),
        ..BUSY
    };
    let workers: Vec<_> = [1000, 1001, 2000, 3000, 4000]
        .map(|ms| pool.step(&critical, MS * ms).workers)
        .into();
    assert_eq!(workers, [4, 4, 3, 2, 2]);
}

/// U08
#[test]
fn utilisation_by_depth_is_depth_by_ten_a_worker() {
    for (queued, workers, expected) in [(0, 2, 0.0), (7, 2, 0.35), (14, 2, 0.7), (100, 5, 2.0)] {
        let input = PoolInput { queued, ..BUSY };
        assert_eq!(pool_of(workers).utilisation(&input), expected);
    }
    let at_target = PoolInput { queued: 14, ..BUSY };
    assert_eq!(pool().step(&at_target, S).reason, None, "0.7 is as wanted");
}

/// D28, O16: a deep queue of quick events is no lag, a short one of slow events is.
#[test]
fn utilisation_by_lag_weighs_the_queue_by_its_service_time() {
    let quick = PoolInput {
        queued: 1000,
        service_time: Some(MS / 1000),
        ..BUSY
    };
    let decision = pool().step(&quick, S);
    assert_eq!((decision.reason, decision.saturated), (None, false));
    for (queued, saturated) in [(8, false), (9, true)] {
        let slow = PoolInput {
            queued,
            service_time: Some(5 * MS),
            ..BUSY
        };
        let decision = pool().step(&slow, S);
        assert_eq!(decision.saturated, saturated, "{:?}", decision.lag);
        assert_eq!(decision.reason, Some(ScaleReason::Busy));
    }
}

/// U09
#[test]
fn utilisation_by_load_is_service_time_by_inter_arrival_time() {
    let config = PoolConfig {
        measure: Measure::Load,
        ..PoolConfig::default()
    };
    let pool = PoolSize::try_new(config).unwrap();
    let input = PoolInput {
        service_time: Some(3 * MS),
        inter_arrival_time: Some(2 * MS),
        ..BUSY
    };
    assert!((pool.utilisation(&input) - 0.75).abs() < 1e-12);
    let unknown = PoolInput {
        inter_arrival_time: None,
        ..input
    };
    assert_eq!(pool.utilisation(&unknown), 2.0, "by depth");
}

/// U10
#[test]
fn a_saturated_buffer_counts_as_busy_under_every_measure() {
    let input = PoolInput { fill: 0.8, ..IDLE };
    assert_eq!(pool().utilisation(&input), 1.0);
}

/// D27
#[test]
fn low_utilisation_for_three_seconds_is_idle() {
    let mut pool = pool();
    let seen = [1, 3, 4].map(|s| pool.step(&IDLE, S * s).idle);
    assert_eq!(seen, [false, false, true]);
    assert!(!pool.step(&BUSY, 5 * S).idle);
    assert!(!pool.step(&IDLE, 6 * S).idle);
}

/// U18
#[test]
fn a_load_that_swings_every_second_changes_one_worker_in_thirty_seconds() {
    let mut pool = pool();
    let mut changes = Vec::new();
    for tick in 0..12_000_u32 {
        let now = 50 * MS * tick;
        let input = if tick / 20 % 2 == 0 { BUSY } else { IDLE };
        if pool.step(&input, now).reason.is_some() {
            changes.push(now);
        }
    }
    assert!(
        changes
            .windows(2)
            .all(|pair| pair[1].saturating_sub(pair[0]) >= 30 * S)
    );
    assert!(!changes.is_empty() && changes.len() <= 8, "{changes:?}");
}

/// U07: what the pool says it has is what counts.
#[test]
fn a_start_that_failed_is_corrected_and_tried_again_after_the_wait() {
    let mut pool = pool();
    assert_eq!(pool.step(&BUSY, S).workers, 3);
    pool.correct(2);
    assert_eq!(pool.step(&BUSY, 2 * S).workers, 2);
    assert_eq!(pool.step(&BUSY, 31 * S).workers, 3);
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: PoolConfig| PoolSize::try_new(config).unwrap_err().field;
    let base = PoolConfig::default;
    let cases = [
        (PoolConfig { min: 0, ..base() }, "pool.min"),
        (PoolConfig { min: 9, ..base() }, "pool.min"),
        (PoolConfig { low: 0.7, ..base() }, "pool.low"),
        (
            PoolConfig {
                target: 1.1,
                ..base()
            },
            "pool.target",
        ),
        (
            PoolConfig {
                depth_per_worker: 0,
                ..base()
            },
            "pool.depth_per_worker",
        ),
        (
            PoolConfig {
                errors_below: 0.0,
                ..base()
            },
            "pool.errors_below",
        ),
        (
            PoolConfig {
                growth_below: 0.9,
                ..base()
            },
            "pool.growth_below",
        ),
        (
            PoolConfig {
                forced_from: 1.1,
                ..base()
            },
            "pool.forced_from",
        ),
        (
            PoolConfig {
                up_wait: 301 * S,
                ..base()
            },
            "pool.up_wait",
        ),
        (
            PoolConfig {
                target_lag: Duration::ZERO,
                ..base()
            },
            "pool.target_lag",
        ),
        (
            PoolConfig {
                forced_wait: Duration::ZERO,
                ..base()
            },
            "pool.forced_wait",
        ),
    ];
    for (config, field) in cases {
        assert_eq!(refused(config), field);
    }
    for cpus in [0.1, 1.0, 3.5, 64.0] {
        assert!(PoolSize::try_new(base().capped(cpus)).is_ok(), "{cpus}");
    }
}

proptest! {
    #[test]
    fn the_number_of_workers_stays_in_bounds_and_moves_by_one(
        walk in prop::collection::vec(
            (0_u64..1000, 0.0_f64..1.2, prop::option::of(0.0_f64..1.2), 0_u64..400),
            1..200,
        ),
    ) {
        let mut pool = pool();
        let mut now = Duration::ZERO;
        for (queued, fill, pressure, wait_s) in walk {
            now += S * wait_s as u32;
            let decision = pool.step(&PoolInput { queued, fill, pressure, ..BUSY }, now);
            prop_assert!((2..=8).contains(&decision.workers));
            prop_assert!(decision.workers.abs_diff(decision.previous) == usize::from(decision.reason.is_some()));
        }
    }
}
