//! Turning what the pulse decided into error events: each transition once, movements only when they matter.

use crate::actuate::Orders;
use crate::pulse::Tick;
use relay_control::{Decision, GovernorState, Level};
use relay_event::{Code, Component, ErrorBus, ErrorEvent, Severity, Signal};
use relay_sense::Sample;
use std::time::{Duration, Instant};

/// A rate or size is reported again when it has moved by a tenth …
const WORTH_TELLING: f64 = 0.1;

/// … and, as the rate follows the drain all the time, at most so often.
const RATE_PERIOD: Duration = Duration::from_secs(1);

/// Above this share of the limit memory no longer comes back by itself in time (DEC2).
const UNRECOVERABLE: f64 = 0.95;

/// Reports without allocating: components are made once, and an event is a fixed record.
pub(crate) struct Reporter {
    errors: ErrorBus,
    memory: Component,
    governor: Component,
    gate: Component,
    /// Whether the knobs are turned, too.
    enforces: bool,
    told: Option<Told>,
    rate_told_at: Option<Instant>,
}

/// What was told last.
#[derive(Clone, Copy)]
struct Told {
    level: Level,
    stale: bool,
    state: GovernorState,
    scale: f64,
    rate: Option<f64>,
    /// Why the rate is what it is.
    reason: &'static str,
    ledger_bytes: u64,
    floor: u8,
    shed: bool,
    limit_bytes: Option<u64>,
}

impl Reporter {
    pub(crate) fn new(errors: ErrorBus, enforces: bool) -> Self {
        Self {
            errors,
            memory: Component::monitor("memory"),
            governor: Component::monitor("governor"),
            gate: Component::monitor("gate"),
            enforces,
            told: None,
            rate_told_at: None,
        }
    }

    pub(crate) fn report(
        &mut self,
        sample: &Sample,
        decision: &Decision,
        orders: &Orders,
        stall: Level,
        tick: &Tick,
    ) {
        let now = Told {
            level: decision.level,
            stale: decision.sensor_stale,
            state: decision.governor.state,
            scale: decision.governor.scale,
            rate: orders.rate_bytes_per_second,
            reason: decision.reason.as_str(),
            ledger_bytes: decision.ledger_bytes,
            floor: decision.floor,
            shed: orders.shed,
            limit_bytes: sample.limit_bytes.bytes(),
        };
        let Some(told) = self.told else {
            self.told = Some(now);
            self.no_limit(sample, tick);
            return;
        };
        self.sensors(told, now, (sample, decision), tick);
        self.governor(told, now, decision, tick);
        let cause = floor_cause(decision, stall);
        self.told = Some(self.knobs(told, now, cause, tick));
    }

    /// Once, at the start.
    fn no_limit(&self, sample: &Sample, tick: &Tick) {
        if sample.limit_bytes.bytes().is_none() {
            let event = ErrorEvent::new(Code::NoLimit, Severity::Info, self.memory.clone());
            self.errors.publish(event.with("decision", tick.number));
        }
    }

    fn sensors(
        &self,
        told: Told,
        now: Told,
        (sample, decision): (&Sample, &Decision),
        tick: &Tick,
    ) {
        if now.level != told.level {
            let event = self.level(told.level, now.level, sample, decision);
            self.errors.publish(event.with("decision", tick.number));
        }
        if now.stale && !told.stale {
            let event = ErrorEvent::new(Code::SensorStale, Severity::Error, self.memory.clone());
            self.errors
                .publish(event.signal(Signal::Throttle).with("decision", tick.number));
        }
        if now.limit_bytes != told.limit_bytes {
            let event = ErrorEvent::new(Code::LimitChanged, Severity::Warning, self.memory.clone())
                .with("from_bytes", told.limit_bytes.unwrap_or(0))
                .with("to_bytes", now.limit_bytes.unwrap_or(0));
            self.errors.publish(event.with("decision", tick.number));
        }
    }

    fn level(&self, from: Level, to: Level, sample: &Sample, decision: &Decision) -> ErrorEvent {
        let (code, severity, signal) = match to {
            Level::Normal => (Code::MemRelief, Severity::Info, Signal::Recovered),
            Level::Warning => (Code::MemPressure, Severity::Warning, Signal::Throttle),
            Level::Error => (Code::MemPressure, Severity::Error, Signal::Shed),
            Level::Critical | Level::Emergency => {
                (Code::MemCritical, Severity::Critical, Signal::Shed)
            }
        };
        ErrorEvent::new(code, severity, self.memory.clone())
            .signal(signal)
            .recoverable(
                decision
                    .pressure
                    .is_none_or(|pressure| pressure < UNRECOVERABLE),
            )
            .with("from", from.as_str())
            .with("to", to.as_str())
            .with("pressure", decision.pressure.unwrap_or(0.0))
            .with("used_bytes", sample.unreclaimable_bytes.unwrap_or(0))
            .with("limit_bytes", sample.limit_bytes.bytes().unwrap_or(0))
    }

    fn governor(&self, told: Told, now: Told, decision: &Decision, tick: &Tick) {
        let info = |code| knob(code, &self.governor, self.enforces, tick);
        let state = match now.state {
            GovernorState::Degraded => Some((Code::DegradedMode, Signal::Degraded)),
            GovernorState::Normal => Some((Code::RecoveredMode, Signal::Recovered)),
            // Its scale does not move yet; when it does, the cause says so.
            GovernorState::Recovering => None,
        };
        if let Some((code, signal)) = state.filter(|_| now.state != told.state) {
            self.errors.publish(
                info(code)
                    .signal(signal)
                    .with("from", told.state.as_str())
                    .with("to", now.state.as_str())
                    .with("scale", now.scale),
            );
        }
        let begins = now.state == GovernorState::Recovering && told.state != now.state;
        if now.scale != told.scale || begins {
            self.errors.publish(
                info(Code::GovernorScale)
                    .with("from", told.scale)
                    .with("to", now.scale)
                    .with("state", now.state.as_str())
                    .with("cause", scale_cause(told, now))
                    .with("pressure", decision.pressure.unwrap_or(0.0)),
            );
        }
    }

    /// Reports the knobs that moved; what is not worth telling yet stays as it was told.
    fn knobs(&mut self, told: Told, mut now: Told, cause: &'static str, tick: &Tick) -> Told {
        let at = tick.now;
        let (gate, enforces) = (self.gate.clone(), self.enforces);
        let info = |code| knob(code, &gate, enforces, tick);
        let quiet = self
            .rate_told_at
            .is_some_and(|last| at.saturating_duration_since(last) < RATE_PERIOD);
        if !quiet && moved(told.rate, now.rate) {
            let event = info(Code::GateRate)
                .with("from_bytes_per_second", told.rate.unwrap_or(f64::INFINITY))
                .with("to_bytes_per_second", now.rate.unwrap_or(f64::INFINITY))
                .with("reason", now.reason);
            self.errors.publish(event);
            self.rate_told_at = Some(at);
        } else {
            now.rate = told.rate;
        }
        if moved(
            Some(told.ledger_bytes as f64),
            Some(now.ledger_bytes as f64),
        ) {
            let event = info(Code::LedgerSize)
                .with("from_bytes", told.ledger_bytes)
                .with("to_bytes", now.ledger_bytes);
            self.errors.publish(event);
        } else {
            now.ledger_bytes = told.ledger_bytes;
        }
        if now.floor != told.floor {
            let (from, to) = (u64::from(told.floor), u64::from(now.floor));
            self.errors.publish(
                info(Code::GateFloor)
                    .with("from", from)
                    .with("to", to)
                    .with("cause", cause),
            );
        }
        if now.shed != told.shed {
            let (word, signal) = if now.shed {
                ("shed", Signal::Shed)
            } else {
                ("restored", Signal::Recovered)
            };
            self.errors.publish(
                info(Code::OverflowPolicy)
                    .signal(signal)
                    .with("sheddable", word),
            );
        }
        now
    }
}

/// An event about a knob; who only observes says that it stays where it is.
fn knob(code: Code, component: &Component, enforces: bool, tick: &Tick) -> ErrorEvent {
    let event = ErrorEvent::new(code, Severity::Info, component.clone());
    let event = event.with("decision", tick.number);
    if enforces {
        event
    } else {
        event.with("enforced", "no")
    }
}

/// Why the governor's scale is another one.
fn scale_cause(told: Told, now: Told) -> &'static str {
    if now.scale > told.scale {
        "recovery"
    } else if now.state == GovernorState::Recovering {
        "relief"
    } else if told.state == GovernorState::Degraded {
        // Cut again within one episode.
        "critical"
    } else {
        "memory"
    }
}

/// Why the floor of the gate is where it is.
fn floor_cause(decision: &Decision, stall: Level) -> &'static str {
    if decision.sensor_stale {
        "sensor"
    } else if stall >= Level::Error && decision.level < Level::Error {
        "stall"
    } else {
        "level"
    }
}

fn moved(from: Option<f64>, to: Option<f64>) -> bool {
    match (from, to) {
        (None, None) => false,
        (Some(from), Some(to)) => (to - from).abs() >= WORTH_TELLING * from.abs().max(1.0),
        _ => true,
    }
}
