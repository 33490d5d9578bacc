#![allow(clippy::unwrap_used)]

use super::*;

/// Looks each 100 ms; `state` says how the pool stands at each step.
fn meter(steps: u32, state: impl Fn(u64) -> PoolReading) -> Meter {
    let (start, mut meter) = (Instant::now(), Meter::default());
    for step in 0..=steps {
        let now = start + step * Duration::from_millis(100);
        meter.look(&state(u64::from(step)), now);
    }
    meter
}

#[test]
fn service_time_is_workers_at_work_by_events_done() {
    let measured = meter(20, |step| PoolReading {
        busy: 3,
        done: 5 * step,
        queue: 7,
        ..PoolReading::default()
    });
    // 50 events a second by 3 workers.
    let service = measured.service.unwrap().as_secs_f64();
    assert!((service - 0.06).abs() < 1e-6, "{service}");
    let arrival = measured.arrival.unwrap().as_secs_f64();
    assert!((arrival - 0.02).abs() < 1e-6, "{arrival}");
    assert!(measured.error_ratio.abs() < 1e-9);
}

#[test]
fn arrivals_count_what_is_still_queued_and_failures_are_a_share_of_calls() {
    let measured = meter(10, |step| PoolReading {
        busy: 1,
        done: step,
        queue: 3 * step as usize,
        errors: step / 2,
        ..PoolReading::default()
    });
    let arrival = measured.arrival.unwrap().as_secs_f64();
    assert!((arrival - 0.025).abs() < 1e-6, "{arrival}");
    assert!((measured.error_ratio - 5.0 / 15.0).abs() < 1e-9);
}

#[test]
fn a_pool_that_does_nothing_keeps_what_was_known() {
    let mut measured = meter(10, |step| PoolReading {
        busy: 1,
        done: step,
        ..PoolReading::default()
    });
    let known = measured.service;
    assert!(known.is_some());
    let later = measured.looked_at.unwrap() + Duration::from_secs(5);
    let idle = PoolReading {
        done: 10,
        ..PoolReading::default()
    };
    measured.look(&idle, later);
    assert_eq!(measured.service, known);
    assert!(meter(30, |_| PoolReading::default()).service.is_none());
}
