//! What an engine shows of itself: levels, knobs, accounts.

use crate::breaker::BreakerStatus;
use crate::health::Health;
use crate::ingest::IngestStats;
use crate::pool::PoolReading;
use crate::pulse::{Mode, Observation};
use relay_event::{SubscriptionStats, WaitTimes};

/// Everything about a running engine, for people, metrics and tests.
#[derive(Debug, Clone)]
pub struct EngineState {
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// What the last tick of the pulse saw and decided; `None` before the first.
    pub observation: Option<Observation>,
    /// The ledger.
    pub ledger: LedgerState,
    /// The gate.
    pub gate: GateState,
    /// The account of each adapter, by id.
    pub adapters: Vec<(String, IngestStats)>,
    /// The account of each subscription, with the name of its bus.
    pub subscriptions: Vec<(String, SubscriptionStats)>,
    /// The buses.
    pub buses: Vec<BusState>,
    /// What each emitter counted, by id.
    pub emitters: Vec<(String, EmitterState)>,
    /// The health of each component.
    pub health: Vec<(String, Health)>,
    /// The queue of each emitter.
    pub queues: Vec<QueueState>,
    /// The pools whose size the pulse moves.
    pub pools: Vec<PoolState>,
    /// The circuit breakers, by component.
    pub breakers: Vec<(String, BreakerStatus)>,
    /// The publishers that can wait.
    pub pace: PaceState,
}

/// The queue of an emitter now.
#[derive(Debug, Clone)]
pub struct QueueState {
    /// The name of its subscription.
    pub subscription: String,
    /// How full it is, from 0 to 1: the larger of events and bytes.
    pub fill: f64,
    /// Its best size in events: with it, the most that was queued in the last half minute or minute would have filled
    /// 70 %.
    pub wanted_events: u64,
    /// Accounted bytes of a delivered event, on average; `None` before the first.
    pub event_bytes: Option<f64>,
    /// How likely early drop is for an event of normal priority at this fill; `None` without an early-drop policy that says.
    pub drop_probability: Option<f64>,
}

/// A pool now.
#[derive(Debug, Clone)]
pub struct PoolState {
    /// Which.
    pub id: String,
    /// What it says of itself.
    pub reading: PoolReading,
    /// How busy it is; 1 is as busy as wanted.
    pub utilisation: f64,
    /// Seconds of a worker for an event; `None` before the first.
    pub service_seconds: Option<f64>,
    /// Calls that failed ÷ calls, within a second.
    pub error_ratio: f64,
}

/// The account of all [`PacedPublisher`](crate::PacedPublisher)s together.
#[derive(Debug, Clone, Copy)]
pub struct PaceState {
    /// The share of its own pace that each may use.
    pub share: f64,
    /// Events that they published.
    pub published: u64,
    /// Events that they could not publish.
    pub refused: u64,
    /// Seconds that they waited for their turns.
    pub waited_seconds: f64,
}

/// The ledger now.
#[derive(Debug, Clone, Copy)]
pub struct LedgerState {
    /// Its size; `None` without a bound.
    pub size_bytes: Option<u64>,
    /// What is reserved.
    pub used_bytes: u64,
}

/// The gate now.
#[derive(Debug, Clone, Copy)]
pub struct GateState {
    /// The admitted rate in force; `None` without a limit.
    pub rate_bytes_per_second: Option<f64>,
    /// The lowest priority that is admitted.
    pub floor: relay_event::Priority,
    /// Whether a source is limited to its share while not everything can be admitted.
    pub source_fairness: bool,
    /// What one source may send now at normal priority; `None` while there is enough for all.
    pub source_share_bytes_per_second: Option<f64>,
    /// Whether it is closed.
    pub closed: bool,
    /// When a bound was first reached, in Unix milliseconds.
    pub first_pressure_unix_ms: Option<u64>,
    /// When something was first refused, in Unix milliseconds.
    pub first_refusal_unix_ms: Option<u64>,
}

/// A bus now.
#[derive(Debug, Clone)]
pub struct BusState {
    /// Its name.
    pub name: String,
    /// Events that were published.
    pub published: u64,
    /// Of those, events that nobody wanted.
    pub no_subscriber: u64,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// How long publishers waited for room.
    pub waits: WaitTimes,
}

/// What an emitter has done.
#[derive(Debug, Clone, Copy)]
pub struct EmitterState {
    /// Batches that were tried.
    pub batches: u64,
    /// Attempts that failed.
    pub failures: u64,
}

impl EngineState {
    /// The accounts of all adapters together.
    pub fn ingest(&self) -> IngestStats {
        let mut sum = IngestStats::default();
        for (_, stats) in &self.adapters {
            sum.add(stats);
        }
        sum
    }

    /// Whether the accounts close: everything that came is accepted or refused, everything offered is delivered,
    /// dropped for a reason, queued or in flight. Exact at any moment of quiet.
    pub fn is_closed(&self) -> bool {
        self.adapters.iter().all(|(_, stats)| stats.is_closed())
            && self
                .subscriptions
                .iter()
                .all(|(_, stats)| stats.is_closed())
    }

    /// Whether events of normal priority are let in now.
    pub fn is_accepting(&self) -> bool {
        !self.gate.closed && self.gate.floor <= relay_event::Priority::Normal
    }
}
