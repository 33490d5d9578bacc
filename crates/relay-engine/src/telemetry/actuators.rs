//! The metrics of the slow actuators: queues, pools, publishers that can wait, and the governor.

use super::MAX_SUBSCRIPTIONS;
use super::catalog::Kind::{Counter, Gauge};
use super::catalog::Metric;
use crate::actuate::GovernorHistory;
use crate::pulse::Observation;
use crate::state::EngineState;
use metrics::{Unit, counter, gauge};

pub(super) const METRICS: &[Metric] = &[
    (
        "relay_subscription_fill_ratio",
        Gauge,
        Unit::Count,
        "How full the queue of an emitter is, by events or bytes (0 to 1).",
    ),
    (
        "relay_subscription_wanted_events",
        Gauge,
        Unit::Count,
        "Best size of the queue of an emitter: its recent peak would fill 70 %.",
    ),
    (
        "relay_subscription_event_bytes",
        Gauge,
        Unit::Bytes,
        "Accounted bytes of a delivered event, on average.",
    ),
    (
        "relay_drop_probability_ratio",
        Gauge,
        Unit::Count,
        "How likely early drop is for normal priority at the present fill (0 to 1).",
    ),
    (
        "relay_pool_workers",
        Gauge,
        Unit::Count,
        "Workers that a pool should have.",
    ),
    (
        "relay_pool_busy_workers",
        Gauge,
        Unit::Count,
        "Workers of a pool that have something to do.",
    ),
    (
        "relay_pool_queued_events",
        Gauge,
        Unit::Count,
        "Events that wait for a worker of a pool.",
    ),
    (
        "relay_pool_utilisation_ratio",
        Gauge,
        Unit::Count,
        "How busy a pool is; 1 is as busy as wanted.",
    ),
    (
        "relay_pool_service_seconds",
        Gauge,
        Unit::Seconds,
        "Time of a worker for an event.",
    ),
    (
        "relay_pool_error_ratio",
        Gauge,
        Unit::Count,
        "Failed calls of a pool divided by its calls (0 to 1).",
    ),
    (
        "relay_paced_share_ratio",
        Gauge,
        Unit::Count,
        "Share of their own pace that publishers which can wait may use (0 to 1).",
    ),
    (
        "relay_paced_events_total",
        Counter,
        Unit::Count,
        "Events of publishers that can wait, by result.",
    ),
    (
        "relay_paced_wait_seconds",
        Gauge,
        Unit::Seconds,
        "Time that publishers have waited for their turn, altogether.",
    ),
    (
        "relay_governor_state",
        Gauge,
        Unit::Count,
        "State of the governor: 0 normal, 1 degraded, 2 recovering.",
    ),
    (
        "relay_governor_state_seconds_total",
        Counter,
        Unit::Seconds,
        "Time that the governor was in each state.",
    ),
    (
        "relay_governor_transitions_total",
        Counter,
        Unit::Count,
        "Changes of the governor's state, by state before and after.",
    ),
    (
        "relay_decisions_total",
        Counter,
        Unit::Count,
        "Decisions of the pulse; error events carry the number of theirs.",
    ),
    (
        "relay_defensive_mode",
        Gauge,
        Unit::Count,
        "1 while defensive mode is on.",
    ),
];

pub(super) fn show(state: &EngineState) {
    queues(state);
    pools(state);
    pace(state);
    if let Some(observation) = &state.observation {
        governor(observation);
    }
}

fn queues(state: &EngineState) {
    for queue in state.queues.iter().take(MAX_SUBSCRIPTIONS) {
        let labels = [
            ("bus", "external".to_string()),
            ("subscription", queue.subscription.clone()),
        ];
        gauge!("relay_subscription_fill_ratio", &labels).set(queue.fill);
        gauge!("relay_subscription_wanted_events", &labels).set(queue.wanted_events as f64);
        if let Some(bytes) = queue.event_bytes {
            gauge!("relay_subscription_event_bytes", &labels).set(bytes);
        }
        if let Some(probability) = queue.drop_probability {
            gauge!("relay_drop_probability_ratio", &labels).set(probability);
        }
    }
}

fn pools(state: &EngineState) {
    for pool in &state.pools {
        let labels = [("pool", pool.id.clone())];
        gauge!("relay_pool_workers", &labels).set(pool.reading.workers as f64);
        gauge!("relay_pool_busy_workers", &labels).set(pool.reading.busy as f64);
        gauge!("relay_pool_queued_events", &labels).set(pool.reading.queue as f64);
        gauge!("relay_pool_utilisation_ratio", &labels).set(pool.utilisation);
        gauge!("relay_pool_error_ratio", &labels).set(pool.error_ratio);
        if let Some(seconds) = pool.service_seconds {
            gauge!("relay_pool_service_seconds", &labels).set(seconds);
        }
    }
}

fn pace(state: &EngineState) {
    gauge!("relay_paced_share_ratio").set(state.pace.share);
    counter!("relay_paced_events_total", "result" => "published").absolute(state.pace.published);
    counter!("relay_paced_events_total", "result" => "refused").absolute(state.pace.refused);
    gauge!("relay_paced_wait_seconds").set(state.pace.waited_seconds);
}

fn governor(observation: &Observation) {
    counter!("relay_decisions_total").absolute(observation.number);
    gauge!("relay_defensive_mode").set(f64::from(u8::from(observation.defending)));
    let governor = observation.decision.governor;
    gauge!("relay_governor_state").set(f64::from(governor.state as u8));
    let history = &observation.governor;
    for from in GovernorHistory::states() {
        let seconds = history.time_in(from).as_secs();
        counter!("relay_governor_state_seconds_total", "state" => from.as_str()).absolute(seconds);
        for to in GovernorHistory::states().filter(|to| *to != from) {
            let labels = [("from", from.as_str()), ("to", to.as_str())];
            counter!("relay_governor_transitions_total", &labels)
                .absolute(history.transitions(from, to));
        }
    }
}
