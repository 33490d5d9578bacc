//! The metrics of an engine: name, kind, unit and what each says.

use metrics::Unit;

pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram};

/// Name, kind, unit, and what it says.
pub(super) type Metric = (&'static str, Kind, Unit, &'static str);

pub(super) const METRICS: &[Metric] = &[
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
        "relay_publish_blocked_seconds",
        Histogram,
        Unit::Seconds,
        "How long publishers waited for room in a reliable subscription.",
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
        "relay_event_publish_duration_seconds",
        Histogram,
        Unit::Seconds,
        "Time that publishing took, of about one event in a thousand.",
    ),
    (
        "relay_event_send_blocked_total",
        Counter,
        Unit::Count,
        "Events refused because a reliable subscription had no room.",
    ),
    (
        "relay_engine_operations_total",
        Counter,
        Unit::Count,
        "Starts and shutdowns of the engine, by result.",
    ),
    (
        "relay_engine_operation_duration_seconds",
        Histogram,
        Unit::Seconds,
        "Time that a start or a shutdown of the engine took.",
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
        "relay_gate_source_share_bytes_per_second",
        Gauge,
        Unit::Count,
        "Bytes a second that one source may send at normal priority; infinite while there is enough for all.",
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
        "relay_memory_headroom_bytes",
        Gauge,
        Unit::Bytes,
        "What the tightest limit leaves: it less what cannot be reclaimed.",
    ),
    (
        "relay_memory_live_bytes",
        Gauge,
        Unit::Bytes,
        "What the allocator has handed out; absent where it does not count.",
    ),
    (
        "relay_memory_time_to_limit_seconds",
        Gauge,
        Unit::Seconds,
        "Time until a limit is met if memory goes on rising as it does; infinite while it does not.",
    ),
    (
        "relay_memory_stall_some_ratio",
        Gauge,
        Unit::Count,
        "Share of the last 10 s in which some task waited for memory (0 to 1); absent where the kernel does not say.",
    ),
    (
        "relay_memory_stall_full_ratio",
        Gauge,
        Unit::Count,
        "The same for all tasks at once.",
    ),
    (
        "relay_pulse_wait_seconds",
        Gauge,
        Unit::Seconds,
        "How long the pulse waits until its next look, unless it is woken.",
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
        "relay_breaker_state",
        Gauge,
        Unit::Count,
        "Circuit breaker of a component: 0 closed, 1 half open, 2 open.",
    ),
    (
        "relay_previous_exit_info",
        Gauge,
        Unit::Count,
        "Always 1; why the run before this one ended is the label.",
    ),
    (
        "relay_error_events_total",
        Counter,
        Unit::Count,
        "Error events by code, severity and signal.",
    ),
    (
        "relay_error_events_lost_total",
        Counter,
        Unit::Count,
        "Error events that some subscriber lost.",
    ),
];
