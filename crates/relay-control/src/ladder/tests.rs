use proptest::prelude::*;

use super::*;

const LIMIT: u64 = 1_000_000_000;

fn at(pressure: f64) -> Memory {
    Memory {
        unreclaimable_bytes: (pressure * LIMIT as f64).round() as u64,
        limit_bytes: LIMIT,
        soft_limit_bytes: None,
    }
}

fn early() -> Ladder {
    Ladder::try_new(LadderConfig::early()).unwrap()
}

/// J03, J04, J05, J11, DEC14: at the threshold, and just below it.
#[test]
fn each_level_of_the_early_preset_begins_exactly_at_its_threshold() {
    for (below, threshold, before, after) in [
        (0.699, 0.70, Level::Normal, Level::Warning),
        (0.849, 0.85, Level::Warning, Level::Error),
        (0.899, 0.90, Level::Error, Level::Critical),
        (0.979, 0.98, Level::Critical, Level::Emergency),
    ] {
        assert_eq!(early().step(&at(below)), before, "at {below}");
        assert_eq!(early().step(&at(threshold)), after, "at {threshold}");
    }
}

/// J06
#[test]
fn the_late_preset_begins_at_its_own_thresholds() {
    let level_at = |pressure| {
        let mut ladder = Ladder::try_new(LadderConfig::late()).unwrap();
        ladder.step(&at(pressure))
    };
    assert_eq!(level_at(0.849), Level::Normal);
    assert_eq!(level_at(0.85), Level::Warning);
    assert_eq!(level_at(0.90), Level::Error);
    assert_eq!(level_at(0.95), Level::Critical);
    assert_eq!(level_at(0.98), Level::Emergency);
}

/// DEC14, DEC32: each level is left strictly below its exit.
#[test]
fn levels_are_left_below_their_exits_one_by_one() {
    let mut ladder = early();
    ladder.step(&at(0.99));
    let course = [0.88, 0.879, 0.80, 0.799, 0.75, 0.749, 0.55, 0.549];
    let levels = course.map(|pressure| ladder.step(&at(pressure)));
    assert_eq!(
        levels,
        [
            Level::Emergency,
            Level::Critical,
            Level::Critical,
            Level::Error,
            Level::Error,
            Level::Warning,
            Level::Warning,
            Level::Normal,
        ]
    );
}

/// J07
#[test]
fn flapping_at_a_threshold_makes_one_transition() {
    let mut ladder = early();
    let mut transitions = 0;
    for tick in 0..1000 {
        let before = ladder.level();
        let after = ladder.step(&at(if tick % 2 == 0 { 0.8501 } else { 0.8499 }));
        transitions += u32::from(before != after);
    }
    assert_eq!(transitions, 1);
}

#[test]
fn warning_to_critical_follow_the_smaller_limit_and_emergency_the_hard_one() {
    let mut ladder = early();
    let soft = Memory {
        soft_limit_bytes: Some(LIMIT / 2),
        ..at(0.50)
    };
    assert_eq!(soft.pressure(), 1.0);
    assert_eq!(ladder.step(&soft), Level::Critical);
    assert!(!ladder.is_emergency(&soft));
}

#[test]
fn many_cpus_bring_emergency_forward_by_what_they_charge_ahead() {
    let limit_bytes = 64 << 20;
    let memory = |free_bytes| Memory {
        unreclaimable_bytes: limit_bytes - free_bytes,
        limit_bytes,
        soft_limit_bytes: None,
    };
    let config = LadderConfig {
        cpus: 8,
        ..LadderConfig::early()
    };
    let mut ladder = Ladder::try_new(config).unwrap();
    assert_eq!(
        ladder.step(&memory((2 << 20) + (1 << 19) + 1)),
        Level::Critical
    );
    assert_eq!(
        ladder.step(&memory((2 << 20) + (1 << 19))),
        Level::Emergency
    );
}

#[test]
fn a_limit_of_zero_is_an_emergency() {
    let memory = Memory {
        unreclaimable_bytes: 0,
        limit_bytes: 0,
        soft_limit_bytes: None,
    };
    assert_eq!(early().step(&memory), Level::Emergency);
}

#[test]
fn thresholds_out_of_order_are_refused_by_name() {
    let refused = |config: LadderConfig| Ladder::try_new(config).unwrap_err().field;
    let early = LadderConfig::early;
    assert_eq!(
        refused(LadderConfig {
            relief: 0.0,
            ..early()
        }),
        "ladder.relief"
    );
    assert_eq!(
        refused(LadderConfig {
            relief: f64::NAN,
            ..early()
        }),
        "ladder.relief"
    );
    assert_eq!(
        refused(LadderConfig {
            warning: 0.55,
            ..early()
        }),
        "ladder.warning"
    );
    assert_eq!(
        refused(LadderConfig {
            error: 0.90,
            ..early()
        }),
        "ladder.error"
    );
    assert_eq!(
        refused(LadderConfig {
            critical: 0.98,
            ..early()
        }),
        "ladder.critical"
    );
    assert_eq!(
        refused(LadderConfig {
            emergency: 1.01,
            ..early()
        }),
        "ladder.emergency"
    );
    assert_eq!(refused(LadderConfig { cpus: 0, ..early() }), "ladder.cpus");
}

proptest! {
    /// J08: between two reliefs there is an alert, and between two alerts a relief.
    #[test]
    fn relief_comes_exactly_once_for_each_alert(walk in prop::collection::vec(0.3_f64..1.0, 1..300)) {
        let mut ladder = early();
        let (mut alerts, mut reliefs) = (0, 0);
        for pressure in walk {
            let before = ladder.level();
            let after = ladder.step(&at(pressure));
            alerts += u32::from(before == Level::Normal && after > Level::Normal);
            reliefs += u32::from(before > Level::Normal && after == Level::Normal);
            prop_assert_eq!(alerts - reliefs, u32::from(after > Level::Normal));
            prop_assert!(after == Level::Normal || pressure >= 0.549_999);
            prop_assert!(after >= Level::Warning || pressure < 0.70);
        }
    }
}
