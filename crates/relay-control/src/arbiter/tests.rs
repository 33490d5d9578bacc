use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);

fn arbiter() -> Arbiter {
    Arbiter::try_new(ArbiterConfig::default()).unwrap()
}

fn load(load: f64) -> LoadReading {
    LoadReading {
        load,
        can_grow: true,
        can_shrink: true,
    }
}

/// Reads memory, queues and pools at `now` and takes a step.
fn step(
    arbiter: &mut Arbiter,
    pressure: f64,
    fills: &[f64],
    pools: &[f64],
    now: Duration,
) -> Vec<Action> {
    arbiter.note_memory(pressure, now);
    for (index, fill) in fills.iter().enumerate() {
        arbiter.note_subscription(index, load(*fill), now);
    }
    for (index, utilisation) in pools.iter().enumerate() {
        arbiter.note_pool(index, load(*utilisation), now);
    }
    arbiter.step(now).actions().to_vec()
}

const ENGAGE_ALL: [Action; 5] = [
    Action::Engage(Defence::Buffers),
    Action::Engage(Defence::Pools),
    Action::Engage(Defence::Overflow),
    Action::Engage(Defence::Ingest),
    Action::Purge,
];

/// V08–V10, AM05: what wins, for every combination of memory, saturation and idleness.
#[test]
fn memory_comes_before_capacity_and_capacity_before_optimisation() {
    let grow = vec![Action::Grow { subscription: 0 }];
    let shrink = vec![Action::Shrink { subscription: 1 }];
    let table = [
        (0.90, 0.9, ENGAGE_ALL.to_vec()),
        (0.90, 0.5, ENGAGE_ALL.to_vec()),
        (0.89, 0.9, vec![Action::Throttle]),
        (0.75, 0.9, vec![Action::Throttle]),
        (0.74, 0.9, grow.clone()),
        (0.74, 0.7, vec![]),
        (0.49, 0.9, grow),
        (0.50, 0.7, vec![]),
        (0.49, 0.7, shrink),
    ];
    for (pressure, fill, expected) in table {
        let found = step(&mut arbiter(), pressure, &[fill, 0.1], &[], S);
        assert_eq!(found, expected, "memory {pressure}, fill {fill}");
    }
}

/// V11–V14, X06–X11: in order, each once, and undone in reverse.
#[test]
fn defensive_mode_engages_all_and_releases_all_once() {
    let mut arbiter = arbiter();
    assert_eq!(step(&mut arbiter, 0.92, &[], &[], S), ENGAGE_ALL);
    assert!(arbiter.is_defending());
    for second in 2..40 {
        assert_eq!(step(&mut arbiter, 0.80, &[0.9], &[], S * second), []);
    }
    assert_eq!(
        step(&mut arbiter, 0.74, &[], &[], 40 * S),
        [
            Action::Purge,
            Action::Release(Defence::Ingest),
            Action::Release(Defence::Overflow),
            Action::Release(Defence::Pools),
            Action::Release(Defence::Buffers),
        ]
    );
    assert!(!arbiter.is_defending());
    assert_eq!(step(&mut arbiter, 0.74, &[], &[], 41 * S), []);
}

#[test]
fn as_long_as_memory_is_critical_buffers_and_pools_give_more_each_loop() {
    let mut arbiter = arbiter();
    step(&mut arbiter, 0.92, &[], &[], S);
    let further = [
        Action::Engage(Defence::Buffers),
        Action::Engage(Defence::Pools),
    ];
    assert_eq!(step(&mut arbiter, 0.92, &[], &[], 3 * S), []);
    assert_eq!(step(&mut arbiter, 0.92, &[], &[], 4 * S), further);
    assert_eq!(step(&mut arbiter, 0.92, &[], &[], 7 * S), further);
}

/// V19, R07: neither the loop nor the cooldown delays what is critical.
#[test]
fn critical_memory_acts_at_once_in_the_middle_of_a_cooldown() {
    let mut arbiter = arbiter();
    assert_eq!(step(&mut arbiter, 0.4, &[0.9], &[], S).len(), 1);
    let soon = S + Duration::from_millis(1);
    assert_eq!(step(&mut arbiter, 0.92, &[0.9], &[], soon), ENGAGE_ALL);
}

/// V18, R07, O07–O09
#[test]
fn one_change_a_loop_and_one_a_cooldown_for_each_actuator_and_direction() {
    let mut arbiter = arbiter();
    let mut acted = Vec::new();
    for second in 0..100_u32 {
        let actions = step(&mut arbiter, 0.4, &[0.9, 0.8], &[], S * second);
        assert!(actions.len() <= 1);
        acted.extend(actions.into_iter().map(|action| (second, action)));
    }
    let at = |subscription| {
        let grown = acted
            .iter()
            .filter(move |(_, action)| *action == Action::Grow { subscription });
        grown.map(|(second, _)| *second).collect::<Vec<_>>()
    };
    assert_eq!(at(0), [0, 30, 60, 90], "the fullest first");
    assert_eq!(at(1), [3, 33, 63, 93]);
}

#[test]
fn more_actions_a_loop_are_other_actuators() {
    let config = ArbiterConfig {
        actions_per_loop: 3,
        ..ArbiterConfig::default()
    };
    let mut arbiter = Arbiter::try_new(config).unwrap();
    let actions = step(&mut arbiter, 0.4, &[0.9, 0.8], &[], S);
    assert_eq!(
        actions,
        [
            Action::Grow { subscription: 0 },
            Action::Grow { subscription: 1 },
            Action::Throttle
        ]
    );
}

/// V16: ten idle queues do not hide a full one; when all are full it is the workers.
#[test]
fn the_fullest_queue_counts_and_the_mean_says_whether_workers_come_first() {
    let mut fills = [0.05; 11];
    fills[10] = 0.9;
    assert_eq!(
        step(&mut arbiter(), 0.4, &fills, &[0.9], S),
        [Action::Grow { subscription: 10 }]
    );
    assert_eq!(
        step(&mut arbiter(), 0.4, &[0.9; 3], &[0.9], S),
        [Action::ScaleUp { pool: 0 }]
    );
}

/// V15, AL09: what cannot grow is slowed down.
#[test]
fn a_queue_at_its_maximum_gets_a_worker_and_then_slower_publishers() {
    let mut arbiter = arbiter();
    let at_max = LoadReading {
        can_grow: false,
        ..load(0.95)
    };
    let mut seen = Vec::new();
    for second in [0, 3, 6] {
        arbiter.note_memory(0.4, S * second);
        arbiter.note_subscription(0, at_max, S * second);
        arbiter.note_pool(0, load(0.9), S * second);
        seen.extend_from_slice(arbiter.step(S * second).actions());
    }
    assert_eq!(seen, [Action::ScaleUp { pool: 0 }, Action::Throttle]);
}

#[test]
fn back_pressure_without_a_full_queue_is_saturation_too() {
    let mut arbiter = arbiter();
    arbiter.note_back_pressure(S);
    assert_eq!(step(&mut arbiter, 0.8, &[0.2], &[], S), [Action::Throttle]);
}

/// V17: per subscription, the emptiest first; what has just grown is left alone.
#[test]
fn tidying_up_shrinks_the_emptiest_and_nothing_that_has_just_grown() {
    let mut arbiter = arbiter();
    assert_eq!(
        step(&mut arbiter, 0.4, &[0.9, 0.2], &[0.1], S),
        [Action::Grow { subscription: 0 }]
    );
    let fills = [0.1, 0.2];
    assert_eq!(
        step(&mut arbiter, 0.4, &fills, &[0.1], 4 * S),
        [Action::Shrink { subscription: 1 }]
    );
    assert_eq!(
        step(&mut arbiter, 0.4, &fills, &[0.1], 7 * S),
        [Action::ScaleDown { pool: 0 }]
    );
    assert_eq!(step(&mut arbiter, 0.4, &fills, &[0.1], 10 * S), []);
    assert_eq!(
        step(&mut arbiter, 0.4, &fills, &[0.1], 31 * S),
        [Action::Shrink { subscription: 0 }]
    );
}

/// V07, R10, AM06
#[test]
fn readings_expire_and_unknown_memory_neither_grows_nor_relieves() {
    let mut arbiter = arbiter();
    arbiter.note_subscription(0, load(0.95), S);
    arbiter.note_back_pressure(S);
    assert_eq!(arbiter.step(12 * S).actions(), [], "eleven seconds old");
    arbiter.note_subscription(0, load(0.95), 15 * S);
    assert_eq!(
        arbiter.step(15 * S).actions(),
        [Action::Throttle],
        "memory is unknown"
    );
    step(&mut arbiter, 0.95, &[], &[], 20 * S);
    assert_eq!(arbiter.step(100 * S).actions(), []);
    assert!(arbiter.is_defending());
}

/// AM04, U18: a load that swings every five seconds for an hour.
#[test]
fn an_oscillating_load_cannot_make_it_thrash() {
    let mut arbiter = arbiter();
    let mut actions = 0;
    for second in 0..3600_u32 {
        let high = second / 5 % 2 == 0;
        let (pressure, fill) = if high { (0.70, 0.9) } else { (0.30, 0.1) };
        actions += step(&mut arbiter, pressure, &[fill], &[fill], S * second).len();
    }
    assert!(actions <= 4 * 120, "{actions}");
}

#[test]
fn what_has_a_number_too_high_is_not_looked_at() {
    let mut arbiter = arbiter();
    arbiter.note_subscription(SUBSCRIPTIONS_MAX, load(1.0), S);
    arbiter.note_pool(POOLS_MAX, load(1.0), S);
    assert_eq!(step(&mut arbiter, 0.6, &[], &[], S), []);
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: ArbiterConfig| Arbiter::try_new(config).unwrap_err().field;
    let base = ArbiterConfig::default;
    let cases = [
        (
            ArbiterConfig {
                optimise_below: 0.75,
                ..base()
            },
            "arbiter.optimise_below",
        ),
        (
            ArbiterConfig {
                growth_below: 0.95,
                ..base()
            },
            "arbiter.growth_below",
        ),
        (
            ArbiterConfig {
                defence_exit: 0.90,
                ..base()
            },
            "arbiter.defence_exit",
        ),
        (
            ArbiterConfig {
                critical: 1.1,
                ..base()
            },
            "arbiter.critical",
        ),
        (
            ArbiterConfig {
                unused: 0.7,
                ..base()
            },
            "arbiter.unused",
        ),
        (
            ArbiterConfig {
                saturated: 1.0,
                ..base()
            },
            "arbiter.saturated",
        ),
        (
            ArbiterConfig {
                actions_per_loop: 0,
                ..base()
            },
            "arbiter.actions_per_loop",
        ),
        (
            ArbiterConfig {
                interval: 31 * S,
                ..base()
            },
            "arbiter.interval",
        ),
        (
            ArbiterConfig {
                cooldown: 301 * S,
                ..base()
            },
            "arbiter.cooldown",
        ),
        (
            ArbiterConfig {
                expiry: S,
                ..base()
            },
            "arbiter.expiry",
        ),
    ];
    for (config, field) in cases {
        assert_eq!(refused(config), field);
    }
}

proptest! {
    /// Whatever happens: defences alternate, growth needs memory, and one change a loop outside them.
    #[test]
    fn no_sequence_breaks_the_order(
        walk in prop::collection::vec((0.0_f64..1.1, 0.0_f64..1.1, 0.0_f64..1.5, 0_u64..20_000), 1..300),
    ) {
        let mut arbiter = arbiter();
        let (mut now, mut engaged) = (Duration::ZERO, false);
        for (pressure, fill, utilisation, wait_ms) in walk {
            now += Duration::from_millis(wait_ms);
            let was = arbiter.is_defending();
            let actions = step(&mut arbiter, pressure, &[fill], &[utilisation], now);
            for action in &actions {
                match action {
                    Action::Engage(Defence::Overflow) => prop_assert!(!std::mem::replace(&mut engaged, true)),
                    Action::Release(Defence::Overflow) => prop_assert!(std::mem::take(&mut engaged)),
                    Action::Grow { .. } | Action::ScaleUp { .. } => prop_assert!(pressure < 0.75),
                    Action::Shrink { .. } | Action::ScaleDown { .. } => prop_assert!(pressure < 0.50),
                    _ => {}
                }
            }
            prop_assert!(was || arbiter.is_defending() || actions.len() <= 1);
            prop_assert!(arbiter.is_defending() || pressure < 0.90);
        }
    }
}
