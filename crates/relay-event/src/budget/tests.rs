use super::*;
use proptest::prelude::*;
use std::thread;

#[test]
fn marks_hold_by_priority() {
    let budget = ByteBudget::new(100);
    let _held = budget.reserve(60, Priority::Low).unwrap();
    assert!(budget.reserve(1, Priority::Low).is_err());
    let _more = budget.reserve(20, Priority::Normal).unwrap();
    assert!(budget.reserve(1, Priority::Normal).is_err());
    let _more = budget.reserve(15, Priority::High).unwrap();
    assert!(budget.reserve(1, Priority::High).is_err());
    let _more = budget.reserve(5, Priority::Control).unwrap();
    assert_eq!(
        budget.reserve(1, Priority::Control).unwrap_err(),
        BudgetError::Full {
            asked_bytes: 1,
            missing_bytes: 1
        }
    );
}

#[test]
fn what_can_never_fit_is_told_apart() {
    let budget = ByteBudget::new(100);
    let error = budget.reserve(81, Priority::Normal).unwrap_err();
    assert_eq!(
        error,
        BudgetError::TooLarge {
            asked_bytes: 81,
            max_bytes: 80
        }
    );
    assert!(ByteBudget::new(0).reserve(1, Priority::Control).is_err());
    assert!(ByteBudget::new(0).reserve(0, Priority::Low).is_ok());
}

#[test]
fn shrinking_below_the_sum_admits_nothing_until_it_fits() {
    let budget = ByteBudget::new(1000);
    let held = budget.reserve(700, Priority::Normal).unwrap();
    budget.resize(Some(500));
    assert!(budget.reserve(1, Priority::Control).is_err());
    assert_eq!(budget.used_bytes(), 700);
    drop(held);
    assert!(budget.reserve(400, Priority::Normal).is_ok());
}

#[test]
fn no_bound_counts_and_refuses_nothing() {
    let budget = ByteBudget::unbounded();
    assert_eq!(budget.size_bytes(), None);
    let held = budget.reserve(1 << 60, Priority::Low).unwrap();
    assert_eq!(budget.used_bytes(), 1 << 60);
    drop(held);
}

#[test]
fn a_share_is_charged_on_both_and_can_be_left() {
    let budget = ByteBudget::new(1000);
    let arriving = budget.share(25);
    let held = arriving.reserve(200, Priority::Normal).unwrap();
    assert_eq!((arriving.used_bytes(), budget.used_bytes()), (200, 200));
    assert!(arriving.reserve(51, Priority::Normal).is_err());
    let held = held.leave_share();
    assert_eq!((arriving.used_bytes(), budget.used_bytes()), (0, 200));
    assert!(arriving.reserve(250, Priority::Normal).is_ok());
    drop(held);
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn a_share_that_the_whole_refuses_is_not_charged() {
    let budget = ByteBudget::new(1000);
    let _rest = budget.reserve(790, Priority::Normal).unwrap();
    let arriving = budget.share(25);
    assert!(arriving.reserve(100, Priority::Normal).is_err());
    assert_eq!((arriving.used_bytes(), budget.used_bytes()), (0, 790));
}

#[test]
fn released_also_by_a_panic() {
    let budget = ByteBudget::new(1000);
    let held = budget.reserve(500, Priority::Normal).unwrap();
    let panicked = thread::spawn(move || {
        let _held = held;
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn exact_under_concurrency() {
    let budget = ByteBudget::new(10_000);
    thread::scope(|scope| {
        for seed in 0..4 {
            let budget = budget.clone();
            scope.spawn(move || {
                let mut dice = fastrand::Rng::with_seed(seed);
                let mut held = Vec::new();
                for _ in 0..20_000 {
                    if dice.bool() && held.len() < 64 {
                        held.extend(budget.reserve(dice.u64(1..2000), Priority::Control));
                    } else if !held.is_empty() {
                        drop(held.swap_remove(dice.usize(..held.len())));
                    }
                    assert!(budget.used_bytes() <= 10_000);
                }
            });
        }
    });
    assert_eq!(budget.used_bytes(), 0);
}

proptest! {
    #[test]
    fn used_is_the_sum_of_what_is_held(steps in prop::collection::vec((0u8..4, 0u64..600), 1..200)) {
        let budget = ByteBudget::new(1000);
        let mut held: Vec<Reservation> = Vec::new();
        for (step, bytes) in steps {
            match step {
                0 => held.extend(budget.reserve(bytes, Priority::Control)),
                1 => drop(held.pop()),
                2 => if let Some(last) = held.last_mut() {
                    let _ = last.resize(bytes, Priority::Control);
                },
                _ => if let Some(mut last) = held.pop() {
                    let part = last.split(bytes);
                    held.extend([last, part]);
                },
            }
            prop_assert_eq!(budget.used_bytes(), held.iter().map(Reservation::bytes).sum::<u64>());
            prop_assert!(budget.used_bytes() <= 1000);
        }
    }
}
