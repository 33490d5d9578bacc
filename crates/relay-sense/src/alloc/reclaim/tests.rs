#![allow(clippy::unwrap_used)]

use super::*;

/// A purge that takes `turns` calls.
#[derive(Debug)]
struct Slow {
    turns: u32,
}

impl Allocator for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn stats(&mut self) -> AllocatorStats {
        AllocatorStats::default()
    }

    fn purge(&mut self, _deadline: Instant) -> bool {
        self.turns = self.turns.saturating_sub(1);
        self.turns == 0
    }
}

fn slow(turns: u32) -> Reclaimer {
    Reclaimer::of(&Root::system(), vec![Box::new(Slow { turns })])
}

fn done(outcome: Reclaim) -> Reclaimed {
    match outcome {
        Reclaim::Done(done) => done,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_pause_keeps_the_share_and_the_interval() {
    let effort = Effort::default();
    let purge = Duration::from_millis(68);
    assert_eq!(effort.pause(purge).as_millis(), 1292);
    assert_eq!(effort.pause(Duration::from_millis(1)), effort.interval_min);
    assert_eq!(Effort::unlimited().pause(purge), Duration::ZERO);
    assert_eq!(effort.with_share_max(0.0).pause(purge), Duration::MAX);
    assert_eq!(effort.with_share_max(f64::NAN).pause(purge), Duration::MAX);
}

#[test]
fn the_next_purge_waits_for_its_turn() {
    let hourly = Effort::unlimited().with_interval_min(Duration::from_hours(1));
    let mut reclaimer = slow(1);
    done(reclaimer.reclaim(&hourly));
    let again = reclaimer.reclaim(&hourly);
    let Reclaim::TooSoon { wait } = again else {
        panic!("{again:?}");
    };
    assert!(wait <= Duration::from_hours(1) && !wait.is_zero());
    done(reclaimer.reclaim(&Effort::unlimited()));
}

#[test]
fn a_purge_that_is_cut_short_says_so() {
    let mut reclaimer = slow(2);
    assert!(!done(reclaimer.reclaim(&Effort::unlimited())).is_complete);
    assert!(done(reclaimer.reclaim(&Effort::unlimited())).is_complete);
    let no_time = Effort::unlimited().with_budget(Duration::ZERO);
    assert!(!done(slow(1).reclaim(&no_time)).is_complete);
}

#[test]
fn an_unreadable_size_is_unknown_and_not_zero() {
    let empty = tempfile::tempdir().unwrap();
    let mut reclaimer = Reclaimer::of(&Root::at(empty.path()), Vec::new());
    let done = done(reclaimer.reclaim(&Effort::unlimited()));
    assert_eq!(done.given_back(), None);
}

#[test]
fn growing_meanwhile_is_nothing_given_back() {
    let done = Reclaimed {
        resident_before: Some(10),
        resident_after: Some(12),
        took: Duration::ZERO,
        is_complete: true,
    };
    assert_eq!(done.given_back(), Some(0));
}

#[test]
fn what_is_worth_the_effort() {
    let effort = Effort::default();
    assert!(effort.is_worth(10, 100));
    assert!(!effort.is_worth(9, 100));
    assert!(Effort::unlimited().is_worth(0, 100));
}
