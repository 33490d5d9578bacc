use super::*;

const MIB: f64 = (1 << 20) as f64;

fn law() -> DrainMatch {
    DrainMatch::try_new(DrainConfig::default()).unwrap()
}

fn situation(drain_mib: f64, pressure: f64) -> Situation {
    Situation {
        drain_bytes_per_second: drain_mib * MIB,
        pressure,
        rise_per_second: 0.0,
        limit_bytes: 64 << 20,
        cost_factor: 1.6,
        ledger_used_bytes: 8 << 20,
        ledger_bytes: 32 << 20,
    }
}

#[test]
fn the_gain_falls_from_its_maximum_over_one_to_nothing() {
    let gains = [0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.85].map(|p| law().gain(p, 0.0, 0.0));
    for (found, expected) in gains.into_iter().zip([1.5, 1.5, 1.25, 1.0, 0.5, 0.0, 0.0]) {
        assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
    }
}

#[test]
fn a_full_ledger_takes_away_the_surplus_and_never_more() {
    assert_eq!(law().gain(0.3, 0.0, 1.0), 1.0);
    assert_eq!(law().gain(0.3, 0.0, 7.0), 1.0);
    assert_eq!(law().gain(0.3, 0.0, 0.5), 1.25);
}

#[test]
fn a_rise_is_carried_ahead_and_a_fall_is_not_trusted() {
    assert!(law().gain(0.60, 1.0, 0.0) < 1e-9);
    assert_eq!(law().gain(0.65, -1.0, 0.0), 1.0);
    assert!(law().reaches_setpoint(0.60, 0.5));
    assert!(!law().reaches_setpoint(0.60, -5.0));
}

#[test]
fn a_stalled_consumer_leaves_the_room_below_the_setpoint_to_be_filled() {
    let rate = |pressure| law().rate_bytes_per_second(&situation(0.0, pressure)) / MIB;
    assert!((rate(0.15) - 0.50 * 64.0 / 1.6 / 10.0).abs() < 1e-9);
    assert_eq!(rate(0.65), 0.0);
    let full = Situation {
        ledger_used_bytes: 32 << 20,
        ..situation(0.0, 0.15)
    };
    assert_eq!(law().rate_bytes_per_second(&full), 0.0);
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: DrainConfig| DrainMatch::try_new(config).unwrap_err().field;
    let base = DrainConfig::default;
    let zero = Duration::ZERO;
    assert_eq!(
        refused(DrainConfig {
            setpoint: 1.0,
            ..base()
        }),
        "drain.setpoint"
    );
    assert_eq!(
        refused(DrainConfig {
            band: 0.0,
            ..base()
        }),
        "drain.band"
    );
    assert_eq!(
        refused(DrainConfig {
            gain_max: 0.9,
            ..base()
        }),
        "drain.gain_max"
    );
    assert_eq!(
        refused(DrainConfig {
            look_ahead: Duration::MAX,
            ..base()
        }),
        "drain.look_ahead"
    );
    assert_eq!(
        refused(DrainConfig {
            time_constant: zero,
            ..base()
        }),
        "drain.time_constant"
    );
    assert_eq!(
        refused(DrainConfig {
            expiry: zero,
            ..base()
        }),
        "drain.expiry"
    );
    assert_eq!(
        refused(DrainConfig {
            room_time: zero,
            ..base()
        }),
        "drain.room_time"
    );
}
