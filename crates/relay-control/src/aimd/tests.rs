use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);

fn governor(config: AimdConfig) -> Aimd {
    Aimd::try_new(config).unwrap()
}

fn default() -> Aimd {
    governor(AimdConfig::default())
}

/// Degrades and cuts until the scale is `scale`, then begins to recover at the answered time.
fn recovering_from(scale: f64, config: AimdConfig) -> (Aimd, Duration) {
    let mut aimd = governor(config);
    let mut now = Duration::ZERO;
    aimd.step(0.75, now);
    while aimd.governor().scale > scale {
        now += aimd.config.cooldown;
        aimd.step(0.95, now);
    }
    aimd.step(0.5, now);
    assert_eq!(aimd.governor().scale, scale);
    (aimd, now)
}

/// AI10, Q02–Q13: every state against every band of pressure.
/// A neighbour that eats looks like kept memory at first; the cut at critical is still to come, and comes once.
#[test]
fn an_episode_that_was_taken_for_kept_memory_still_cuts_at_critical() {
    let mut aimd = Aimd::try_new(AimdConfig::default()).unwrap();
    let mut scale = |pressure, live, second| {
        let now = Duration::from_secs(second);
        aimd.step_with_live(pressure, Some(live), now).scale
    };
    assert_eq!(scale(0.80, 0.75, 1), 0.5);
    assert_eq!(scale(0.80, 0.10, 2), 0.5, "taken for kept");
    assert_eq!(scale(0.86, 0.10, 3), 0.5, "it rises: refuted");
    assert_eq!(scale(0.92, 0.10, 4), 0.25);
    assert_eq!(scale(0.93, 0.10, 5), 0.25, "once");
    assert_eq!(scale(0.93, 0.10, 34), 0.125, "and then by cooldown");
}

#[test]
fn aimd_governor_state_transitions() {
    use GovernorState::{Degraded, Normal, Recovering};
    let bands = [0.549, 0.55, 0.699, 0.70, 0.899, 0.90];
    let table = [
        (
            Normal,
            [Normal, Normal, Normal, Degraded, Degraded, Degraded],
        ),
        (
            Degraded,
            [Recovering, Degraded, Degraded, Degraded, Degraded, Degraded],
        ),
        (
            Recovering,
            [
                Recovering, Recovering, Recovering, Degraded, Degraded, Degraded,
            ],
        ),
    ];
    for (from, expected) in table {
        for (pressure, to) in bands.into_iter().zip(expected) {
            let mut aimd = default();
            if from != Normal {
                aimd.step(0.70, S);
            }
            if from == Recovering {
                aimd.step(0.50, 2 * S);
            }
            assert_eq!(aimd.governor().state, from);
            assert_eq!(aimd.step(pressure, 3 * S).state, to, "{from} at {pressure}");
        }
    }
}

/// AI11, Q04, Q05, Q13, DEC12: 1.0 → 0.5 → 0.25 → the floor.
#[test]
fn aimd_governor_multiplicative_decrease() {
    for (floor, expected) in [
        (0.2, [0.5, 0.25, 0.2, 0.2]),
        (0.1, [0.5, 0.25, 0.125, 0.1]),
        (0.0, [0.5, 0.25, 0.125, 0.0625]),
    ] {
        let mut aimd = governor(AimdConfig {
            floor,
            ..AimdConfig::default()
        });
        let course = [(0.70, 0), (0.90, 1), (0.95, 31), (0.95, 61)];
        let scales = course.map(|(pressure, s)| aimd.step(pressure, S * s).scale);
        assert_eq!(scales, expected, "floor {floor}");
    }
}

/// AI12, Q07, Q08, DEC10: steps to 1.0, and the time that takes at three cooldowns.
#[test]
fn aimd_governor_additive_increase() {
    for (from, floor, steps) in [
        (0.5, 0.1, 10),
        (0.25, 0.1, 15),
        (0.2, 0.2, 16),
        (0.1, 0.1, 18),
    ] {
        for cooldown in [30 * S, 3 * S, Duration::from_millis(50)] {
            let (mut aimd, start) = recovering_from(
                from,
                AimdConfig {
                    floor,
                    cooldown,
                    ..AimdConfig::default()
                },
            );
            for step in 1..=steps {
                assert_eq!(aimd.governor().state, GovernorState::Recovering);
                let scale = aimd.step(0.50, start + cooldown * step).scale;
                assert!((scale - (from + 0.05 * f64::from(step))).abs() < 1e-9);
            }
            let end = Governor {
                state: GovernorState::Normal,
                scale: 1.0,
                lowest_scale: 1.0,
            };
            assert_eq!(
                aimd.governor(),
                end,
                "from {from} after {steps} × {cooldown:?}"
            );
        }
    }
}

/// Q05, DEC9: at once on crossing, then once a cooldown, however memory flaps at the threshold.
#[test]
fn crossing_into_critical_cuts_once_at_once_and_then_waits_for_the_cooldown() {
    let mut aimd = default();
    aimd.step(0.75, Duration::ZERO);
    assert_eq!(aimd.step(0.91, S).scale, 0.25);
    for tick in 0..100 {
        let pressure = if tick % 2 == 0 { 0.89 } else { 0.91 };
        assert_eq!(aimd.step(pressure, S + S * tick / 4).scale, 0.25);
    }
    assert_eq!(aimd.step(0.91, 31 * S).scale, 0.125);
}

/// Q09, DEC15: back into degraded within the cooldown keeps the scale; no loop collapses it.
#[test]
fn a_re_entry_loop_cannot_cut_faster_than_the_cooldown() {
    let mut aimd = governor(AimdConfig {
        floor: 0.0,
        ..AimdConfig::default()
    });
    let mut cuts = 0;
    let mut before = 1.0;
    for tick in 0..1200_u32 {
        let pressure = if tick % 3 == 2 { 0.50 } else { 0.95 };
        let scale = aimd.step(pressure, S * tick / 20).scale;
        cuts += u32::from(scale < before);
        before = scale;
    }
    assert!(cuts <= 2 * 2, "{cuts} cuts in 60 s at a cooldown of 30 s");
}

/// Q10
#[test]
fn a_square_wave_inside_the_hysteresis_changes_nothing() {
    let mut aimd = default();
    aimd.step(0.70, Duration::ZERO);
    let before = aimd.governor();
    for tick in 0..1000_u32 {
        let pressure = if tick % 2 == 0 { 0.56 } else { 0.69 };
        assert_eq!(aimd.step(pressure, S * tick), before);
    }
}

/// Q12, AM08
#[test]
fn recovery_pauses_between_exit_and_enter() {
    let (mut aimd, start) = recovering_from(0.5, AimdConfig::default());
    assert_eq!(aimd.step(0.60, start + 60 * S).scale, 0.5);
    assert_eq!(aimd.step(0.54, start + 61 * S).scale, 0.55);
    assert_eq!(aimd.step(0.54, start + 62 * S).scale, 0.55);
}

/// The lowest priority is shut out in five cuts while the others keep a tenth, and both return.
#[test]
fn the_lowest_priority_is_cut_to_nothing_and_grows_back_with_the_others() {
    let mut aimd = default();
    let scales: Vec<_> = [(0.70, 0), (0.90, 1), (0.95, 31), (0.95, 61), (0.95, 91)]
        .map(|(pressure, s)| aimd.step(pressure, S * s))
        .map(|governor| (governor.scale, governor.lowest_scale))
        .into();
    let expected = [
        (0.5, 0.5),
        (0.25, 0.25),
        (0.125, 0.125),
        (0.1, 0.0625),
        (0.1, 0.0),
    ];
    assert_eq!(scales, expected);
    aimd.step(0.5, 100 * S);
    for step in 1..=18 {
        let Governor {
            scale,
            lowest_scale,
            ..
        } = aimd.step(0.5, 100 * S + 30 * S * step);
        assert!(lowest_scale <= scale && lowest_scale >= 0.05 * f64::from(step) - 1e-9);
    }
    assert_eq!(aimd.governor().lowest_scale, 1.0);
}

/// The latch-up: all was delivered, all pages were kept. By memory alone it never ends.
#[test]
fn memory_that_is_only_kept_does_not_hold_the_gate_shut() {
    let short = AimdConfig {
        cooldown: S,
        ..AimdConfig::default()
    };
    let (mut blind, mut seeing) = (governor(short.clone()), governor(short));
    for aimd in [&mut blind, &mut seeing] {
        aimd.step_with_live(0.92, Some(0.85), S);
    }
    for second in 2..60 {
        blind.step(0.92, S * second);
        seeing.step_with_live(0.92, Some(0.10), S * second);
    }
    assert_eq!(blind.governor().scale, 0.10);
    assert_eq!(seeing.governor().state, GovernorState::Normal);
    let again = seeing.step_with_live(0.92, Some(0.75), 60 * S);
    assert_eq!(
        again.state,
        GovernorState::Degraded,
        "live bytes are pressure too"
    );
}

#[test]
fn memory_that_rises_is_not_merely_kept() {
    let mut aimd = default();
    aimd.step_with_live(0.80, Some(0.75), S);
    assert_eq!(
        aimd.step_with_live(0.80, Some(0.1), 2 * S).state,
        GovernorState::Recovering
    );
    assert_eq!(
        aimd.step_with_live(0.85, Some(0.1), 3 * S).state,
        GovernorState::Recovering
    );
    assert_eq!(
        aimd.step_with_live(0.851, Some(0.1), 4 * S).state,
        GovernorState::Degraded
    );
    for second in 5..200 {
        let governor = aimd.step_with_live(0.80, Some(0.1), S * second);
        assert_eq!(
            governor.state,
            GovernorState::Degraded,
            "refuted for this episode"
        );
    }
    aimd.step_with_live(0.54, Some(0.1), 200 * S);
    assert_eq!(aimd.governor().state, GovernorState::Recovering);
    aimd.step_with_live(0.80, Some(0.75), 201 * S);
    let next = aimd.step_with_live(0.80, Some(0.1), 202 * S);
    assert_eq!(
        next.state,
        GovernorState::Recovering,
        "the next episode is judged anew"
    );
}

#[test]
fn a_first_rise_is_taken_for_what_it_is_whatever_is_live() {
    let mut aimd = default();
    assert_eq!(
        aimd.step_with_live(0.70, Some(0.1), S).state,
        GovernorState::Degraded
    );
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: AimdConfig| Aimd::try_new(config).unwrap_err().field;
    let base = AimdConfig::default;
    assert_eq!(
        refused(AimdConfig {
            exit: 0.70,
            ..base()
        }),
        "aimd.exit"
    );
    assert_eq!(
        refused(AimdConfig {
            enter: 0.91,
            ..base()
        }),
        "aimd.enter"
    );
    assert_eq!(
        refused(AimdConfig {
            critical: 1.1,
            ..base()
        }),
        "aimd.critical"
    );
    assert_eq!(
        refused(AimdConfig {
            increase: 0.0,
            ..base()
        }),
        "aimd.increase"
    );
    assert_eq!(
        refused(AimdConfig {
            decrease_factor: 1.0,
            ..base()
        }),
        "aimd.decrease_factor"
    );
    assert_eq!(
        refused(AimdConfig {
            floor: f64::NAN,
            ..base()
        }),
        "aimd.floor"
    );
    assert_eq!(
        refused(AimdConfig {
            lowest_floor: 0.2,
            ..base()
        }),
        "aimd.lowest_floor"
    );
}

proptest! {
    /// Q13: whatever memory does, the scale stays between the floor and 1, and is 1 when normal.
    #[test]
    fn the_scale_stays_between_the_floor_and_one(
        floor in 0.0_f64..0.99,
        walk in prop::collection::vec((0.0_f64..1.2, 0_u64..40_000), 1..200),
    ) {
        let mut aimd = governor(AimdConfig { floor, ..AimdConfig::default() });
        let mut now = Duration::ZERO;
        for (pressure, wait_ms) in walk {
            now += Duration::from_millis(wait_ms);
            let Governor { state, scale, lowest_scale } = aimd.step(pressure, now);
            prop_assert!((floor..=1.0).contains(&scale));
            prop_assert!((0.0..=scale).contains(&lowest_scale));
            prop_assert!(state != GovernorState::Normal || scale == 1.0);
        }
    }
}
