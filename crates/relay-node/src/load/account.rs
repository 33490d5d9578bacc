//! The account: every arrival is settled once, whatever happens to it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::schedule::Slot;

/// Latencies above this are counted as this: no answer is waited for that long.
const LATENCY_US_MAX: u64 = 600_000_000;

/// Distinct refusal reasons kept by name; the server names them, so their number is bounded here.
const REASONS_MAX: usize = 32;

/// What became of an arrival.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    /// A 2xx answer.
    Accepted,
    /// Any other answer.
    Refused {
        status: u16,
        /// The `error.code` of the answer's JSON body.
        reason: Option<&'a str>,
        retry_after: bool,
    },
    /// No answer.
    Failed(FailureKind),
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No connection could be made.
    Connect,
    /// The connection ended before the answer did.
    Reset,
    /// The answer took longer than the timeout, or the run ended first.
    Timeout,
    /// The generator itself could not keep up: all connections busy, its backlog full.
    ClientOverrun,
    /// What came back was not HTTP.
    Protocol,
}

/// The shared book of one run.
#[derive(Debug, Clone)]
pub(super) struct Account(Rc<RefCell<Tally>>);

/// One event that was due. Dropping it unsettled settles it as timed out.
#[derive(Debug)]
pub(super) struct Arrival {
    account: Account,
    slot: Slot,
    intended: Instant,
    settled: bool,
}

/// Events by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Events that were due.
    pub sent: u64,
    /// Events answered with 2xx.
    pub accepted: u64,
    /// Events answered with anything else.
    pub refused: u64,
    /// Events without an answer.
    pub failed: u64,
}

#[derive(Debug)]
pub(super) struct Tally {
    pub(super) total: Counts,
    pub(super) phases: Vec<Counts>,
    pub(super) buckets: Vec<Counts>,
    bucket: Duration,
    pub(super) refused_by_status: BTreeMap<u16, u64>,
    pub(super) refused_by_reason: BTreeMap<String, u64>,
    pub(super) failed_by_kind: BTreeMap<FailureKind, u64>,
    pub(super) without_retry_after: u64,
    pub(super) first_refusal_unix_ms: Option<u64>,
    pub(super) accepted_latency_us: Histogram<u64>,
    pub(super) refused_latency_us: Histogram<u64>,
}

// === impl Account ===

impl Account {
    pub(super) fn new(phases: usize, duration: Duration, bucket: Duration) -> Self {
        let buckets = duration.as_nanos().div_ceil(bucket.as_nanos()).max(1) as usize;
        Self(Rc::new(RefCell::new(Tally {
            total: Counts::default(),
            phases: vec![Counts::default(); phases],
            buckets: vec![Counts::default(); buckets],
            bucket,
            refused_by_status: BTreeMap::new(),
            refused_by_reason: BTreeMap::new(),
            failed_by_kind: BTreeMap::new(),
            without_retry_after: 0,
            first_refusal_unix_ms: None,
            accepted_latency_us: latency_histogram(),
            refused_latency_us: latency_histogram(),
        })))
    }

    /// Books an event that is due at `slot`, in a run that began at `start`.
    pub(super) fn arrive(&self, slot: Slot, start: Instant) -> Arrival {
        self.0.borrow_mut().each(slot, |counts| counts.sent += 1);
        Arrival {
            account: self.clone(),
            slot,
            intended: start + slot.due,
            settled: false,
        }
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Tally) -> T) -> T {
        read(&self.0.borrow())
    }
}

// === impl Arrival ===

impl Arrival {
    pub(super) fn sequence(&self) -> u64 {
        self.slot.sequence
    }

    /// Books what became of the event.
    pub(super) fn settle(mut self, outcome: &Outcome<'_>) {
        self.book(outcome);
    }

    fn book(&mut self, outcome: &Outcome<'_>) {
        self.settled = true;
        let latency_us = self.intended.elapsed().as_micros() as u64;
        self.account
            .0
            .borrow_mut()
            .settle(self.slot, outcome, latency_us);
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if !self.settled {
            self.book(&Outcome::Failed(FailureKind::Timeout));
        }
    }
}

// === impl Tally ===

impl Tally {
    fn settle(&mut self, slot: Slot, outcome: &Outcome<'_>, latency_us: u64) {
        match *outcome {
            Outcome::Accepted => {
                self.each(slot, |counts| counts.accepted += 1);
                self.accepted_latency_us.saturating_record(latency_us);
            }
            Outcome::Refused {
                status,
                reason,
                retry_after,
            } => {
                self.each(slot, |counts| counts.refused += 1);
                self.refused_latency_us.saturating_record(latency_us);
                self.refuse(status, reason, retry_after);
            }
            Outcome::Failed(kind) => {
                self.each(slot, |counts| counts.failed += 1);
                *self.failed_by_kind.entry(kind).or_default() += 1;
            }
        }
    }

    fn refuse(&mut self, status: u16, reason: Option<&str>, retry_after: bool) {
        self.first_refusal_unix_ms.get_or_insert_with(unix_ms);
        *self.refused_by_status.entry(status).or_default() += 1;
        if matches!(status, 429 | 503) && !retry_after {
            self.without_retry_after += 1;
        }
        let reason = reason.unwrap_or("unnamed");
        if let Some(count) = self.refused_by_reason.get_mut(reason) {
            *count += 1;
            return;
        }
        let known = self.refused_by_reason.len() < REASONS_MAX;
        let name = if known { reason } else { "other" };
        *self.refused_by_reason.entry(name.to_owned()).or_default() += 1;
    }

    /// Applies one change to the total, the phase and the bucket alike.
    fn each(&mut self, slot: Slot, change: impl Fn(&mut Counts)) {
        change(&mut self.total);
        if let Some(phase) = self.phases.get_mut(slot.phase) {
            change(phase);
        }
        let index = (slot.due.as_nanos() / self.bucket.as_nanos()) as usize;
        let last = self.buckets.len() - 1;
        change(&mut self.buckets[index.min(last)]);
    }
}

pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_millis() as u64
}

#[expect(
    clippy::expect_used,
    reason = "the bounds are constants that hdrhistogram accepts"
)]
fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("1 < max and 3 digits")
}
