use super::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
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
    let held = budget.reserve(1 << 43, Priority::Low).unwrap();
    assert_eq!(budget.used_bytes(), 1 << 43);
    assert_eq!(budget.share(10).size_bytes(), None);
    drop(held);
}

#[test]
fn the_count_ends_at_16_tib_whatever_the_size() {
    const MOST: u64 = (1 << 44) - 1;
    for budget in [ByteBudget::unbounded(), ByteBudget::new(1 << 50)] {
        let held = budget.reserve(MOST, Priority::Low).unwrap();
        assert!(budget.reserve(1, Priority::Control).is_err());
        assert!(budget.reserve(u64::MAX, Priority::Control).is_err());
        assert!(budget.share(100).reserve(1, Priority::Control).is_err());
        assert_eq!(budget.used_bytes(), MOST);
        let copy = budget.clone();
        drop(held);
        assert_eq!(copy.used_bytes(), 0);
    }
    assert_eq!(ByteBudget::new(1 << 50).size_bytes(), Some(1 << 50));
}

#[test]
fn a_reservation_outlives_every_handle() {
    let budget = ByteBudget::new(1000);
    let mut held = budget.reserve(0, Priority::Low).unwrap();
    drop(budget);
    held.resize(800, Priority::Normal).unwrap();
    assert_eq!(
        held.resize(801, Priority::Normal).unwrap_err(),
        BudgetError::Full {
            asked_bytes: 1,
            missing_bytes: 1
        }
    );
    let part = held.split(500);
    held.resize(0, Priority::Low).unwrap();
    drop(part);
    held.resize(1000, Priority::Control).unwrap();
    assert_eq!(held.bytes(), 1000);
}

#[test]
fn a_share_is_freed_with_its_last_reservation() {
    let budget = ByteBudget::new(1000);
    let holders = || budget.0.account().holders();
    let share = budget.share(50);
    let inner = share.share(50);
    let (held, none) = (
        inner.reserve(100, Priority::Low).unwrap(),
        inner.reserve(0, Priority::Low).unwrap(),
    );
    drop((share, inner));
    assert_eq!(holders(), 2, "this handle and the share");
    let (held, none) = (held.leave_share(), none.leave_share());
    assert_eq!(holders(), 2, "the two are in the share still");
    let (held, none) = (held.leave_share(), none.leave_share());
    assert_eq!(holders(), 2, "this handle and the empty reservation");
    drop(none);
    assert_eq!((holders(), budget.used_bytes()), (1, 100));
    drop(held);
    assert_eq!((holders(), budget.used_bytes()), (1, 0));
}

#[test]
fn too_many_handles_are_refused_and_harm_nothing() {
    const MOST: u64 = (1 << 20) - 1;
    let budget = ByteBudget::new(1000);
    let held = budget.reserve(10, Priority::Low).unwrap();
    let empty: Vec<_> = (1..MOST)
        .map(|_| budget.reserve(0, Priority::Low).unwrap())
        .collect();
    assert_eq!(budget.0.account().holders(), MOST);
    assert!(budget.reserve(0, Priority::Low).is_err());
    thread::scope(|scope| {
        assert!(scope.spawn(|| budget.clone()).join().is_err());
    });
    assert_eq!(budget.used_bytes(), 10);
    assert!(budget.reserve(590, Priority::Low).is_ok());
    drop((empty, held));
    assert_eq!((budget.0.account().holders(), budget.used_bytes()), (1, 0));
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

/// One thing done to the ledger; reservations are named by their place, modulo how many there are.
#[derive(Debug, Clone, Copy)]
enum Step {
    Reserve(usize, u64, Priority),
    Resize(usize, u64, Priority),
    Split(usize, u64),
    LeaveShare(usize),
    Drop(usize),
    Size(Option<u64>),
}

fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let priority = (0u8..4).prop_map(Priority::from_rank);
    let bytes = prop_oneof![Just(0), 1u64..600, 1u64..60];
    let step = prop_oneof![
        6 => (0usize..3, bytes.clone(), priority.clone())
            .prop_map(|(of, bytes, priority)| Step::Reserve(of, bytes, priority)),
        3 => (any::<usize>(), bytes.clone(), priority)
            .prop_map(|(at, bytes, priority)| Step::Resize(at, bytes, priority)),
        2 => (any::<usize>(), bytes).prop_map(|(at, bytes)| Step::Split(at, bytes)),
        1 => any::<usize>().prop_map(Step::LeaveShare),
        3 => any::<usize>().prop_map(Step::Drop),
        1 => prop::option::weighted(0.9, 0u64..1500).prop_map(Step::Size),
    ];
    prop::collection::vec(step, 1..count)
}

/// The ledger as anybody would write it: a whole, a quarter of it, and half of that.
struct Plain {
    size: Option<u64>,
    used: [u64; 3],
}

impl Plain {
    const PERCENT: [u64; 3] = [100, 25, 50];

    fn size_of(&self, of: usize) -> Option<u64> {
        (1..=of).try_fold(self.size?, |size, of| Some(size * Self::PERCENT[of] / 100))
    }

    fn take(&mut self, of: usize, bytes: u64, priority: Priority) -> Result<(), BudgetError> {
        for of in (0..=of).rev() {
            let mark = match self.size_of(of) {
                None => continue,
                Some(size) if of == 0 => size * priority.watermark_percent() / 100,
                Some(size) => size,
            };
            if bytes > mark {
                return Err(BudgetError::TooLarge {
                    asked_bytes: bytes,
                    max_bytes: mark,
                });
            }
            if self.used[of] + bytes > mark {
                return Err(BudgetError::Full {
                    asked_bytes: bytes,
                    missing_bytes: self.used[of] + bytes - mark,
                });
            }
        }
        self.used[..=of].iter_mut().for_each(|used| *used += bytes);
        Ok(())
    }

    fn give_back(&mut self, of: usize, bytes: u64) {
        self.used[..=of].iter_mut().for_each(|used| *used -= bytes);
    }
}

/// A whole, a share of it and a share of that.
fn three() -> [ByteBudget; 3] {
    let whole = ByteBudget::new(1000);
    let share = whole.share(25);
    let inner = share.share(50);
    [whole, share, inner]
}

proptest! {
    #[test]
    fn agrees_with_a_plain_ledger(steps in steps(200)) {
        let budgets = three();
        let mut plain = Plain { size: Some(1000), used: [0; 3] };
        let mut held: Vec<(usize, Reservation)> = Vec::new();
        for step in steps {
            let at = match step {
                Step::Resize(at, ..) | Step::Split(at, _) | Step::LeaveShare(at) | Step::Drop(at) => {
                    if held.is_empty() {
                        continue;
                    }
                    at % held.len()
                }
                Step::Reserve(..) | Step::Size(_) => 0,
            };
            match step {
                Step::Reserve(of, bytes, priority) => {
                    let got = budgets[of].reserve(bytes, priority);
                    let expected = plain.take(of, bytes, priority);
                    prop_assert_eq!(got.as_ref().err().copied(), expected.err());
                    held.extend(got.map(|reservation| (of, reservation)));
                }
                Step::Resize(_, bytes, priority) => {
                    let (of, reservation) = &mut held[at];
                    let before = reservation.bytes();
                    let got = reservation.resize(bytes, priority);
                    if bytes > before {
                        prop_assert_eq!(got, plain.take(*of, bytes - before, priority));
                    } else {
                        prop_assert_eq!(got, Ok(()));
                        plain.give_back(*of, before - bytes);
                    }
                    prop_assert_eq!(reservation.bytes(), if got.is_ok() { bytes } else { before });
                }
                Step::Split(_, bytes) => {
                    let (of, reservation) = &mut held[at];
                    let before = reservation.bytes();
                    let part = reservation.split(bytes);
                    prop_assert_eq!(part.bytes(), bytes.min(before));
                    prop_assert_eq!(part.bytes() + reservation.bytes(), before);
                    let of = *of;
                    held.push((of, part));
                }
                Step::LeaveShare(_) => {
                    let (of, reservation) = held.swap_remove(at);
                    if of > 0 {
                        plain.used[of] -= reservation.bytes();
                    }
                    held.push((of.saturating_sub(1), reservation.leave_share()));
                }
                Step::Drop(_) => {
                    let (of, reservation) = held.swap_remove(at);
                    plain.give_back(of, reservation.bytes());
                }
                Step::Size(size) => {
                    budgets[2].resize(size);
                    plain.size = size;
                }
            }
            for (of, budget) in budgets.iter().enumerate() {
                prop_assert_eq!(budget.size_bytes(), plain.size_of(of));
                prop_assert_eq!(budget.used_bytes(), plain.used[of]);
            }
        }
        let whole = budgets.into_iter().next().unwrap();
        drop(held);
        prop_assert_eq!((whole.used_bytes(), whole.0.account().holders()), (0, 1));
    }

    #[test]
    fn threads_together_never_hold_more_than_the_largest_size(
        scripts in prop::collection::vec(steps(150), 4)
    ) {
        // What is held is counted apart from the ledger: raised after a success, lowered before a return, so never
        // above the true sum.
        let sum = AtomicU64::new(0);
        let largest = scripts.iter().flatten().fold(1000, |largest, step| match step {
            Step::Size(Some(size)) => largest.max(*size),
            _ => largest,
        });
        let budgets = three();
        let held: Vec<(usize, Reservation)> = thread::scope(|scope| {
            let threads: Vec<_> = scripts
                .iter()
                .map(|script| {
                    let (budgets, sum) = (budgets.clone(), &sum);
                    scope.spawn(move || run(script, &budgets, sum, largest))
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        for (of, budget) in budgets.iter().enumerate() {
            let inside = held.iter().filter(|(at, _)| *at >= of).map(|(_, one)| one.bytes());
            prop_assert_eq!(budget.used_bytes(), inside.sum::<u64>(), "at rest, in {}", of);
        }
        let whole = budgets.into_iter().next().unwrap();
        drop(held);
        prop_assert_eq!((whole.used_bytes(), whole.0.account().holders()), (0, 1));
    }
}

/// Runs one thread's script, without taking the bound away; returns what it still holds, and in what.
fn run(
    script: &[Step],
    budgets: &[ByteBudget; 3],
    sum: &AtomicU64,
    largest: u64,
) -> Vec<(usize, Reservation)> {
    let mut held: Vec<(usize, Reservation)> = Vec::new();
    let place = |at: usize, held: &Vec<_>| (!held.is_empty()).then(|| at % held.len().max(1));
    for step in script {
        match *step {
            Step::Reserve(of, bytes, priority) => {
                if let Ok(reservation) = budgets[of].reserve(bytes, priority) {
                    sum.fetch_add(bytes, Relaxed);
                    held.push((of, reservation));
                }
            }
            Step::Resize(at, bytes, priority) => {
                if let Some(at) = place(at, &held) {
                    let before = held[at].1.bytes();
                    sum.fetch_sub(before.saturating_sub(bytes), Relaxed);
                    if held[at].1.resize(bytes, priority).is_ok() {
                        sum.fetch_add(bytes.saturating_sub(before), Relaxed);
                    }
                }
            }
            Step::Split(at, bytes) => {
                if let Some(at) = place(at, &held) {
                    let (of, part) = (held[at].0, held[at].1.split(bytes));
                    held.push((of, part));
                }
            }
            Step::LeaveShare(at) => {
                if let Some(at) = place(at, &held) {
                    let (of, reservation) = held.swap_remove(at);
                    held.push((of.saturating_sub(1), reservation.leave_share()));
                }
            }
            Step::Drop(at) => {
                if let Some(at) = place(at, &held) {
                    sum.fetch_sub(held[at].1.bytes(), Relaxed);
                    drop(held.swap_remove(at));
                }
            }
            Step::Size(size) => {
                if size.is_some() {
                    budgets[0].resize(size);
                }
            }
        }
        assert!(sum.load(Relaxed) <= largest);
        assert!(budgets[0].used_bytes() <= largest);
    }
    held
}

#[test]
fn a_wire_calls_once_and_changes_no_decision() {
    let budget = ByteBudget::new(1000);
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    assert!(budget.set_on_trip(move |used_bytes| seen.lock().unwrap().push(used_bytes)));
    assert!(!budget.set_on_trip(|_| {}), "once");
    let told = || std::mem::take(&mut *told.lock().unwrap());

    let mut held = vec![budget.reserve(100, Priority::Control).unwrap()];
    budget.lay_wire(200);
    held.push(budget.reserve(100, Priority::Control).unwrap());
    assert_eq!(told(), [0; 0], "below it");
    held.push(budget.reserve(300, Priority::Control).unwrap());
    held.push(budget.reserve(300, Priority::Control).unwrap());
    assert_eq!(told(), [500], "once");
    assert_eq!(budget.size_bytes(), Some(1000), "a wire is no size");

    budget.lay_wire(10);
    assert!(
        budget.reserve(300, Priority::Control).is_err(),
        "1100 never fit"
    );
    assert_eq!(told(), [800], "who is refused has tripped it too");
    budget.lay_wire(10);
    budget.resize(Some(900));
    held.push(budget.reserve(100, Priority::Control).unwrap());
    assert_eq!(told(), [0; 0], "resizing took it away");
    budget.lay_wire(u64::MAX);
    assert!(
        budget.reserve(1, Priority::Control).is_err(),
        "a wire above the size is none"
    );
    drop(held);

    budget.lay_wire(100);
    let share = budget.share(50);
    drop(share.reserve(300, Priority::Low).unwrap());
    assert_eq!(told(), [300], "through a share");
}

/// A queue that stands at half of the ledger must not wake the pulse with every event of low priority.
#[test]
fn a_lower_priority_trips_a_wire_where_it_lies_and_not_at_its_share_of_it() {
    let budget = ByteBudget::new(1000);
    let trips = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&trips);
    budget.set_on_trip(move |_| *seen.lock().unwrap() += 1);
    let _held = budget.reserve(500, Priority::Control).unwrap();
    budget.lay_wire(100);
    for _ in 0..10 {
        assert!(budget.reserve(50, Priority::Low).is_ok());
    }
    assert_eq!(
        *trips.lock().unwrap(),
        0,
        "550 of 600, and 360 is its share"
    );
    assert!(budget.reserve(200, Priority::Low).is_err());
    assert_eq!(*trips.lock().unwrap(), 1);
}
