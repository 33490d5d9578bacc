use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const TICK: Duration = Duration::from_millis(50);
const MIB: u64 = 1 << 20;

fn forecast() -> Forecast {
    Forecast::try_new(ForecastConfig::default()).unwrap()
}

fn mib(used: u64, limit: u64) -> Headroom {
    Headroom {
        used_bytes: used * MIB,
        limit_bytes: limit * MIB,
    }
}

/// Growth by `bytes_per_second` from 60 MiB under a limit of 256 MiB, sampled every `tick`, until
/// `pressure` is reached: the last outlook, and the true time that is left.
fn ramp(bytes_per_second: f64, tick: Duration, pressure: f64) -> (Outlook, f64) {
    let mut forecast = forecast();
    let limit = 256.0 * MIB as f64;
    for n in 0_u32.. {
        let now = tick * n;
        let used = 60.0 * MIB as f64 + bytes_per_second * now.as_secs_f64();
        let headroom = Headroom {
            used_bytes: used as u64,
            limit_bytes: 256 * MIB,
        };
        let outlook = forecast.step(&[headroom], now);
        if used >= pressure * limit {
            return (outlook, (limit - used) / bytes_per_second);
        }
    }
    unreachable!("the ramp reaches every pressure")
}

/// A03, D05: lead times at the rates whose time to the kill was measured, 3.8 s down to 0.25 s.
#[test]
fn a_steady_ramp_is_foreseen_to_a_percent_at_any_rate_and_tick() {
    for rate in [7.0, 34.0, 91.0, 181.0] {
        for tick in [MS, 10 * MS, TICK] {
            let (outlook, left) = ramp(rate * MIB as f64, tick, 0.85);
            let found = outlook.time_to_limit().unwrap().as_secs_f64();
            assert!((found / left - 1.0).abs() < 0.01, "{found} for {left}");
            assert_eq!(outlook.is_imminent(), left < 2.0, "{rate} MiB/s: {left} s");
        }
    }
}

#[test]
fn the_nearest_limit_in_time_binds_not_the_one_with_the_least_bytes_left() {
    let mut forecast = forecast();
    forecast.step(&[mib(200, 256), mib(500, 1024)], Duration::ZERO);
    let outlook = forecast.step(&[mib(201, 256), mib(560, 1024)], 20 * TICK);
    assert_eq!(
        outlook,
        Outlook::Meets {
            after: Duration::from_secs_f64((1024.0 - 560.0) / 60.0),
            level: 1,
            imminent: false
        },
        "55 MiB at 1 MiB/s last longer than 464 MiB at 60 MiB/s"
    );
}

#[test]
fn unknown_clear_and_met_are_three_answers() {
    let mut forecast = forecast();
    assert_eq!(forecast.outlook(), Outlook::Unknown);
    assert_eq!(forecast.step(&[mib(9, 10)], TICK), Outlook::Unknown);
    assert_eq!(forecast.step(&[mib(9, 10)], 2 * TICK), Outlook::Clear);
    assert_eq!(forecast.lose(), Outlook::Unknown);
    assert_eq!(forecast.step(&[mib(9, 10)], 3 * TICK), Outlook::Unknown);
    assert_eq!(forecast.step(&[], 4 * TICK), Outlook::Clear, "no limit");
    assert_eq!(
        forecast.step(&[mib(11, 10)], 5 * TICK).time_to_limit(),
        Some(Duration::ZERO),
        "above its limit, rising or not"
    );
}

#[test]
fn a_quiet_half_second_between_two_bursts_is_not_calm() {
    let mut forecast = forecast();
    let mut used = 100;
    for n in 0..200 {
        used += u64::from(n % 10 == 0);
        let outlook = forecast.step(&[mib(used, 256)], TICK * n);
        if n > 120 {
            let rate = (256 - used) as f64 / outlook.time_to_limit().unwrap().as_secs_f64();
            assert!(rate > 1.4, "{rate} in tick {n}: it is 2 MiB/s on the whole");
        }
    }
}

#[test]
fn a_limit_that_is_lowered_is_nearer_at_once() {
    let mut forecast = forecast();
    for n in 0..=20 {
        forecast.step(&[mib(60 + u64::from(n), 1024)], TICK * n);
    }
    let outlook = forecast.step(&[mib(81, 128)], TICK * 21);
    let after = outlook.time_to_limit().unwrap().as_secs_f64();
    assert!((after - 47.0 / 20.0).abs() < 1e-6, "{after}");
}

#[test]
fn bytes_between_two_samples_shorten_the_forecast_and_the_next_sample_takes_over() {
    let mut forecast = forecast();
    forecast.step(&[mib(100, 256)], Duration::ZERO);
    assert_eq!(forecast.step(&[mib(100, 256)], TICK), Outlook::Clear);
    let allocated = forecast.step_bytes(16 * MIB, TICK + MS);
    let after = allocated.time_to_limit().unwrap().as_secs_f64();
    assert!((after - 140.0 / (16.0 / 0.150)).abs() < 1e-6, "{after}");
    let more = forecast.step_bytes(100 * MIB, TICK + 2 * MS);
    assert!(more.is_imminent(), "{more:?}: 84 % and a tenth of a second");
    assert_eq!(
        forecast.step(&[mib(100, 256)], 2 * TICK),
        Outlook::Clear,
        "all of it was freed again"
    );
}

#[test]
fn bytes_before_the_first_sample_say_nothing() {
    assert_eq!(forecast().step_bytes(MIB, TICK), Outlook::Unknown);
}

#[test]
fn an_imminent_end_does_not_flicker() {
    let mut forecast = forecast();
    // 10 MiB/s, with so many tenths of a second left.
    let seen: Vec<_> = [100, 39, 21, 19, 21, 39, 41, 39, 21, 19]
        .into_iter()
        .zip(0_u32..)
        .map(|(tenths, tick)| {
            let used = 200 * MIB + MIB / 2 * u64::from(tick);
            let headroom = Headroom {
                used_bytes: used,
                limit_bytes: used + MIB * tenths,
            };
            forecast.step(&[headroom], TICK * tick).is_imminent()
        })
        .collect();
    let (yes, no) = (true, false);
    assert_eq!(seen, [no, no, no, yes, yes, yes, no, no, no, yes]);
}

#[test]
fn more_levels_than_are_followed_are_left_out() {
    let mut forecast = forecast();
    let levels: Vec<_> = (0..20).map(|n| mib(n, 256)).collect();
    forecast.step(&levels, Duration::ZERO);
    assert_eq!(forecast.step(&levels, TICK), Outlook::Clear);
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: ForecastConfig| Forecast::try_new(config).unwrap_err().field;
    let base = ForecastConfig::default;
    let cases = [
        (
            ForecastConfig {
                short: Duration::ZERO,
                ..base()
            },
            "forecast.short",
        ),
        (
            ForecastConfig {
                short: base().long,
                ..base()
            },
            "forecast.short",
        ),
        (
            ForecastConfig {
                long: 2 * base().horizon,
                ..base()
            },
            "forecast.long",
        ),
        (
            ForecastConfig {
                imminent: Duration::ZERO,
                ..base()
            },
            "forecast.imminent",
        ),
        (
            ForecastConfig {
                imminent: base().horizon,
                ..base()
            },
            "forecast.imminent",
        ),
        (
            ForecastConfig {
                imminent_from_percent: 101,
                ..base()
            },
            "forecast.imminent_from_percent",
        ),
    ];
    for (config, field) in cases {
        assert_eq!(refused(config), field);
    }
}

proptest! {
    /// Whatever is read, in whatever order of time, the answer is a time within the horizon.
    #[test]
    fn the_answer_is_always_finite(
        walk in prop::collection::vec((any::<u64>(), any::<u64>(), 0_u64..10_000_000), 1..60),
    ) {
        let mut forecast = forecast();
        for (used_bytes, limit_bytes, at_us) in walk {
            let now = Duration::from_micros(at_us);
            let headroom = Headroom { used_bytes, limit_bytes };
            for outlook in [forecast.step(&[headroom], now), forecast.step_bytes(used_bytes, now)] {
                let time = outlook.time_to_limit();
                prop_assert!(time.is_none_or(|time| time <= Duration::from_hours(1)));
            }
        }
    }
}
