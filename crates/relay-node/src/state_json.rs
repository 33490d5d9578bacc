//! The state of an engine as JSON: what `/state` answers and what the final account logs. Field names are stable.

use relay_engine::{EngineState, IngestStats};
use relay_event::{DropReason, SubscriptionStats};
use serde_json::{Map, Value, json};

/// Everything.
pub fn state(state: &EngineState, limit_source: Option<&str>) -> Value {
    let observation = state.observation.as_ref();
    let decision = observation.map(|observation| &observation.decision);
    let sample = observation.map(|observation| &observation.sample);
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "mode": state.mode.as_str(),
        "level": decision.map(|decision| decision.level.as_str()),
        "pressure": decision.and_then(|decision| decision.pressure),
        "memory": {
            "limit_bytes": sample.and_then(|sample| sample.limit_bytes.bytes()),
            "limit_source": limit_source,
            "current_bytes": sample.and_then(|sample| sample.current_bytes),
            "working_set_bytes": sample.and_then(|sample| sample.working_set_bytes),
            "unreclaimable_bytes": sample.and_then(|sample| sample.unreclaimable_bytes),
            "headroom_bytes": sample.and_then(|sample| sample.headroom_bytes),
            "seconds_to_limit": observation
                .and_then(|observation| observation.outlook.time_to_limit())
                .map(|time| time.as_secs_f64()),
        },
        "ledger": {
            "size_bytes": state.ledger.size_bytes,
            "used_bytes": state.ledger.used_bytes,
            "cost_factor": decision.map(|decision| decision.cost_factor),
        },
        "gate": {
            "rate_bytes_per_second": state.gate.rate_bytes_per_second,
            "scale": decision.map(|decision| decision.scale),
            "floor": state.gate.floor.as_str(),
            "source_fairness": state.gate.source_fairness,
            "source_share_bytes_per_second": state.gate.source_share_bytes_per_second,
            "closed": state.gate.closed,
            "drain_bytes_per_second": decision.and_then(|decision| decision.drain_bytes_per_second),
            "reason": decision.map(|decision| decision.reason.to_string()),
            "shedding": decision.map(|decision| decision.shed),
        },
        "governor": decision.map(|decision| json!({
            "state": decision.governor.state.as_str(),
            "scale": decision.governor.scale,
        })),
        "decision": observation.map(|observation| observation.number),
        "defending": observation.map(|observation| observation.defending),
        "paced_share": state.pace.share,
        "account": account(state),
        "adapters": state.adapters.iter().map(|(id, stats)| (id.clone(), ingest(stats))).collect::<Map<_, _>>(),
        "emitters": state.emitters.iter().map(|(id, emitter)| {
            (id.clone(), json!({ "batches": emitter.batches, "failures": emitter.failures }))
        }).collect::<Map<_, _>>(),
        "subscriptions": subscriptions(state),
        "buses": state.buses.iter().map(|bus| (bus.name.clone(), json!({
            "published": bus.published,
            "no_subscriber": bus.no_subscriber,
            "subscriptions": bus.subscriptions,
        }))).collect::<Map<_, _>>(),
        "pools": state.pools.iter().map(|pool| (pool.id.clone(), json!({
            "workers": pool.reading.workers,
            "min": pool.reading.min,
            "max": pool.reading.max,
            "busy": pool.reading.busy,
            "queue": pool.reading.queue,
            "done": pool.reading.done,
            "errors": pool.reading.errors,
        }))).collect::<Map<_, _>>(),
        "breakers": state.breakers.iter().map(|(component, breaker)| (component.clone(), json!({
            "state": breaker.state.as_str(),
            "open_seconds": breaker.open_for.as_secs_f64(),
        }))).collect::<Map<_, _>>(),
        "health": state.health.iter().map(|(component, health)| {
            (component.clone(), json!({ "state": health.as_str(), "reason": health.reason() }))
        }).collect::<Map<_, _>>(),
    })
}

/// What came in and what became of it, over all adapters.
pub fn account(state: &EngineState) -> Value {
    let mut account = ingest(&state.ingest());
    account["first_pressure_unix_ms"] = json!(state.gate.first_pressure_unix_ms);
    account["first_refusal_unix_ms"] = json!(state.gate.first_refusal_unix_ms);
    account["closed"] = json!(state.is_closed());
    account
}

/// The account of every subscription.
pub fn subscriptions(state: &EngineState) -> Value {
    state
        .subscriptions
        .iter()
        .map(|(bus, stats)| subscription(bus, stats))
        .collect()
}

fn ingest(stats: &IngestStats) -> Value {
    let refused: Map<String, Value> = stats
        .refusals()
        .map(|(reason, count)| (reason.as_str().to_string(), json!(count)))
        .collect();
    json!({ "received": stats.received, "accepted": stats.accepted, "refused": refused })
}

fn subscription(bus: &str, stats: &SubscriptionStats) -> Value {
    let dropped: Map<String, Value> = DropReason::ALL
        .into_iter()
        .filter(|reason| stats.dropped(*reason) > 0)
        .map(|reason| (reason.as_str().to_string(), json!(stats.dropped(reason))))
        .collect();
    json!({
        "name": stats.name,
        "bus": bus,
        "kind": if stats.reliable { "reliable" } else { "sheddable" },
        "offered": stats.offered,
        "delivered": stats.delivered,
        "delivered_payload_bytes": stats.delivered_payload_bytes,
        "dropped": dropped,
        "queued_events": stats.queued_events,
        "queued_bytes": stats.queued_bytes,
        "in_flight": stats.in_flight,
        "limit_events": stats.limit_events,
        "limit_bytes": (stats.limit_bytes != u64::MAX).then_some(stats.limit_bytes),
    })
}
