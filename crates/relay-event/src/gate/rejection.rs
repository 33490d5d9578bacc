//! What a sender is told that is not admitted.

use std::fmt;
use std::time::Duration;

/// The shortest and the longest wait that is suggested to a sender: below a second most clients cannot say it
/// (`Retry-After` counts whole seconds), above a minute the estimate is worth nothing.
pub(super) const RETRY_MIN: Duration = Duration::from_secs(1);
pub(super) const RETRY_MAX: Duration = Duration::from_mins(1);

/// Why an event was not admitted, and when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// What was in the way.
    pub reason: Reason,
    /// When it is worth trying again: computed from the rate or from the drain, between 1 s and 60 s.
    pub retry_after: Duration,
}

/// What was in the way of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It could never fit into the ledger.
    TooLarge,
    /// More bytes per second arrive than may be admitted.
    Rate,
    /// This priority has used up its share of the rate, higher ones have not.
    Priority,
    /// This source has used up its share of what is admitted, others have not.
    SourceShare,
    /// The ledger is full.
    Ledger,
    /// What is queued would take longer to drain than an event may wait.
    QueueDelay,
    /// At the present memory level only higher priorities are admitted.
    Level,
    /// The gate was closed: the service is shutting down.
    Draining,
}

impl Reason {
    /// Every reason, in a fixed order: the order of counters.
    pub const ALL: [Self; 8] = [
        Self::TooLarge,
        Self::Rate,
        Self::Priority,
        Self::SourceShare,
        Self::Ledger,
        Self::QueueDelay,
        Self::Level,
        Self::Draining,
    ];

    /// The stable name, as in metrics and in answers to senders.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Rate => "rate",
            Self::Priority => "priority",
            Self::SourceShare => "source_share",
            Self::Ledger => "ledger",
            Self::QueueDelay => "queue_delay",
            Self::Level => "level",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not admitted ({}), try again in {:?}",
            self.reason, self.retry_after
        )
    }
}

impl std::error::Error for Rejection {}

pub(super) fn reject(reason: Reason, wait: Duration) -> Rejection {
    Rejection {
        reason,
        retry_after: wait.clamp(RETRY_MIN, RETRY_MAX),
    }
}
