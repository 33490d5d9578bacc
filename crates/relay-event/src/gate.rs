//! The one place where admission is enforced: ledger, byte rate, queue delay, priority floor.

use crate::budget::{BudgetError, ByteBudget, Reservation};
use crate::clock;
use crate::priority::Priority;
use crate::tokens::Tokens;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The shortest and the longest wait that is suggested to a sender: below a second most clients cannot say it
/// (`Retry-After` counts whole seconds), above a minute the estimate is worth nothing.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// Decides, before a byte is read, whether an event may come in. Cloning gives another handle.
///
/// All knobs are atomics: a control loop turns them while requests pass.
///
/// ```
/// use relay_event::{ByteBudget, Gate, Priority, Reason};
///
/// let gate = Gate::new(ByteBudget::new(1 << 20));
/// gate.set_floor(Priority::High);
/// let refused = gate.admit(100, Priority::Normal).unwrap_err();
/// assert_eq!(refused.reason, Reason::Level);
/// assert!(refused.retry_after.as_secs() >= 1);
/// assert!(gate.admit(100, Priority::High).is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    budget: ByteBudget,
    tokens: Tokens,
    floor: AtomicU8,
    closed: AtomicBool,
    /// Bytes per second that leave; zero while unknown.
    drain: AtomicU64,
    max_queue_delay_ns: AtomicU64,
    first_pressure_ms: AtomicU64,
    first_refusal_ms: AtomicU64,
}

/// The right to bring in so many bytes; dropping it gives them back.
#[derive(Debug)]
#[must_use = "dropping a permit returns its bytes"]
pub struct Permit(Reservation);

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
    pub const ALL: [Self; 7] = [
        Self::TooLarge,
        Self::Rate,
        Self::Priority,
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

impl From<Permit> for Reservation {
    fn from(permit: Permit) -> Self {
        permit.0
    }
}

impl Permit {
    /// How many bytes may come in.
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    /// Ends the arrival: a permit from [`Gate::admit_within`] no longer counts against the share it came through.
    pub fn arrived(self) -> Self {
        Self(self.0.leave_share())
    }

    /// Splits off `bytes` for one event of a request that carries several.
    pub fn split(&mut self, bytes: u64) -> Self {
        Self(self.0.split(bytes))
    }
}

// === impl Gate ===

impl Gate {
    /// A gate in front of `budget`, with no rate, no floor and no limit of delay.
    pub fn new(budget: ByteBudget) -> Self {
        Self(Arc::new(Inner {
            budget,
            tokens: Tokens::unlimited(),
            floor: AtomicU8::new(Priority::Low as u8),
            closed: AtomicBool::new(false),
            drain: AtomicU64::new(0),
            max_queue_delay_ns: AtomicU64::new(u64::MAX),
            first_pressure_ms: AtomicU64::new(0),
            first_refusal_ms: AtomicU64::new(0),
        }))
    }

    /// The ledger behind the gate.
    pub fn budget(&self) -> &ByteBudget {
        &self.0.budget
    }

    /// Admits `bytes` of `priority`, or says why not and when to try again.
    ///
    /// # Errors
    ///
    /// The first thing in the way, in this order: closed gate, level, size, ledger, delay, rate.
    #[inline]
    pub fn admit(&self, bytes: u64, priority: Priority) -> Result<Permit, Rejection> {
        self.admit_within(&self.0.budget, bytes, priority)
    }

    /// As [`admit`](Self::admit), charged to `share` of the ledger as well, for bytes that are still arriving.
    ///
    /// # Errors
    ///
    /// As [`admit`](Self::admit); a full share is [`Reason::Ledger`].
    #[inline]
    pub fn admit_within(
        &self,
        share: &ByteBudget,
        bytes: u64,
        priority: Priority,
    ) -> Result<Permit, Rejection> {
        self.decide(share, bytes, priority)
            .inspect_err(|_| self.note_refusal())
    }

    #[inline]
    fn decide(
        &self,
        share: &ByteBudget,
        bytes: u64,
        priority: Priority,
    ) -> Result<Permit, Rejection> {
        let control = priority == Priority::Control;
        if !control && self.0.closed.load(Relaxed) {
            return Err(reject(Reason::Draining, Duration::from_secs(5)));
        }
        if !control && (priority as u8) < self.0.floor.load(Relaxed) {
            return Err(reject(Reason::Level, RETRY_MIN));
        }
        let (reservation, fill) = share
            .reserve_seen(bytes, priority)
            .map_err(|error| self.full(error))?;
        // On a refusal below, dropping the reservation takes the bytes off the ledger again.
        if !control {
            if let Some(excess_bytes) = self.excess_bytes(fill.used_bytes, priority) {
                return Err(reject(Reason::QueueDelay, self.drain_time(excess_bytes)));
            }
            // The clock costs nearly as much as a locked operation (4 ns of 6): it is read only when there is a rate.
            if self.0.tokens.is_limited() {
                self.0
                    .tokens
                    .take(bytes, priority, clock::coarse_nanos())
                    .map_err(|wait| self.over_rate(wait, priority))?;
            }
        }
        if fill.used_bytes >= fill.mark_bytes {
            self.note_full(fill.used_bytes, priority);
        }
        Ok(Permit(reservation))
    }

    /// The mark may have been that of a wire.
    #[cold]
    fn note_full(&self, used_bytes: u64, priority: Priority) {
        let size_bytes = self.0.budget.size_bytes();
        if size_bytes.is_none_or(|size| used_bytes >= priority.share_of(size)) {
            stamp_once(&self.0.first_pressure_ms);
        }
    }

    #[cold]
    fn note_refusal(&self) {
        stamp_once(&self.0.first_pressure_ms);
        stamp_once(&self.0.first_refusal_ms);
    }

    #[cold]
    fn full(&self, error: BudgetError) -> Rejection {
        match error {
            BudgetError::TooLarge { .. } => reject(Reason::TooLarge, RETRY_MAX),
            BudgetError::Full { missing_bytes, .. } => {
                reject(Reason::Ledger, self.drain_time(missing_bytes))
            }
        }
    }

    /// A refusal by rate is the priority's own only where the next higher one would still pass.
    fn over_rate(&self, wait: Duration, priority: Priority) -> Rejection {
        let higher = Priority::from_rank(priority as u8 + 1).min(Priority::High);
        let passes =
            higher > priority && self.0.tokens.take(0, higher, clock::coarse_nanos()).is_ok();
        reject(
            if passes {
                Reason::Priority
            } else {
                Reason::Rate
            },
            wait,
        )
    }

    /// Queued bytes beyond what drains within the longest delay allowed to `priority`.
    #[inline]
    fn excess_bytes(&self, used_bytes: u64, priority: Priority) -> Option<u64> {
        let drain = self.0.drain.load(Relaxed);
        if drain == 0 {
            return None;
        }
        let delay_ns = self.0.max_queue_delay_ns.load(Relaxed);
        if delay_ns == u64::MAX {
            return None;
        }
        let bound = (u128::from(drain) * u128::from(delay_ns) / 1_000_000_000)
            .min(u128::from(u64::MAX)) as u64;
        used_bytes
            .checked_sub(priority.share_of(bound))
            .filter(|excess| *excess > 0)
    }

    fn drain_time(&self, bytes: u64) -> Duration {
        match self.0.drain.load(Relaxed) {
            0 => RETRY_MIN,
            drain => Duration::from_secs_f64(bytes as f64 / drain as f64),
        }
    }
}

/// The knobs.
impl Gate {
    /// Admits at most so many bytes per second; `None` takes the limit away.
    pub fn set_rate(&self, bytes_per_second: Option<f64>) {
        self.0.tokens.set_rate(
            bytes_per_second.unwrap_or(f64::INFINITY),
            clock::coarse_nanos(),
        );
    }

    /// The rate in force, in bytes per second; `None` when there is none.
    pub fn rate(&self) -> Option<f64> {
        Some(self.0.tokens.rate()).filter(|rate| rate.is_finite())
    }

    /// Refuses everything below `floor`. [`Priority::Control`] always passes within the ledger.
    pub fn set_floor(&self, floor: Priority) {
        if floor > Priority::Low {
            stamp_once(&self.0.first_pressure_ms);
        }
        self.0.floor.store(floor as u8, Relaxed);
    }

    /// The lowest priority that is admitted.
    pub fn floor(&self) -> Priority {
        Priority::from_rank(self.0.floor.load(Relaxed))
    }

    /// Says how many bytes leave per second, for `retry_after` and the queue delay; `None` while unknown.
    pub fn set_drain(&self, bytes_per_second: Option<f64>) {
        self.0.drain.store(
            bytes_per_second.map_or(0, |rate| rate.max(1.0) as u64),
            Relaxed,
        );
    }

    /// Refuses what would wait longer than this in queues, at the present drain; `None` takes the limit away.
    pub fn set_max_queue_delay(&self, delay: Option<Duration>) {
        let nanos = delay.map_or(u64::MAX, |delay| {
            delay.as_nanos().min(u128::from(u64::MAX - 1)) as u64
        });
        self.0.max_queue_delay_ns.store(nanos, Relaxed);
    }

    /// Refuses everything from now on, [`Priority::Control`] excepted.
    pub fn close(&self) {
        self.0.closed.store(true, Relaxed);
    }

    /// Whether the gate was closed.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Relaxed)
    }

    /// When a bound was first reached or a level first shut a priority out, in Unix milliseconds.
    pub fn first_pressure_unix_ms(&self) -> Option<u64> {
        Some(self.0.first_pressure_ms.load(Relaxed)).filter(|ms| *ms > 0)
    }

    /// When something was first refused, in Unix milliseconds.
    pub fn first_refusal_unix_ms(&self) -> Option<u64> {
        Some(self.0.first_refusal_ms.load(Relaxed)).filter(|ms| *ms > 0)
    }
}

fn reject(reason: Reason, wait: Duration) -> Rejection {
    Rejection {
        reason,
        retry_after: wait.clamp(RETRY_MIN, RETRY_MAX),
    }
}

fn stamp_once(cell: &AtomicU64) {
    if cell.load(Relaxed) == 0 {
        let _ = cell.compare_exchange(0, clock::unix_millis().max(1), Relaxed, Relaxed);
    }
}

#[cfg(test)]
#[path = "gate/tests.rs"]
mod tests;
