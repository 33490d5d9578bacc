//! The protocols of the ledger in every interleaving: who frees an account, and who gets the last bytes.
//!
//! A leak, a double free and a use after the free fail each of them (see `lifetime`).

#![allow(clippy::unwrap_used)]

use crate::budget::{ByteBudget, Reservation};
use crate::priority::Priority;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const HIGHEST: Priority = Priority::Control;

fn take(budget: &ByteBudget, bytes: u64) -> Reservation {
    budget.reserve(bytes, HIGHEST).unwrap()
}

#[test]
fn released_on_two_threads() {
    loom::model(|| {
        let budget = ByteBudget::new(10);
        let (first, second) = (take(&budget, 4), take(&budget, 6));
        drop(budget);
        let other = thread::spawn(move || drop(first));
        drop(second);
        other.join().unwrap();
    });
}

#[test]
fn the_last_handle_goes_while_bytes_are_returned() {
    loom::model(|| {
        let budget = ByteBudget::new(10);
        let held = take(&budget, 10);
        let other = thread::spawn(move || drop(held));
        assert!(budget.used_bytes() <= 10);
        drop(budget);
        other.join().unwrap();
    });
}

#[test]
fn a_handle_reserves_while_another_goes() {
    loom::model(|| {
        let budget = ByteBudget::new(10);
        let copy = budget.clone();
        let other = thread::spawn(move || {
            let held = take(&copy, 3);
            drop(copy);
            drop(held);
        });
        drop(take(&budget, 7));
        drop(budget);
        other.join().unwrap();
    });
}

#[test]
fn two_race_for_the_last_bytes() {
    loom::model(|| {
        let budget = ByteBudget::new(10);
        let _first = take(&budget, 4);
        let copy = budget.clone();
        let other = thread::spawn(move || copy.reserve(4, HIGHEST).ok());
        let mine = budget.reserve(5, HIGHEST).ok();
        assert!(budget.used_bytes() <= 10);
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "room for one of them");
        let held = mine.or(theirs).unwrap();
        assert_eq!(budget.used_bytes(), 4 + held.bytes());
    });
}

#[test]
fn what_fits_is_not_refused_because_another_is() {
    loom::model(|| {
        let budget = ByteBudget::new(10);
        let _first = take(&budget, 4);
        let copy = budget.clone();
        let other = thread::spawn(move || {
            assert!(copy.reserve(7, HIGHEST).is_err(), "4 and 7 never fit");
        });
        drop(take(&budget, 6));
        other.join().unwrap();
    });
}

#[test]
fn a_share_goes_before_its_parent() {
    loom::model(|| {
        let whole = ByteBudget::new(10);
        let share = whole.share(50);
        let held = take(&share, 5);
        let more = take(&whole, 5);
        drop(whole);
        let other = thread::spawn(move || drop(held));
        drop(share);
        drop(more);
        other.join().unwrap();
    });
}

#[test]
fn a_share_is_left() {
    loom::model(|| {
        let whole = ByteBudget::new(10);
        let share = whole.share(50);
        let (mut held, none) = (take(&share, 5), take(&share, 0));
        let part = held.split(2);
        drop(share);
        let other = thread::spawn(move || drop((part.leave_share(), none.leave_share())));
        drop(held.leave_share());
        assert!(whole.used_bytes() <= 2);
        other.join().unwrap();
        assert_eq!(whole.used_bytes(), 0);
    });
}

#[test]
fn share_and_whole_are_charged_together() {
    loom::model(|| {
        let whole = ByteBudget::new(10);
        let share = whole.share(50);
        let other = {
            let share = share.clone();
            thread::spawn(move || share.reserve(5, HIGHEST).map(drop).is_ok())
        };
        let mine = whole.reserve(6, HIGHEST);
        assert!(whole.used_bytes() <= 10 && share.used_bytes() <= 5);
        let theirs = other.join().unwrap();
        assert!(mine.is_ok() || theirs);
        assert_eq!(share.used_bytes(), 0);
        assert_eq!(whole.used_bytes(), mine.map_or(0, |held| held.bytes()));
    });
}

#[test]
fn an_empty_reservation_keeps_its_account() {
    loom::model(|| {
        let budget = ByteBudget::new(10);
        let (mut held, mut none) = (take(&budget, 2), take(&budget, 0));
        drop(budget);
        let other = thread::spawn(move || {
            held.resize(0, HIGHEST).unwrap();
            held.resize(3, HIGHEST).unwrap();
        });
        none.resize(7, HIGHEST).unwrap();
        drop(none);
        other.join().unwrap();
    });
}

#[test]
fn a_shrink_holds_for_whoever_learnt_of_it() {
    loom::model(|| {
        let budget = ByteBudget::new(10);
        let copy = budget.clone();
        let other = thread::spawn(move || {
            copy.resize(Some(4));
            copy.reserve(5, HIGHEST).is_err()
        });
        let before = budget.reserve(5, HIGHEST);
        assert!(other.join().unwrap());
        assert!(budget.reserve(5, HIGHEST).is_err());
        drop(before);
        assert!(budget.reserve(4, HIGHEST).is_ok());
    });
}

/// However tripping, resizing and laying meet: the wire tells once, and the bound ends as the size.
#[test]
fn a_wire_is_tripped_once_and_never_loosens_the_size() {
    loom::model(|| {
        let budget = ByteBudget::new(64);
        let trips = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&trips);
        assert!(budget.set_on_trip(move |_| {
            seen.fetch_add(1, Relaxed);
        }));
        budget.lay_wire(16);
        let copy = budget.clone();
        let other = thread::spawn(move || copy.reserve(20, HIGHEST).is_ok());
        budget.resize(Some(32));
        let too_much = budget.reserve(33, HIGHEST);
        assert!(too_much.is_err(), "whoever shrank it is bound by it");
        assert!(other.join().unwrap(), "20 fit into either");
        assert!(
            trips.load(Relaxed) <= 1,
            "one of them tripped it, or the resize took it away"
        );
        assert!(budget.reserve(33, HIGHEST).is_err());
        assert_eq!(budget.reserve(32, HIGHEST).unwrap().bytes(), 32);
    });
}

#[test]
fn nobody_is_refused_because_another_trips_the_wire() {
    loom::model(|| {
        let budget = ByteBudget::new(64);
        let trips = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&trips);
        assert!(budget.set_on_trip(move |_| {
            seen.fetch_add(1, Relaxed);
        }));
        budget.lay_wire(16);
        let copy = budget.clone();
        let other = thread::spawn(move || copy.reserve(20, HIGHEST).map(drop));
        let mine = budget.reserve(20, HIGHEST);
        assert!(mine.is_ok() && other.join().unwrap().is_ok());
        assert_eq!(trips.load(Relaxed), 1);
    });
}
