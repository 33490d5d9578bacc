//! The circuit breaker: stop calling what keeps failing, and ask again with a few trials.
//!
//! **Problem.** Calls to something that is down cost time, connections and memory, and keep it
//! down. But a breaker that opens on noise, or lets everybody back at once, is an outage of its own.
//!
//! **Law.**
//!
//! ```text
//!            consecutive failures, failure rate or slow rate
//!   Closed ───────────────────────────────────────────────────▶ Open ◀─ forced
//!     ▲                                                      │    ▲
//!     │ enough trials succeeded,                 open time   │    │ a trial failed:
//!     │ `stable_for` since it half opened           is over  ▼    │ open time × growth
//!     └────────────────────────────────────────────────── HalfOpen
//! ```
//!
//! - Closed counts. Rates are taken over the last calls or the last stretch of time
//!   ([`Window`]), and only from `min_calls` on.
//! - Open refuses, and says for how long still.
//! - Half open hands out `trials` permits at a time. A permit that is dropped without an outcome
//!   gives its place back: a cancelled call neither heals nor blocks. The first failed trial opens
//!   again, for longer.
//! - An outcome counts only in the state its permit was given in: what was called before the breaker
//!   opened says nothing about a trial.
//!
//! | field | default | why |
//! |---|---|---|
//! | `consecutive` | 5 failures | quick, and the only law at low rates |
//! | `failure_rate` | 0.5 | half of the calls fail though some pass in between |
//! | `slow_rate`, `slow_call` | 0.8, 5 s | answering so late is failing |
//! | `window`, `min_calls` | 100 calls, 20 | |
//! | `open_for`, `growth`, `open_max` | 30 s, 2, 10 min | |
//! | `trials`, `successes` | 1, 1 | |
//! | `stable_for` | 0 | for restarts: how long the trial must hold |
//!
//! **Source.** Nygard, *Release It!* (2007), ch. 5; count and time windows and slow calls as in
//! resilience4j. We deviate in the growing open time, and in permits that return by themselves.

mod config;
mod state;
mod window;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use self::window::Calls;
pub use self::{
    config::{BreakerConfig, CALLS_MAX},
    state::{BreakerState, Outcome, Transition, Trip},
    window::Window,
};
use crate::error::InvalidConfig;

/// Transitions that are kept until somebody takes them; of more, the oldest are lost.
const TRANSITIONS_MAX: usize = 8;

/// The breaker does not let a call pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is {state}")]
pub struct BreakerRefusal {
    /// Open, or half open with all its trials taken.
    pub state: BreakerState,
    /// When a trial is possible, from now. `None` while it is forced open or a trial is under way.
    pub retry_after: Option<Duration>,
}

/// The right to make one call. Give it back with the outcome to [`Breaker::record`]; dropping it
/// says that there was none.
#[derive(Debug)]
#[must_use = "dropping a permit gives its place back"]
pub struct BreakerPermit {
    /// The state it was given in.
    epoch: u64,
    /// The place it takes, if it is a trial.
    trial: Option<Trial>,
}

/// A place among the trials, given back on drop.
#[derive(Debug)]
struct Trial(Arc<AtomicU32>);

/// The law and its state. Time is an argument, as everywhere in this crate.
///
/// ```
/// use relay_control::{Breaker, BreakerConfig, BreakerState, Outcome};
/// use std::time::Duration;
///
/// let s = Duration::from_secs;
/// let mut breaker = Breaker::try_new(BreakerConfig { consecutive: Some(2), ..BreakerConfig::default() })?;
/// for second in 0..2 {
///     let permit = breaker.try_acquire(s(second)).expect("closed");
///     breaker.record(permit, Outcome::Failure, s(second));
/// }
/// let refusal = breaker.try_acquire(s(11)).unwrap_err();
/// assert_eq!(refusal.retry_after, Some(s(20)), "open for 30 s since the second failure");
///
/// let trial = breaker.try_acquire(s(31)).expect("half open");
/// assert!(breaker.try_acquire(s(31)).is_err(), "one trial at a time");
/// breaker.record(trial, Outcome::Success(s(1)), s(32));
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: BreakerState,
    /// Counts changes of state: an outcome from an older epoch is not heard.
    epoch: u64,
    entered_at: Duration,
    open_for: Duration,
    forced: bool,
    failures: u32,
    successes: u32,
    calls: Calls,
    trials: Arc<AtomicU32>,
    transitions: VecDeque<Transition>,
}

// === impl Trial ===

impl Drop for Trial {
    fn drop(&mut self) {
        // A count and nothing else: no other memory is read by it.
        self.0.fetch_sub(1, Relaxed);
    }
}

// === impl Breaker ===

impl Breaker {
    /// A closed breaker.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for the first field out of range, see [`BreakerConfig`].
    pub fn try_new(config: BreakerConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            state: BreakerState::Closed,
            epoch: 0,
            entered_at: Duration::ZERO,
            open_for: config.open_for,
            forced: false,
            failures: 0,
            successes: 0,
            calls: Calls::new(config.window),
            trials: Arc::default(),
            transitions: VecDeque::with_capacity(TRANSITIONS_MAX),
            config,
        })
    }

    /// Asks to make a call at `now`.
    ///
    /// # Errors
    ///
    /// [`BreakerRefusal`] while open, and while half open with all trials under way.
    pub fn try_acquire(&mut self, now: Duration) -> Result<BreakerPermit, BreakerRefusal> {
        self.step(now);
        let trial = match self.state {
            BreakerState::Closed => None,
            BreakerState::HalfOpen if self.trials.load(Relaxed) < self.config.trials => {
                self.trials.fetch_add(1, Relaxed);
                Some(Trial(Arc::clone(&self.trials)))
            }
            BreakerState::Open | BreakerState::HalfOpen => return Err(self.refusal(now)),
        };
        Ok(BreakerPermit {
            epoch: self.epoch,
            trial,
        })
    }

    /// A call ended at `now`.
    pub fn record(&mut self, permit: BreakerPermit, outcome: Outcome, now: Duration) {
        let BreakerPermit { epoch, trial } = permit;
        drop(trial);
        if epoch != self.epoch {
            return;
        }
        let slow = matches!(outcome, Outcome::Success(took) if took >= self.config.slow_call);
        let failed = outcome == Outcome::Failure;
        self.failures = if failed {
            self.failures.saturating_add(1)
        } else {
            0
        };
        match self.state {
            BreakerState::Closed => self.count(failed, slow, now),
            BreakerState::HalfOpen if failed || slow => self.open(Trip::Trial, now),
            BreakerState::HalfOpen => {
                self.successes = self.successes.saturating_add(1);
                self.close_if_stable(now);
            }
            BreakerState::Open => {}
        }
    }

    /// Lets time pass: half opens when the open time is over, closes when trials have held.
    ///
    /// [`try_acquire`](Self::try_acquire) does this too; call it where nobody may ask for long.
    pub fn step(&mut self, now: Duration) -> BreakerState {
        let elapsed = now.saturating_sub(self.entered_at);
        match self.state {
            BreakerState::Open if !self.forced && elapsed >= self.open_for => {
                self.enter(BreakerState::HalfOpen, None, now);
            }
            BreakerState::HalfOpen => self.close_if_stable(now),
            BreakerState::Open | BreakerState::Closed => {}
        }
        self.state
    }

    /// Opens until [`reset`](Self::reset), whatever the calls do.
    pub fn force_open(&mut self, now: Duration) {
        self.forced = true;
        if self.state != BreakerState::Open {
            self.enter(BreakerState::Open, Some(Trip::Forced), now);
        }
    }

    /// Closes, and forgets what was.
    pub fn reset(&mut self, now: Duration) {
        self.forced = false;
        self.open_for = self.config.open_for;
        if self.state == BreakerState::Closed {
            self.clear();
        } else {
            self.enter(BreakerState::Closed, None, now);
        }
    }

    /// Where it stands, as of the last call.
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// How long it stays open the next time, or now.
    pub fn open_for(&self) -> Duration {
        self.open_for
    }

    /// The oldest change of state that was not taken yet. At most eight are kept.
    pub fn take_transition(&mut self) -> Option<Transition> {
        self.transitions.pop_front()
    }

    fn count(&mut self, failed: bool, slow: bool, now: Duration) {
        self.calls.add(failed, slow, now);
        let c = &self.config;
        let judged = self.calls.total(now) >= c.min_calls;
        let reaches = |share: f64, most: Option<f64>| most.is_some_and(|most| share >= most);
        if c.consecutive.is_some_and(|most| self.failures >= most) {
            self.open(Trip::Consecutive, now);
        } else if judged && failed && reaches(self.calls.failed_share(), c.failure_rate) {
            self.open(Trip::FailureRate, now);
        } else if judged && slow && reaches(self.calls.slow_share(), c.slow_rate) {
            self.open(Trip::SlowRate, now);
        }
    }

    fn open(&mut self, trip: Trip, now: Duration) {
        if trip == Trip::Trial {
            let grown = self.open_for.as_secs_f64() * self.config.growth;
            let grown = Duration::try_from_secs_f64(grown).unwrap_or(Duration::MAX);
            self.open_for = grown.min(self.config.open_max);
        }
        self.enter(BreakerState::Open, Some(trip), now);
    }

    fn close_if_stable(&mut self, now: Duration) {
        let held = now.saturating_sub(self.entered_at) >= self.config.stable_for;
        if self.successes >= self.config.successes && held {
            self.open_for = self.config.open_for;
            self.enter(BreakerState::Closed, None, now);
        }
    }

    fn enter(&mut self, to: BreakerState, trip: Option<Trip>, now: Duration) {
        if self.transitions.len() == TRANSITIONS_MAX {
            self.transitions.pop_front();
        }
        self.transitions.push_back(Transition {
            from: self.state,
            to,
            trip,
            failures: self.failures,
            at: now,
        });
        self.state = to;
        self.entered_at = now;
        self.epoch += 1;
        self.clear();
    }

    /// Trials that are still under way belong to an older epoch: their places go with them.
    fn clear(&mut self) {
        self.failures = 0;
        self.successes = 0;
        self.calls.clear();
        self.trials = Arc::default();
    }

    fn refusal(&self, now: Duration) -> BreakerRefusal {
        let left = (self.entered_at.saturating_add(self.open_for)).saturating_sub(now);
        let waiting = self.state == BreakerState::Open && !self.forced;
        BreakerRefusal {
            state: self.state,
            retry_after: waiting.then_some(left),
        }
    }
}

#[cfg(test)]
mod tests;
