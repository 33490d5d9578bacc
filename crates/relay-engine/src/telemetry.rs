//! Every metric of an engine: name, unit, description, and where its value comes from.
//!
//! Nothing on the data path or on the pulse touches a metric: counts live in the parts themselves and are copied
//! here when somebody looks ([`Telemetry::refresh`], called by whoever serves `/metrics`). The one histogram is
//! recorded once a batch, through a handle that was looked up at start. Labels are ids from the
//! configuration and fixed words, never text from a sender, so their number is bounded.

use crate::engine::Observer;
use crate::health::Health;
use crate::state::EngineState;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use relay_control::Level;
use relay_event::{Code, DropReason, SubscriptionStats};

/// The most subscriptions that get metrics of their own.
const MAX_SUBSCRIPTIONS: usize = 256;

enum Kind {
    Counter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram};

const METRICS: &[(&str, Kind, Unit, &str)] = &[
    (
        "relay_events_received_total",
        Counter,
        Unit::Count,
        "Events that came to an adapter.",
    ),
    (
        "relay_events_accepted_total",
        Counter,
        Unit::Count,
        "Events that an adapter published.",
    ),
    (
        "relay_events_refused_total",
        Counter,
        Unit::Count,
        "Events that an adapter refused, by reason.",
    ),
    (
        "relay_events_published_total",
        Counter,
        Unit::Count,
        "Events published on a bus.",
    ),
    (
        "relay_events_offered_total",
        Counter,
        Unit::Count,
        "Events offered to a subscription.",
    ),
    (
        "relay_events_delivered_total",
        Counter,
        Unit::Count,
        "Events that a subscription has delivered.",
    ),
    (
        "relay_delivered_bytes_total",
        Counter,
        Unit::Bytes,
        "Payload bytes that a subscription has delivered.",
    ),
    (
        "relay_events_dropped_total",
        Counter,
        Unit::Count,
        "Events that a subscription dropped, by reason.",
    ),
    (
        "relay_subscribers",
        Gauge,
        Unit::Count,
        "Subscriptions of a bus.",
    ),
    (
        "relay_subscription_buffer_usage",
        Gauge,
        Unit::Count,
        "Events queued for a subscription.",
    ),
    (
        "relay_subscription_buffer_size",
        Gauge,
        Unit::Count,
        "Events that may be queued for a subscription.",
    ),
    (
        "relay_queue_bytes",
        Gauge,
        Unit::Bytes,
        "Accounted bytes queued for a subscription.",
    ),
    (
        "relay_events_in_flight",
        Gauge,
        Unit::Count,
        "Events taken by a receiver and not settled.",
    ),
    (
        "relay_emit_batches_total",
        Counter,
        Unit::Count,
        "Batches that an emitter has tried to deliver.",
    ),
    (
        "relay_emit_failures_total",
        Counter,
        Unit::Count,
        "Attempts of an emitter that failed.",
    ),
    (
        "relay_emit_duration_seconds",
        Histogram,
        Unit::Seconds,
        "Time that one attempt of an emitter took.",
    ),
    (
        "relay_ledger_size_bytes",
        Gauge,
        Unit::Bytes,
        "Size of the byte ledger; absent without a bound.",
    ),
    (
        "relay_ledger_used_bytes",
        Gauge,
        Unit::Bytes,
        "Bytes reserved in the ledger.",
    ),
    (
        "relay_ledger_cost_factor",
        Gauge,
        Unit::Count,
        "Resident bytes for each accounted byte, learnt.",
    ),
    (
        "relay_gate_rate_bytes_per_second",
        Gauge,
        Unit::Count,
        "Admitted rate; infinite without a limit.",
    ),
    (
        "relay_gate_floor",
        Gauge,
        Unit::Count,
        "Lowest admitted priority: 0 low to 3 control.",
    ),
    (
        "relay_drain_bytes_per_second",
        Gauge,
        Unit::Count,
        "Accounted bytes that leave, while there is a backlog.",
    ),
    (
        "relay_governor_scale",
        Gauge,
        Unit::Count,
        "Scale of the AIMD governor.",
    ),
    (
        "relay_level",
        Gauge,
        Unit::Count,
        "Memory level: 0 normal to 4 emergency.",
    ),
    (
        "relay_shedding",
        Gauge,
        Unit::Count,
        "1 while sheddable subscriptions are shed.",
    ),
    (
        "relay_sensor_stale",
        Gauge,
        Unit::Count,
        "1 while memory cannot be read.",
    ),
    (
        "relay_memory_usage_bytes",
        Gauge,
        Unit::Bytes,
        "Memory in use that the kernel cannot reclaim.",
    ),
    (
        "relay_memory_current_bytes",
        Gauge,
        Unit::Bytes,
        "Memory charged, page cache included.",
    ),
    (
        "relay_memory_working_set_bytes",
        Gauge,
        Unit::Bytes,
        "Memory charged less inactive page cache.",
    ),
    (
        "relay_memory_limit_bytes",
        Gauge,
        Unit::Bytes,
        "The smallest memory limit in force.",
    ),
    (
        "relay_memory_pressure_ratio",
        Gauge,
        Unit::Count,
        "Memory in use divided by its limit.",
    ),
    (
        "relay_component_healthy",
        Gauge,
        Unit::Count,
        "1 healthy, 0.5 degraded, 0 failed.",
    ),
    (
        "relay_error_events_total",
        Counter,
        Unit::Count,
        "Error events by code.",
    ),
    (
        "relay_error_events_lost_total",
        Counter,
        Unit::Count,
        "Error events that some subscriber lost.",
    ),
];

/// Copies the numbers of an engine into the installed [`metrics`] recorder.
#[derive(Debug, Clone)]
pub struct Telemetry(Observer);

impl Telemetry {
    /// Describes every metric, once, to the installed recorder.
    pub fn new(engine: Observer) -> Self {
        for (name, kind, unit, help) in METRICS {
            match kind {
                Counter => describe_counter!(*name, *unit, *help),
                Gauge => describe_gauge!(*name, *unit, *help),
                Histogram => describe_histogram!(*name, *unit, *help),
            }
        }
        Self(engine)
    }

    /// The names of all metrics.
    pub fn names() -> impl Iterator<Item = &'static str> {
        METRICS.iter().map(|(name, ..)| *name)
    }

    /// Brings every metric up to date. Not for a hot path: it looks metrics up by name.
    pub fn refresh(&self) {
        let state = self.0.state();
        ingest(&state);
        for (bus, stats) in state.subscriptions.iter().take(MAX_SUBSCRIPTIONS) {
            subscription(bus, stats);
        }
        outputs(&state);
        knobs(&state);
        senses(&state);
        self.errors();
    }

    fn errors(&self) {
        let errors = self.0.errors();
        for code in Code::ALL {
            counter!("relay_error_events_total", "code" => code.as_str())
                .absolute(errors.count(*code));
        }
        counter!("relay_error_events_lost_total").absolute(errors.dropped());
    }
}

fn ingest(state: &EngineState) {
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
