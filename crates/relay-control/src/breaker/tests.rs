use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);
const OK: Outcome = Outcome::Success(Duration::ZERO);

fn breaker(config: BreakerConfig) -> Breaker {
    Breaker::try_new(config).unwrap()
}

fn default() -> Breaker {
    breaker(BreakerConfig::default())
}

/// Only rates, over so many calls.
fn rated(window: Window, min_calls: u32) -> Breaker {
    breaker(BreakerConfig {
        consecutive: None,
        window,
        min_calls,
        ..BreakerConfig::default()
    })
}

fn call(breaker: &mut Breaker, outcome: Outcome, now: Duration) {
    let permit = breaker.try_acquire(now).unwrap();
    breaker.record(permit, outcome, now);
}

fn transitions(breaker: &mut Breaker) -> Vec<(BreakerState, BreakerState, Option<Trip>)> {
    std::iter::from_fn(|| breaker.take_transition())
        .map(|t| (t.from, t.to, t.trip))
        .collect()
}

/// X01, D22, AE02: the fifth failure in a row opens, four and a success do not.
#[test]
fn five_failures_in_a_row_open_it() {
    let mut breaker = default();
    for outcome in [Outcome::Failure; 4]
        .into_iter()
        .chain([OK])
        .chain([Outcome::Failure; 4])
    {
        call(&mut breaker, outcome, S);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    call(&mut breaker, Outcome::Failure, 2 * S);
    let opened = breaker.take_transition().unwrap();
    assert_eq!(
        (opened.to, opened.trip, opened.failures, opened.at),
        (BreakerState::Open, Some(Trip::Consecutive), 5, 2 * S)
    );
    let refusal = breaker.try_acquire(12 * S).unwrap_err();
    assert_eq!(refusal.retry_after, Some(20 * S));
}

#[test]
fn half_of_the_last_calls_failing_opens_it_but_not_before_there_are_enough() {
    let mut breaker = rated(Window::Calls(20), 10);
    for n in 0..9 {
        call(
            &mut breaker,
            if n % 2 == 0 { Outcome::Failure } else { OK },
            S,
        );
    }
    assert_eq!(breaker.state(), BreakerState::Closed, "five of nine");
    call(&mut breaker, Outcome::Failure, S);
    assert_eq!(transitions(&mut breaker)[0].2, Some(Trip::FailureRate));
}

#[test]
fn calls_that_have_left_the_window_do_not_count() {
    let mut breaker = rated(Window::Calls(20), 10);
    for outcome in [Outcome::Failure; 9]
        .into_iter()
        .chain([OK; 20])
        .chain([Outcome::Failure; 9])
    {
        call(&mut breaker, outcome, S);
    }
    assert_eq!(
        breaker.state(),
        BreakerState::Closed,
        "nine of the last twenty"
    );
    call(&mut breaker, Outcome::Failure, S);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn a_window_of_time_forgets_by_time() {
    let mut breaker = rated(Window::Time(10 * S), 4);
    for outcome in [Outcome::Failure; 3] {
        call(&mut breaker, outcome, S);
    }
    call(&mut breaker, Outcome::Failure, 12 * S);
    assert_eq!(breaker.state(), BreakerState::Closed, "one in ten seconds");
    for second in 13..=15 {
        call(&mut breaker, Outcome::Failure, S * second);
    }
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn slow_calls_are_failures_of_a_kind() {
    let mut breaker = rated(Window::Calls(20), 10);
    for n in 0..10 {
        let took = if n < 2 { Duration::ZERO } else { 5 * S };
        call(&mut breaker, Outcome::Success(took), S);
    }
    assert_eq!(transitions(&mut breaker)[0].2, Some(Trip::SlowRate));
    let trial = breaker.try_acquire(31 * S).unwrap();
    breaker.record(trial, Outcome::Success(6 * S), 37 * S);
    assert_eq!(
        breaker.state(),
        BreakerState::Open,
        "a slow trial is no success"
    );
}

/// X05, AE04, D23, D24
#[test]
fn half_open_lets_one_trial_pass_and_its_success_closes() {
    let mut breaker = default();
    for _ in 0..5 {
        call(&mut breaker, Outcome::Failure, S);
    }
    assert!(breaker.try_acquire(30 * S).is_err(), "29 s");
    let trial = breaker.try_acquire(31 * S).unwrap();
    let refusal = breaker.try_acquire(31 * S).unwrap_err();
    assert_eq!(
        (refusal.state, refusal.retry_after),
        (BreakerState::HalfOpen, None)
    );
    breaker.record(trial, OK, 32 * S);
    assert_eq!(
        transitions(&mut breaker),
        [
            (
                BreakerState::Closed,
                BreakerState::Open,
                Some(Trip::Consecutive)
            ),
            (BreakerState::Open, BreakerState::HalfOpen, None),
            (BreakerState::HalfOpen, BreakerState::Closed, None),
        ]
    );
}

#[test]
fn a_permit_that_is_dropped_gives_its_place_back_and_says_nothing() {
    let mut breaker = breaker(BreakerConfig {
        trials: 2,
        ..BreakerConfig::default()
    });
    breaker.force_open(S);
    breaker.reset(S);
    for _ in 0..5 {
        call(&mut breaker, Outcome::Failure, S);
    }
    for _ in 0..100 {
        let one = breaker.try_acquire(40 * S).unwrap();
        let two = breaker.try_acquire(40 * S).unwrap();
        assert!(breaker.try_acquire(40 * S).is_err());
        drop((one, two));
    }
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
}

/// AE05
#[test]
fn each_failed_trial_doubles_the_open_time_up_to_a_bound_and_a_success_resets_it() {
    let mut breaker = default();
    for _ in 0..5 {
        call(&mut breaker, Outcome::Failure, Duration::ZERO);
    }
    let mut now = Duration::ZERO;
    let mut times = Vec::new();
    for _ in 0..6 {
        now += breaker.open_for();
        call(&mut breaker, Outcome::Failure, now);
        times.push(breaker.open_for().as_secs());
    }
    assert_eq!(times, [60, 120, 240, 480, 600, 600]);
    now += breaker.open_for();
    call(&mut breaker, OK, now);
    assert_eq!(
        (breaker.state(), breaker.open_for()),
        (BreakerState::Closed, 30 * S)
    );
}

/// AE06
#[test]
fn where_stability_is_asked_for_success_alone_does_not_close() {
    let mut breaker = breaker(BreakerConfig {
        stable_for: 60 * S,
        ..BreakerConfig::default()
    });
    for _ in 0..5 {
        call(&mut breaker, Outcome::Failure, Duration::ZERO);
    }
    call(&mut breaker, OK, 30 * S);
    assert_eq!(breaker.step(89 * S), BreakerState::HalfOpen);
    assert_eq!(breaker.step(90 * S), BreakerState::Closed);
}

#[test]
fn what_was_called_before_it_opened_is_not_a_trial() {
    let mut breaker = default();
    let late: Vec<_> = (0..3).map(|_| breaker.try_acquire(S).unwrap()).collect();
    for _ in 0..5 {
        call(&mut breaker, Outcome::Failure, S);
    }
    let trial = breaker.try_acquire(31 * S).unwrap();
    for permit in late {
        breaker.record(permit, Outcome::Failure, 31 * S);
    }
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert!(
        breaker.try_acquire(31 * S).is_err(),
        "the trial's place is still taken"
    );
    breaker.record(trial, OK, 31 * S);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

/// AE08
#[test]
fn forced_open_stays_open_until_it_is_reset() {
    let mut breaker = default();
    breaker.force_open(S);
    let refusal = breaker.try_acquire(10_000 * S).unwrap_err();
    assert_eq!(
        (refusal.state, refusal.retry_after),
        (BreakerState::Open, None)
    );
    breaker.reset(10_000 * S);
    assert!(breaker.try_acquire(10_000 * S).is_ok());
    assert_eq!(transitions(&mut breaker)[0].2, Some(Trip::Forced));
}

#[test]
fn transitions_that_nobody_takes_are_bounded() {
    let mut breaker = default();
    for _ in 0..100 {
        breaker.force_open(S);
        breaker.reset(S);
    }
    assert_eq!(transitions(&mut breaker).len(), TRANSITIONS_MAX);
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let refused = |config: BreakerConfig| Breaker::try_new(config).unwrap_err().field;
    let base = BreakerConfig::default;
    let (calls, time) = (Window::Calls, Window::Time);
    let nothing = BreakerConfig {
        consecutive: None,
        failure_rate: None,
        slow_rate: None,
        ..base()
    };
    let cases = [
        (nothing, "breaker.consecutive"),
        (
            BreakerConfig {
                consecutive: Some(0),
                ..base()
            },
            "breaker.consecutive",
        ),
        (
            BreakerConfig {
                failure_rate: Some(0.0),
                ..base()
            },
            "breaker.failure_rate",
        ),
        (
            BreakerConfig {
                slow_rate: Some(f64::NAN),
                ..base()
            },
            "breaker.slow_rate",
        ),
        (
            BreakerConfig {
                min_calls: 101,
                ..base()
            },
            "breaker.min_calls",
        ),
        (
            BreakerConfig {
                window: calls(CALLS_MAX + 1),
                ..base()
            },
            "breaker.window",
        ),
        (
            BreakerConfig {
                window: time(Duration::ZERO),
                ..base()
            },
            "breaker.window",
        ),
        (
            BreakerConfig {
                slow_call: Duration::ZERO,
                ..base()
            },
            "breaker.slow_call",
        ),
        (
            BreakerConfig {
                open_for: 601 * S,
                ..base()
            },
            "breaker.open_for",
        ),
        (
            BreakerConfig {
                growth: 0.5,
                ..base()
            },
            "breaker.growth",
        ),
        (
            BreakerConfig {
                trials: 0,
                ..base()
            },
            "breaker.trials",
        ),
        (
            BreakerConfig {
                successes: 0,
                ..base()
            },
            "breaker.successes",
        ),
    ];
    for (config, field) in cases {
        assert_eq!(refused(config), field);
    }
}

/// A second breaker, as slow and plain as can be: it keeps every call.
struct Model {
    state: BreakerState,
    entered_s: u64,
    open_s: u64,
    calls: Vec<bool>,
}

impl Model {
    fn call(&mut self, failed: bool, now_s: u64) -> bool {
        if self.state == BreakerState::Open {
            if now_s - self.entered_s < self.open_s {
                return false;
            }
            self.enter(BreakerState::HalfOpen, now_s);
        }
        match (self.state, failed) {
            (BreakerState::HalfOpen, true) => {
                self.open_s = (self.open_s * 2).min(600);
                self.enter(BreakerState::Open, now_s);
            }
            (BreakerState::HalfOpen, false) => {
                self.open_s = 30;
                self.enter(BreakerState::Closed, now_s);
            }
            _ => self.count(failed, now_s),
        }
        true
    }

    fn count(&mut self, failed: bool, now_s: u64) {
        self.calls.push(failed);
        let in_a_row = self
            .calls
            .iter()
            .rev()
            .take_while(|failed| **failed)
            .count();
        let last: Vec<_> = self.calls.iter().rev().take(8).collect();
        let failures = last.iter().filter(|failed| ***failed).count();
        let rate = failed && last.len() >= 6 && failures * 2 >= last.len();
        if in_a_row >= 4 || rate {
            self.enter(BreakerState::Open, now_s);
        }
    }

    fn enter(&mut self, state: BreakerState, now_s: u64) {
        self.state = state;
        self.entered_s = now_s;
        self.calls.clear();
    }
}

proptest! {
    /// One call after the other, against the model.
    #[test]
    fn agrees_with_a_table(calls in prop::collection::vec((any::<bool>(), 0_u64..40), 1..300)) {
        let mut breaker = breaker(BreakerConfig {
            consecutive: Some(4),
            window: Window::Calls(8),
            min_calls: 6,
            ..BreakerConfig::default()
        });
        let mut model = Model { state: BreakerState::Closed, entered_s: 0, open_s: 30, calls: Vec::new() };
        let mut now_s = 0;
        for (failed, wait_s) in calls {
            now_s += wait_s;
            let now = Duration::from_secs(now_s);
            let permit = breaker.try_acquire(now);
            prop_assert_eq!(permit.is_ok(), model.call(failed, now_s));
            if let Ok(permit) = permit {
                breaker.record(permit, if failed { Outcome::Failure } else { OK }, now);
            }
            prop_assert_eq!(breaker.state(), model.state);
        }
    }
}
