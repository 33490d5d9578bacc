use super::*;

const S: Duration = Duration::from_secs(1);
const KEPT: LatchUpInput = LatchUpInput {
    admitted_share: Some(0.0),
    live_share: Some(0.1),
    pressure: Some(0.9),
};

fn detector() -> LatchUp {
    LatchUp::try_new(LatchUpConfig::default()).unwrap()
}

fn states(inputs: impl IntoIterator<Item = LatchUpInput>) -> Vec<LatchUpState> {
    let mut detector = detector();
    let step = |(second, input)| detector.step(&input, S * second);
    (0..).zip(inputs).map(step).collect()
}

#[test]
fn ten_seconds_of_a_shut_gate_and_kept_memory_are_a_latch_up() {
    let seen = states([KEPT; 12]);
    assert!(seen[..10].iter().all(|s| *s == LatchUpState::Suspected));
    assert_eq!(seen[10..], [LatchUpState::Latched; 2]);
}

#[test]
fn memory_that_falls_is_being_given_back() {
    let falling = (0..100).map(|n| LatchUpInput {
        pressure: Some(0.9 - 0.003 * f64::from(n)),
        ..KEPT
    });
    assert!(!states(falling).contains(&LatchUpState::Latched));
}

#[test]
fn an_open_gate_live_memory_or_an_unknown_account_are_none() {
    for input in [
        LatchUpInput {
            admitted_share: Some(0.06),
            ..KEPT
        },
        LatchUpInput {
            live_share: Some(0.40),
            ..KEPT
        },
        LatchUpInput {
            live_share: None,
            ..KEPT
        },
        LatchUpInput {
            pressure: Some(0.54),
            ..KEPT
        },
        LatchUpInput {
            pressure: None,
            ..KEPT
        },
    ] {
        assert_eq!(states([input; 30]), [LatchUpState::Clear; 30], "{input:?}");
    }
}

#[test]
fn silence_of_the_senders_leaves_the_gate_as_it_was_seen_last() {
    let silent = LatchUpInput {
        admitted_share: None,
        ..KEPT
    };
    assert_eq!(states([silent; 20]).last(), Some(&LatchUpState::Clear));
    let refused_once = std::iter::once(KEPT).chain([silent; 20]);
    assert_eq!(states(refused_once).last(), Some(&LatchUpState::Latched));
}

#[test]
fn it_ends_when_the_gate_opens_and_can_come_again() {
    let mut detector = detector();
    detector.step(&KEPT, S);
    assert_eq!(detector.step(&KEPT, 20 * S), LatchUpState::Latched);
    let open = LatchUpInput {
        admitted_share: Some(1.0),
        ..KEPT
    };
    assert_eq!(detector.step(&open, 21 * S), LatchUpState::Clear);
    detector.step(&KEPT, 22 * S);
    assert_eq!(detector.step(&KEPT, 31 * S), LatchUpState::Suspected);
    assert_eq!(detector.step(&KEPT, 32 * S), LatchUpState::Latched);
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: LatchUpConfig| LatchUp::try_new(config).unwrap_err().field;
    let base = LatchUpConfig::default;
    let cases = [
        (
            LatchUpConfig {
                shut_share: 0.0,
                ..base()
            },
            "latch_up.shut_share",
        ),
        (
            LatchUpConfig {
                fall: f64::NAN,
                ..base()
            },
            "latch_up.fall",
        ),
        (
            LatchUpConfig {
                live_low: 0.55,
                ..base()
            },
            "latch_up.live_low",
        ),
        (
            LatchUpConfig {
                pressure_from: 1.0,
                ..base()
            },
            "latch_up.pressure_from",
        ),
        (
            LatchUpConfig {
                after: Duration::ZERO,
                ..base()
            },
            "latch_up.after",
        ),
    ];
    for (config, field) in cases {
        assert_eq!(refused(config), field);
    }
}
