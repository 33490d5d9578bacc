use proptest::prelude::*;

use super::*;

const FULL: BufferInput = BufferInput {
    fill: 0.9,
    pressure: Some(0.5),
    event_bytes: None,
    share_bytes: 0,
};

fn size(start: usize) -> BufferSize {
    BufferSize::try_new(BufferConfig {
        start,
        min: start.min(8),
        ..BufferConfig::default()
    })
    .unwrap()
}

fn course(size: &mut BufferSize, input: BufferInput, steps: usize) -> Vec<usize> {
    let step = |_| {
        size.step(&input);
        size.events()
    };
    (0..steps).map(step).collect()
}

/// T03, T07, DEC35: the last step goes to the bound instead of being refused.
#[test]
fn a_full_queue_grows_by_half_up_to_the_maximum() {
    assert_eq!(
        course(&mut size(8), FULL, 14),
        [
            12, 18, 27, 40, 60, 90, 135, 202, 303, 454, 681, 1021, 1024, 1024
        ]
    );
}

/// T04, T06, DEC34
#[test]
fn critical_memory_shrinks_it_to_the_minimum_however_full_it_is() {
    let critical = BufferInput {
        pressure: Some(0.90),
        ..FULL
    };
    assert_eq!(course(&mut size(18), critical, 4), [13, 9, 8, 8]);
}

/// T05
#[test]
fn an_unused_queue_shrinks_and_one_between_the_marks_holds() {
    let input = |fill| BufferInput { fill, ..FULL };
    assert_eq!(course(&mut size(18), input(0.29), 4), [13, 9, 8, 8]);
    for fill in [0.3, 0.5, 0.7] {
        assert_eq!(size(18).step(&input(fill)), None, "{fill}");
    }
}

/// T10, AM06: at 87 % nothing grows, and unknown is not calm.
#[test]
fn a_full_queue_waits_while_memory_is_short_or_unknown() {
    for pressure in [Some(0.75), Some(0.87), Some(0.899), None] {
        let input = BufferInput { pressure, ..FULL };
        assert_eq!(size(18).step(&input), None, "{pressure:?}");
    }
    let just = BufferInput {
        pressure: Some(0.749),
        ..FULL
    };
    assert!(size(18).step(&just).is_some());
}

/// T08
#[test]
fn the_byte_share_bounds_growth_and_takes_back_what_it_does_not_afford() {
    let share = |event_bytes| BufferInput {
        event_bytes: Some(event_bytes),
        share_bytes: 100_000,
        ..FULL
    };
    assert_eq!(course(&mut size(60), share(1000.0), 3), [90, 100, 100]);
    let mut size = size(100);
    let resize = size.step(&share(2000.0)).unwrap();
    assert_eq!((resize.to, resize.reason), (75, ResizeReason::Share));
    assert_eq!(course(&mut size, share(2000.0), 2), [56, 50]);
    assert_eq!(
        course(&mut size, share(1e9), 9).last(),
        Some(&8),
        "never below the minimum"
    );
}

/// T11
#[test]
fn growth_makes_progress_from_one() {
    assert_eq!(course(&mut size(1), FULL, 5), [2, 3, 4, 6, 9]);
}

/// T18
#[test]
fn each_subscription_has_a_size_of_its_own() {
    let (mut hot, mut idle) = (size(128), size(128));
    hot.step(&FULL);
    idle.step(&BufferInput { fill: 0.0, ..FULL });
    assert_eq!([hot.events(), idle.events()], [192, 96]);
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: BufferConfig| BufferSize::try_new(config).unwrap_err().field;
    let base = BufferConfig::default;
    let cases = [
        (BufferConfig { min: 0, ..base() }, "buffer.min"),
        (BufferConfig { start: 7, ..base() }, "buffer.start"),
        (
            BufferConfig {
                start: 1025,
                ..base()
            },
            "buffer.start",
        ),
        (
            BufferConfig {
                grow: 1.0,
                ..base()
            },
            "buffer.grow",
        ),
        (
            BufferConfig {
                grow: 3.0,
                ..base()
            },
            "buffer.grow",
        ),
        (
            BufferConfig {
                shrink: 1.0,
                ..base()
            },
            "buffer.shrink",
        ),
        (
            BufferConfig {
                low_fill: 0.7,
                ..base()
            },
            "buffer.low_fill",
        ),
        (
            BufferConfig {
                target_fill: 1.0,
                ..base()
            },
            "buffer.target_fill",
        ),
        (
            BufferConfig {
                growth_below: 0.9,
                ..base()
            },
            "buffer.growth_below",
        ),
        (
            BufferConfig {
                shrink_from: f64::NAN,
                ..base()
            },
            "buffer.growth_below",
        ),
        (
            BufferConfig {
                shrink_from: 1.1,
                ..base()
            },
            "buffer.shrink_from",
        ),
    ];
    for (config, field) in cases {
        assert_eq!(refused(config), field);
    }
}

proptest! {
    /// T06, T07: within the bounds, and never a step larger than the factors.
    #[test]
    fn the_size_stays_in_bounds(
        walk in prop::collection::vec(
            (0.0_f64..2.0, prop::option::of(0.0_f64..1.2), prop::option::of(0.0_f64..1e7)),
            1..200,
        ),
    ) {
        let mut size = size(128);
        for (fill, pressure, event_bytes) in walk {
            let before = size.events();
            let input = BufferInput { fill, pressure, event_bytes, share_bytes: 1 << 20 };
            let resize = size.step(&input);
            let after = size.events();
            prop_assert!((8..=1024).contains(&after));
            prop_assert!(after <= before * 3 / 2 && after + 1 >= before * 3 / 4);
            prop_assert_eq!(resize.map(|resize| (resize.from, resize.to)), (before != after).then_some((before, after)));
        }
    }
}
