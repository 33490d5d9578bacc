//! Where a breaker stands, why, and what it is told.

use std::{fmt, time::Duration};

/// Where the breaker stands. Displayed in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BreakerState {
    /// Calls pass.
    #[default]
    Closed,
    /// Calls are refused.
    Open,
    /// A few calls pass on trial.
    HalfOpen,
}

/// Why the breaker opened. Displayed in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trip {
    /// Too many failures in a row.
    Consecutive,
    /// Too large a share of failures.
    FailureRate,
    /// Too large a share of slow calls.
    SlowRate,
    /// A trial failed.
    Trial,
    /// Somebody forced it.
    Forced,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: BreakerState,
    /// The state from then on.
    pub to: BreakerState,
    /// Why, when it opened.
    pub trip: Option<Trip>,
    /// Failures in a row by then.
    pub failures: u32,
    /// When.
    pub at: Duration,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It worked, and took this long.
    Success(Duration),
    /// It failed, however long it took.
    Failure,
}

// === impl BreakerState ===

impl BreakerState {
    /// The name that [`Display`](fmt::Display) prints, as metric labels want it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Trip ===

impl Trip {
    /// The name that [`Display`](fmt::Display) prints, as metric labels want it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive",
            Self::FailureRate => "failure_rate",
            Self::SlowRate => "slow_rate",
            Self::Trial => "trial",
            Self::Forced => "forced",
        }
    }
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
