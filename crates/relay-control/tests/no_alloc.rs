//! What is stepped at the limit allocates nothing: an allocation there stalls for a tenth of a second, or kills.

use std::time::Duration;

use relay_control::{
    Arbiter, ArbiterConfig, Breaker, BreakerConfig, BufferConfig, BufferInput, BufferSize,
    ControlConfig, Controller, DropSpread, Forecast, ForecastConfig, Headroom, Input, LatchUp,
    LatchUpConfig, LatchUpInput, LoadReading, Memory, Outcome, Pace, PaceConfig, PaceInput,
    PoolConfig, PoolInput, PoolSize, PressureAlarm, PressureAlarmConfig, Reading, Throttle,
    ThrottleConfig,
};

/// Pressure of a tick: up and down through every level.
fn pressure(tick: u32) -> f64 {
    f64::from(tick % 110) / 100.0
}

fn input(tick: u32) -> Input {
    Input {
        memory: Reading::Known(Memory {
            unreclaimable_bytes: (pressure(tick) * f64::from(1 << 28)) as u64,
            limit_bytes: 1 << 28,
            soft_limit_bytes: None,
        }),
        ledger_used_bytes: u64::from(tick % 50) << 20,
        live_bytes: Some(20 << 20),
        delivered_bytes: u64::from(tick) * 1000,
        backlog: !tick.is_multiple_of(7),
    }
}

#[test]
fn a_look_allocates_nothing() {
    let mut controller = Controller::try_new(ControlConfig::default()).unwrap();
    let mut forecast = Forecast::try_new(ForecastConfig::default()).unwrap();
    let mut pace = Pace::try_new(PaceConfig::default()).unwrap();
    let mut alarm = PressureAlarm::try_new(PressureAlarmConfig::default()).unwrap();
    let mut latch_up = LatchUp::try_new(LatchUpConfig::default()).unwrap();
    let mut throttle = Throttle::try_new(ThrottleConfig::default()).unwrap();
    let counted = allocation_counter::measure(|| {
        for tick in 0..5_000 {
            let now = Duration::from_millis(50) * tick;
            let p = pressure(tick);
            let decision = controller.step(&input(tick), now);
            let headroom = Headroom {
                used_bytes: u64::from(tick % 110),
                limit_bytes: 100,
            };
            let outlook = forecast.step(&[headroom; 4], now);
            forecast.step_bytes(10, now);
            let moving = tick.is_multiple_of(3);
            let level = decision.level;
            pace.step(
                &PaceInput {
                    level,
                    outlook,
                    learning: decision.learning,
                    moving,
                },
                now,
            );
            alarm.step(Some(p), now);
            throttle.step(p, Some(p), now);
            latch_up.step(
                &LatchUpInput {
                    admitted_share: Some(1.0 - p.min(1.0)),
                    live_share: Some(0.1),
                    pressure: Some(p),
                },
                now,
            );
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn slow_actuators_and_calls_allocate_nothing_once_they_run() {
    let mut arbiter = Arbiter::try_new(ArbiterConfig::default()).unwrap();
    let mut buffer = BufferSize::try_new(BufferConfig::default()).unwrap();
    let mut pool = PoolSize::try_new(PoolConfig::default()).unwrap();
    let mut spread = DropSpread::default();
    let mut breaker = Breaker::try_new(BreakerConfig {
        consecutive: None,
        ..BreakerConfig::default()
    })
    .unwrap();
    let counted = allocation_counter::measure(|| {
        for tick in 0..5_000 {
            let now = Duration::from_millis(500) * tick;
            let p = pressure(tick);
            let load = LoadReading {
                load: p,
                can_grow: true,
                can_shrink: true,
            };
            arbiter.note_memory(p, now);
            arbiter.note_subscription(1, load, now);
            arbiter.note_pool(1, load, now);
            arbiter.step(now);
            buffer.step(&BufferInput {
                fill: p,
                pressure: Some(p),
                event_bytes: Some(1000.0),
                share_bytes: 1 << 20,
            });
            pool.step(
                &PoolInput {
                    queued: u64::from(tick % 100),
                    service_time: Some(Duration::from_millis(1)),
                    inter_arrival_time: None,
                    fill: p,
                    error_rate: 0.0,
                    pressure: Some(p),
                },
                now,
            );
            spread.drops(p.min(1.0), 1, 0.5);
            let permit = breaker.try_acquire(now).unwrap();
            let failed = tick.is_multiple_of(3);
            let outcome = if failed {
                Outcome::Failure
            } else {
                Outcome::Success(Duration::ZERO)
            };
            breaker.record(permit, outcome, now);
        }
    });
    assert_eq!(counted.count_total, 0);
}
