//! Every metric of an engine: name, unit, description, and where its value comes from.
//!
//! Nothing on the data path or on the pulse touches a metric: counts live in the parts themselves and are copied
//! here when somebody looks ([`Telemetry::refresh`], called by whoever serves `/metrics`). Histograms are recorded once a
//! batch or once in many events, through handles that were looked up at start. Labels are ids from the
//! configuration and fixed words, never text from a sender, so their number is bounded.

mod actuators;
mod catalog;

use crate::engine::Observer;
use crate::health::Health;
use crate::ingest::{IngestStats, RefusalReason};
use crate::state::EngineState;
use catalog::{Kind, METRICS, Metric};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use relay_control::{BreakerState, Level};
use relay_event::{Code, DropReason, Severity, Signal, SubscriptionStats, WaitTimes};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most subscriptions that get metrics of their own.
const MAX_SUBSCRIPTIONS: usize = 256;

/// Copies the numbers of an engine into the installed [`metrics`] recorder.
#[derive(Debug, Clone)]
pub struct Telemetry {
    engine: Observer,
    /// What the histograms of waiting have been told, for each bus: they take what is new.
    waits: Arc<Mutex<Vec<WaitTimes>>>,
}

impl Telemetry {
    /// Describes every metric, once, to the installed recorder.
    pub fn new(engine: Observer) -> Self {
        for (name, kind, unit, help) in catalog() {
            match kind {
                Kind::Counter => describe_counter!(*name, *unit, *help),
                Kind::Gauge => describe_gauge!(*name, *unit, *help),
                Kind::Histogram => describe_histogram!(*name, *unit, *help),
            }
        }
        Self {
            engine,
            waits: Arc::default(),
        }
    }

    /// The names of all metrics.
    pub fn names() -> impl Iterator<Item = &'static str> {
        catalog().map(|(name, ..)| *name)
    }

    /// Brings every metric up to date. Not for a hot path: it looks metrics up by name.
    pub fn refresh(&self) {
        let state = self.engine.state();
        ingest(&state);
        for (bus, stats) in state.subscriptions.iter().take(MAX_SUBSCRIPTIONS) {
            subscription(bus, stats);
        }
        outputs(&state);
        self.waits(&state);
        breakers(&state);
        actuators::show(&state);
        knobs(&state);
        senses(&state);
        if let Some(previous) = self.engine.previous_exit() {
            gauge!("relay_previous_exit_info", "reason" => previous.reason()).set(1.0);
        }
        self.errors();
    }

    /// A wait is recorded with the longest time of its bucket, one without end with the time of the bucket before.
    fn waits(&self, state: &EngineState) {
        let mut told = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        told.resize(state.buses.len(), WaitTimes::default());
        for (bus, told) in state.buses.iter().zip(told.iter_mut()) {
            let blocked = histogram!("relay_publish_blocked_seconds", "bus" => bus.name.clone());
            let mut longest = Duration::ZERO;
            for (at_most, count) in bus.waits.since(told).iter() {
                longest = if at_most == Duration::MAX {
                    longest
                } else {
                    at_most
                };
                blocked.record_many(longest, usize::try_from(count).unwrap_or(usize::MAX));
            }
            *told = bus.waits;
        }
    }

    fn errors(&self) {
        let errors = self.engine.errors();
        for code in Code::ALL {
            for (severity, signal) in kinds() {
                let count = errors.count_of(*code, severity, signal);
                if count > 0 {
                    let labels = [
                        ("code", code.as_str()),
                        ("severity", severity.as_str()),
                        ("signal", signal.as_str()),
                    ];
                    counter!("relay_error_events_total", &labels).absolute(count);
                }
            }
        }
        counter!("relay_error_events_lost_total").absolute(errors.dropped());
    }
}

fn catalog() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().chain(actuators::METRICS)
}

/// Every severity with every signal.
fn kinds() -> impl Iterator<Item = (Severity, Signal)> {
    let with = |severity| {
        Signal::ALL
            .into_iter()
            .map(move |signal| (severity, signal))
    };
    Severity::ALL.into_iter().flat_map(with)
}

/// Counts and times one operation on an engine as a whole, such as its start.
pub(crate) fn operation(name: &'static str, is_ok: bool, took: Duration) {
    let result = if is_ok { "ok" } else { "error" };
    counter!("relay_engine_operations_total", "operation" => name, "result" => result).increment(1);
    histogram!("relay_engine_operation_duration_seconds", "operation" => name).record(took);
}

fn ingest(state: &EngineState) {
    let blocked = |stats: &IngestStats| stats.refused(RefusalReason::QueueFull);
    let blocked = state.adapters.iter().map(|(_, stats)| blocked(stats)).sum();
    counter!("relay_event_send_blocked_total", "bus" => "external").absolute(blocked);
    for (id, stats) in &state.adapters {
        counter!("relay_events_received_total", "adapter" => id.clone()).absolute(stats.received);
        counter!("relay_events_accepted_total", "adapter" => id.clone()).absolute(stats.accepted);
        for (reason, count) in stats.refusals() {
            let labels = [
                ("adapter", id.clone()),
                ("reason", reason.as_str().to_string()),
            ];
            counter!("relay_events_refused_total", &labels).absolute(count);
        }
    }
}

fn subscription(bus: &str, stats: &SubscriptionStats) {
    let labels = [
        ("bus", bus.to_string()),
        ("subscription", stats.name.clone()),
    ];
    counter!("relay_events_offered_total", &labels).absolute(stats.offered);
    counter!("relay_events_delivered_total", &labels).absolute(stats.delivered);
    counter!("relay_delivered_bytes_total", &labels).absolute(stats.delivered_payload_bytes);
    gauge!("relay_subscription_buffer_usage", &labels).set(stats.queued_events as f64);
    gauge!("relay_subscription_buffer_size", &labels).set(stats.limit_events as f64);
    gauge!("relay_queue_bytes", &labels).set(stats.queued_bytes as f64);
    gauge!("relay_events_in_flight", &labels).set(stats.in_flight as f64);
    for reason in DropReason::ALL {
        let [bus, name] = labels.clone();
        let labels = [bus, name, ("reason", reason.as_str().to_string())];
        counter!("relay_events_dropped_total", &labels).absolute(stats.dropped(reason));
    }
}

fn breakers(state: &EngineState) {
    for (component, breaker) in &state.breakers {
        let rank = match breaker.state {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        gauge!("relay_breaker_state", "component" => component.clone()).set(rank);
    }
}

fn outputs(state: &EngineState) {
    for bus in &state.buses {
        counter!("relay_events_published_total", "bus" => bus.name.clone()).absolute(bus.published);
        gauge!("relay_subscribers", "bus" => bus.name.clone()).set(bus.subscriptions as f64);
        let labels = [
            ("bus", bus.name.clone()),
            ("subscription", String::new()),
            ("reason", "no_subscriber".into()),
        ];
        counter!("relay_events_dropped_total", &labels).absolute(bus.no_subscriber);
    }
    for (id, emitter) in &state.emitters {
        counter!("relay_emit_batches_total", "emitter" => id.clone()).absolute(emitter.batches);
        counter!("relay_emit_failures_total", "emitter" => id.clone()).absolute(emitter.failures);
    }
    for (component, health) in &state.health {
        let value = match health {
            Health::Healthy => 1.0,
            Health::Degraded(_) => 0.5,
            Health::Failed(_) => 0.0,
        };
        gauge!("relay_component_healthy", "component" => component.clone()).set(value);
    }
}

fn knobs(state: &EngineState) {
    if let Some(size) = state.ledger.size_bytes {
        gauge!("relay_ledger_size_bytes").set(size as f64);
    }
    gauge!("relay_ledger_used_bytes").set(state.ledger.used_bytes as f64);
    gauge!("relay_gate_rate_bytes_per_second")
        .set(state.gate.rate_bytes_per_second.unwrap_or(f64::INFINITY));
    gauge!("relay_gate_source_share_bytes_per_second").set(
        state
            .gate
            .source_share_bytes_per_second
            .unwrap_or(f64::INFINITY),
    );
    gauge!("relay_gate_floor").set(f64::from(state.gate.floor as u8));
}

fn senses(state: &EngineState) {
    let Some(observation) = &state.observation else {
        return;
    };
    let (sample, decision) = (&observation.sample, &observation.decision);
    let set = |name: &'static str, value: Option<f64>| {
        if let Some(value) = value {
            gauge!(name).set(value);
        }
    };
    set(
        "relay_memory_usage_bytes",
        sample.unreclaimable_bytes.map(|bytes| bytes as f64),
    );
    set(
        "relay_memory_current_bytes",
        sample.current_bytes.map(|bytes| bytes as f64),
    );
    set(
        "relay_memory_working_set_bytes",
        sample.working_set_bytes.map(|bytes| bytes as f64),
    );
    set(
        "relay_memory_limit_bytes",
        sample.limit_bytes.bytes().map(|bytes| bytes as f64),
    );
    set("relay_memory_pressure_ratio", decision.pressure);
    set(
        "relay_memory_headroom_bytes",
        sample.headroom_bytes.map(|bytes| bytes as f64),
    );
    set(
        "relay_memory_live_bytes",
        relay_sense::alloc::heap().map(|heap| heap.live_bytes() as f64),
    );
    // No time to the limit is a long time: a gauge that went away would stand still at its last value.
    let time_to_limit = observation.outlook.time_to_limit();
    set(
        "relay_memory_time_to_limit_seconds",
        Some(time_to_limit.map_or(f64::INFINITY, |time| time.as_secs_f64())),
    );
    let stall = observation.stall.map(|stall| stall.psi);
    set(
        "relay_memory_stall_some_ratio",
        stall.and_then(|psi| psi.some).map(|some| some.avg10),
    );
    set(
        "relay_memory_stall_full_ratio",
        stall.and_then(|psi| psi.full).map(|full| full.avg10),
    );
    set(
        "relay_pulse_wait_seconds",
        Some(observation.wait.as_secs_f64()),
    );
    set(
        "relay_drain_bytes_per_second",
        decision.drain_bytes_per_second,
    );
    set("relay_ledger_cost_factor", Some(decision.cost_factor));
    set("relay_governor_scale", Some(decision.governor.scale));
    set("relay_level", Some(f64::from(level_rank(decision.level))));
    set("relay_shedding", Some(f64::from(u8::from(decision.shed))));
    set(
        "relay_sensor_stale",
        Some(f64::from(u8::from(decision.sensor_stale))),
    );
}

fn level_rank(level: Level) -> u8 {
    match level {
        Level::Normal => 0,
        Level::Warning => 1,
        Level::Error => 2,
        Level::Critical => 3,
        Level::Emergency => 4,
    }
}
