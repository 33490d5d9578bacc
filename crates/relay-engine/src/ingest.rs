//! The way in, and its account: `received = accepted + refused by reason`.

use crate::elastic::PoolBounds;
use crate::sketch::Sketch;
use crate::workers::Workers;
use relay_event::{
    Bus, ByteBudget, Code, Component, ErrorBus, ErrorEvent, Event, Gate, Permit, Priority, Reason,
    Rejection, Severity,
};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The part of the ledger that bodies still arriving may hold, in percent: a slow sender must not be able to fill it.
pub(crate) const ARRIVING_PERCENT: u8 = 25;

/// How far the counts move between two publishes that are timed: by two for an event that is accepted.
const TIMED_STEP: u64 = 2048;

/// Whether a publish is timed. It goes by both counts, because one of them may stand still: what is received while all of
/// it is refused, and what is accepted within one request.
fn is_timed(received: u64, accepted: u64) -> bool {
    received.wrapping_add(accepted) % TIMED_STEP == 1
}

/// What an adapter uses to bring events in. Cloning gives another handle to the same account.
#[derive(Debug, Clone)]
pub struct Ingest(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    component: Component,
    gate: Gate,
    arriving: ByteBudget,
    bus: Bus,
    errors: ErrorBus,
    received: AtomicU64,
    accepted: AtomicU64,
    refused: [AtomicU64; RefusalReason::ALL.len()],
    publish_duration: metrics::Histogram,
    /// The same, to be read back.
    publish_durations: Sketch,
}

/// Why an event was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The gate said no.
    Gate(Reason),
    /// A reliable subscription had no room.
    QueueFull,
    /// What came is not an event.
    Invalid,
    /// The body is longer than the adapter takes.
    BodyTooLarge,
    /// The body came too slowly.
    Slow,
    /// The sender went away.
    Aborted,
    /// The form is not one that the adapter takes.
    Unsupported,
    /// The bus is closed.
    Closed,
}

impl RefusalReason {
    /// Every reason, in a fixed order: the order of counters.
    pub const ALL: [Self; 15] = [
        Self::Gate(Reason::TooLarge),
        Self::Gate(Reason::Rate),
        Self::Gate(Reason::Priority),
        Self::Gate(Reason::SourceShare),
        Self::Gate(Reason::Ledger),
        Self::Gate(Reason::QueueDelay),
        Self::Gate(Reason::Level),
        Self::Gate(Reason::Draining),
        Self::QueueFull,
        Self::Invalid,
        Self::BodyTooLarge,
        Self::Slow,
        Self::Aborted,
        Self::Unsupported,
        Self::Closed,
    ];

    /// The stable name, as in metrics and in answers to senders.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gate(reason) => reason.as_str(),
            Self::QueueFull => "queue_full",
            Self::Invalid => "invalid",
            Self::BodyTooLarge => "body_too_large",
            Self::Slow => "slow",
            Self::Aborted => "aborted",
            Self::Unsupported => "unsupported",
            Self::Closed => "closed",
        }
    }

    fn index(self) -> usize {
        Self::ALL
            .iter()
            .position(|reason| *reason == self)
            .unwrap_or(Self::ALL.len() - 1)
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// When it is worth trying again, where that can be said.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused ({})", self.reason)
    }
}

impl std::error::Error for Refusal {}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self {
            reason: RefusalReason::Gate(rejection.reason),
            retry_after: Some(rejection.retry_after),
        }
    }
}

/// The account of one way in, all of one instant as far as concurrent arrivals allow; exact at any moment of quiet.
#[derive(Debug, Clone, Default)]
pub struct IngestStats {
    /// Events that came.
    pub received: u64,
    /// Events that were published.
    pub accepted: u64,
    refused: [u64; RefusalReason::ALL.len()],
}

impl IngestStats {
    /// Events refused for this reason.
    pub fn refused(&self, reason: RefusalReason) -> u64 {
        self.refused[reason.index()]
    }

    /// Every reason that occurred, with its count.
    pub fn refusals(&self) -> impl Iterator<Item = (RefusalReason, u64)> {
        RefusalReason::ALL
            .into_iter()
            .zip(self.refused)
            .filter(|(_, count)| *count > 0)
    }

    /// Events refused for any reason.
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// Whether every event that came is accounted for; while events are arriving they are not yet.
    pub fn is_closed(&self) -> bool {
        self.received == self.accepted + self.refused_total()
    }

    /// Adds the account of another way in.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.accepted += other.accepted;
        for (sum, more) in self.refused.iter_mut().zip(other.refused) {
            *sum += more;
        }
    }
}

// === impl Ingest ===

impl Ingest {
    /// A way in named `id` through `gate` to `bus`. An engine makes one for each adapter.
    pub fn new(id: impl Into<Arc<str>>, gate: Gate, bus: Bus, errors: ErrorBus) -> Self {
        let arriving = gate.budget().share(ARRIVING_PERCENT);
        Self::with_arriving(id, gate, arriving, bus, errors)
    }

    /// As [`new`](Self::new), sharing what may be arriving with others.
    pub(crate) fn with_arriving(
        id: impl Into<Arc<str>>,
        gate: Gate,
        arriving: ByteBudget,
        bus: Bus,
        errors: ErrorBus,
    ) -> Self {
        let bus_name = bus.name().to_owned();
        Self(Arc::new(Inner {
            component: Component::adapter(id),
            // Looked up once; without an installed recorder it records nothing.
            publish_duration: metrics::histogram!("relay_event_publish_duration_seconds", "bus" => bus_name),
            gate,
            arriving,
            bus,
            errors,
            received: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            publish_durations: Sketch::default(),
        }))
    }

    /// Something came: one event, until [`Arrival::expand`] says more. It must be settled; dropped without that it
    /// counts as [`RefusalReason::Aborted`], so a cancelled request cannot fall out of the account.
    pub fn arrive(&self) -> Arrival<'_> {
        self.0.received.fetch_add(1, Relaxed);
        Arrival {
            inner: &self.0,
            open: 1,
            accepted: 0,
        }
    }

    /// Asks the gate for `bytes`, to be read now: they count as arriving until [`Permit::arrived`].
    ///
    /// # Errors
    ///
    /// What the gate said.
    pub fn admit(&self, bytes: u64, priority: Priority) -> Result<Permit, Refusal> {
        let admitted = self.0.gate.admit_within(&self.0.arriving, bytes, priority);
        Ok(admitted?)
    }

    /// As [`admit`](Self::admit), on account of `source`: any bytes that tell one sender from another. While not
    /// everything can be admitted, none of them gets more than its share.
    ///
    /// # Errors
    ///
    /// What the gate said.
    pub fn admit_from(
        &self,
        source: &[u8],
        bytes: u64,
        priority: Priority,
    ) -> Result<Permit, Refusal> {
        let gate = &self.0.gate;
        Ok(gate.admit_within_from(&self.0.arriving, source, bytes, priority)?)
    }

    /// Asks the gate again for an event that turned out to be of lower priority than its bytes were admitted with: what
    /// a sender says up front is no way around the bounds of what is inside.
    ///
    /// # Errors
    ///
    /// What the gate said.
    pub fn confirm(&self, priority: Priority) -> Result<(), Refusal> {
        // Of no bytes: those are on the ledger already.
        let asked = self.0.gate.admit(0, priority);
        asked.map(drop).map_err(Refusal::from)
    }

    /// Publishes on the external bus, without waiting.
    ///
    /// # Errors
    ///
    /// When a reliable subscription has no room, or the bus is closed.
    pub fn publish(&self, event: Event) -> Result<(), Refusal> {
        let counts = (&self.0.received, &self.0.accepted);
        let began = is_timed(counts.0.load(Relaxed), counts.1.load(Relaxed)).then(Instant::now);
        let published = self.0.bus.try_publish(event);
        if let Some(began) = began {
            let took = began.elapsed();
            self.0.publish_duration.record(took);
            self.0.publish_durations.record(took);
        }
        match published {
            Ok(_) => Ok(()),
            Err(error) => {
                let reason = if error.is_full() {
                    RefusalReason::QueueFull
                } else {
                    RefusalReason::Closed
                };
                Err(Refusal {
                    reason,
                    retry_after: Some(Duration::from_secs(1)),
                })
            }
        }
    }

    /// Reports that what came is not an event.
    pub fn report_invalid(&self, detail: &str) {
        let event = ErrorEvent::new(
            Code::IngestInvalid,
            Severity::Warning,
            self.0.component.clone(),
        );
        self.0.errors.publish(event.detail(detail));
    }

    /// Reports that this adapter failed in a way that it can go on from.
    pub fn report_failure(&self, detail: &str) {
        let event = ErrorEvent::new(Code::AdapterFail, Severity::Error, self.0.component.clone());
        self.0.errors.publish(event.detail(detail));
    }

    /// Workers for this adapter, beginning with the most.
    pub fn workers(&self, bounds: PoolBounds) -> Workers {
        Workers::new(&self.0.component, bounds, self.0.errors.clone())
    }

    /// How long publishing took, of the publishes that were timed.
    pub(crate) fn publish_durations(&self) -> &Sketch {
        &self.0.publish_durations
    }

    /// Its account.
    pub fn stats(&self) -> IngestStats {
        // Read in the order opposite to writing, so that a reading never shows more settled than received.
        let refused = std::array::from_fn(|index| self.0.refused[index].load(Relaxed));
        let accepted = self.0.accepted.load(Relaxed);
        IngestStats {
            received: self.0.received.load(Relaxed),
            accepted,
            refused,
        }
    }
}

/// Events that came and are not settled yet.
#[derive(Debug)]
#[must_use = "an arrival that is dropped counts as aborted"]
pub struct Arrival<'a> {
    inner: &'a Inner,
    open: u64,
    accepted: u64,
}

impl Arrival<'_> {
    /// Says how many events it really is, when that is more than one.
    pub fn expand(&mut self, events: u64) {
        let more = events.saturating_sub(self.open);
        self.inner.received.fetch_add(more, Relaxed);
        self.open += more;
    }

    /// So many of them were published.
    pub fn accept_some(&mut self, events: u64) {
        let events = events.min(self.open);
        self.open -= events;
        self.accepted += events;
        self.inner.accepted.fetch_add(events, Relaxed);
    }

    /// All that are open were published.
    pub fn accept(mut self) {
        self.accept_some(self.open);
    }

    /// All that are open were refused.
    pub fn refuse(mut self, reason: RefusalReason) {
        self.close(reason);
    }

    /// How many were published.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    fn close(&mut self, reason: RefusalReason) {
        if self.open > 0 {
            self.inner.refused[reason.index()].fetch_add(self.open, Relaxed);
            self.open = 0;
        }
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.close(RefusalReason::Aborted);
    }
}

#[cfg(test)]
mod tests;
