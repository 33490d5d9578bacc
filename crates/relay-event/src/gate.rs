//! The one place where admission is enforced: ledger, queue delay, byte rate, priority floor, shares of sources.

mod knobs;
mod rejection;

pub use rejection::{Reason, Rejection};

use crate::budget::{BudgetError, ByteBudget, Fill, Reservation};
use crate::clock;
use crate::priority::Priority;
use crate::shares::Shares;
use crate::tokens::Tokens;
use rejection::{RETRY_MAX, RETRY_MIN, reject};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// No bound, or nothing known.
const UNBOUNDED: u64 = u64::MAX;

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
    /// What of the rate the lowest priority may use, while that is less than all.
    lowest_tokens: Tokens,
    lowest_share: AtomicU64,
    shares: Shares,
    floor: AtomicU8,
    closed: AtomicBool,
    /// Bytes per second that leave; `UNBOUNDED` while unknown.
    drain: AtomicU64,
    max_queue_delay_ns: AtomicU64,
    /// What drains within the longest delay; `UNBOUNDED` while one of the two is not known.
    max_queued_bytes: AtomicU64,
    first_pressure_ms: AtomicU64,
    first_refusal_ms: AtomicU64,
}

/// The right to bring in so many bytes; dropping it gives them back.
#[derive(Debug)]
#[must_use = "dropping a permit returns its bytes"]
pub struct Permit(Reservation);

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
            lowest_tokens: Tokens::unlimited(),
            lowest_share: AtomicU64::new(1_f64.to_bits()),
            shares: Shares::new(),
            floor: AtomicU8::new(Priority::Low as u8),
            closed: AtomicBool::new(false),
            drain: AtomicU64::new(UNBOUNDED),
            max_queue_delay_ns: AtomicU64::new(UNBOUNDED),
            max_queued_bytes: AtomicU64::new(UNBOUNDED),
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

    /// As [`admit`](Self::admit), on account of `source`: any bytes that tell one sender from another. Where room is
    /// scarce, none of them may have more than its share; see [`set_source_fairness`](Self::set_source_fairness).
    ///
    /// # Errors
    ///
    /// As [`admit`](Self::admit), and [`Reason::SourceShare`] after the size and the ledger.
    #[inline]
    pub fn admit_from(
        &self,
        source: &[u8],
        bytes: u64,
        priority: Priority,
    ) -> Result<Permit, Rejection> {
        self.decide(&self.0.budget, || Some(source), bytes, priority)
            .inspect_err(|_| self.note_refusal())
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
        self.decide(share, || None, bytes, priority)
            .inspect_err(|_| self.note_refusal())
    }

    /// Both: [`admit_within`](Self::admit_within) `share`, [from](Self::admit_from) `source`.
    ///
    /// # Errors
    ///
    /// As both.
    #[inline]
    pub fn admit_within_from(
        &self,
        share: &ByteBudget,
        source: &[u8],
        bytes: u64,
        priority: Priority,
    ) -> Result<Permit, Rejection> {
        self.decide(share, || Some(source), bytes, priority)
            .inspect_err(|_| self.note_refusal())
    }

    /// `source` is a closure so that whoever names none pays nothing for those who do.
    #[inline]
    fn decide<'a>(
        &self,
        share: &ByteBudget,
        source: impl Fn() -> Option<&'a [u8]>,
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
            .map_err(|error| self.full(error, source(), bytes, priority))?;
        // On a refusal below, dropping the reservation takes the bytes off the ledger again.
        if !control {
            let ahead_bytes = fill.used_bytes.saturating_sub(bytes);
            // The clock costs nearly as much as a locked operation (4 ns of 6): it is read only when there is a rate.
            let now_ns = self.0.tokens.is_limited().then(clock::coarse_nanos);
            // Kept as one bit: what a claim holds would have to be carried through memory by everybody.
            let counted = match source() {
                Some(source) if self.0.shares.is_on() => {
                    let is_scarce = self.is_scarce(fill, bytes, priority, now_ns);
                    let counts = is_scarce || self.0.shares.is_active();
                    if counts && let Err(wait) = self.ask_share(source, bytes, priority, is_scarce)
                    {
                        return Err(reject(Reason::SourceShare, wait));
                    }
                    counts
                }
                _ => false,
            };
            let max_queued_bytes = priority.share_of(self.0.max_queued_bytes.load(Relaxed));
            // What an event waits for is what is queued before it, so its own size does not count.
            if ahead_bytes > max_queued_bytes {
                let excess_bytes = ahead_bytes - max_queued_bytes;
                self.0.shares.note_bound();
                return Err(reject(Reason::QueueDelay, self.drain_time(excess_bytes)));
            }
            if let Some(now_ns) = now_ns {
                self.take_tokens(bytes, priority, now_ns)
                    .inspect_err(|_| self.0.shares.note_bound())?;
            }
            if counted && let Some(source) = source() {
                self.0.shares.admitted(source, bytes, priority);
            }
        }
        if fill.used_bytes >= fill.mark_bytes {
            self.note_full(fill.used_bytes, priority);
        }
        Ok(Permit(reservation))
    }

    /// What can be admitted in all is the drain, or the rate where that is less.
    fn ask_share(
        &self,
        source: &[u8],
        bytes: u64,
        priority: Priority,
        is_scarce: bool,
    ) -> Result<(), Duration> {
        let capacity = match self.0.drain.load(Relaxed) {
            UNBOUNDED => 0,
            drain => drain.min(self.0.tokens.rate() as u64),
        };
        self.0
            .shares
            .ask(source, bytes, priority, is_scarce, capacity)
    }

    #[inline]
    fn take_tokens(&self, bytes: u64, priority: Priority, now_ns: u64) -> Result<(), Rejection> {
        if priority == Priority::Low && self.0.lowest_tokens.is_limited() {
            self.take_lowest_tokens(bytes, now_ns)?;
        }
        self.0
            .tokens
            .take(bytes, priority, now_ns)
            .map_err(|wait| self.over_rate(wait, priority))
    }

    /// The lowest priority pays twice. It does not pay here for what the whole rate would refuse.
    fn take_lowest_tokens(&self, bytes: u64, now_ns: u64) -> Result<(), Rejection> {
        let wait = self.0.tokens.wait(Priority::Low, now_ns);
        if !wait.is_zero() {
            return Err(self.over_rate(wait, Priority::Low));
        }
        self.0
            .lowest_tokens
            .take(bytes, Priority::High, now_ns)
            .map_err(|wait| reject(Reason::Priority, wait))
    }

    /// Whether one of the three bounds is so near that not every source may have what it wants. It begins where the next
    /// lower priority is refused, so a share never puts a higher priority behind a lower one.
    #[inline]
    fn is_scarce(&self, fill: Fill, bytes: u64, priority: Priority, now_ns: Option<u64>) -> bool {
        let ahead_bytes = fill.used_bytes.saturating_sub(bytes);
        let max_queued_bytes = self.0.max_queued_bytes.load(Relaxed);
        // A mark is 3/5 of its bound at least, and no bound is scarce below 2/5 of it: two shifts answer for nearly all.
        let near = ahead_bytes >= fill.mark_bytes / 2 || ahead_bytes >= max_queued_bytes / 4;
        near && self.is_scarce_in_bytes(ahead_bytes, max_queued_bytes, priority)
            || now_ns
                .is_some_and(|now_ns| self.0.tokens.is_ahead_by(priority.scarce_percent(), now_ns))
    }

    #[inline(never)]
    fn is_scarce_in_bytes(
        &self,
        ahead_bytes: u64,
        max_queued_bytes: u64,
        priority: Priority,
    ) -> bool {
        let size_bytes = self.0.budget.size_bytes().unwrap_or(UNBOUNDED);
        let room_bytes = size_bytes.min(max_queued_bytes);
        let percent = priority.scarce_percent();
        ahead_bytes > room_bytes / 100 * percent + room_bytes % 100 * percent / 100
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

    /// What finds no room has been asked for all the same: without it a source that is always refused would have no share.
    #[cold]
    fn full(
        &self,
        error: BudgetError,
        source: Option<&[u8]>,
        bytes: u64,
        priority: Priority,
    ) -> Rejection {
        match error {
            BudgetError::TooLarge { .. } => reject(Reason::TooLarge, RETRY_MAX),
            BudgetError::Full { missing_bytes, .. } => {
                if priority < Priority::Control
                    && let Some(source) = source
                    && let Err(wait) = self.ask_share(source, bytes, priority, true)
                {
                    return reject(Reason::SourceShare, wait);
                }
                self.0.shares.note_bound();
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

    #[cfg(test)]
    pub(crate) fn shares(&self) -> &Shares {
        &self.0.shares
    }

    #[cfg(test)]
    pub(crate) fn tokens_wait(&self, priority: Priority) -> Duration {
        self.0.tokens.wait(priority, clock::coarse_nanos())
    }

    /// How long `bytes` take to leave, as far as that is known.
    fn drain_time(&self, bytes: u64) -> Duration {
        match self.0.drain.load(Relaxed) {
            UNBOUNDED => RETRY_MIN,
            0 => RETRY_MAX,
            drain => Duration::from_secs_f64(bytes as f64 / drain as f64),
        }
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
