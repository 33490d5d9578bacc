//! Turning what the pulse decided into error events: each transition once, movements only when they matter.

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
    ledger_bytes: u64,
    floor: u8,
    shed: bool,
    limit_bytes: Option<u64>,
}

impl Reporter {
    pub(crate) fn new(errors: ErrorBus) -> Self {
        Self {
            errors,
            memory: Component::monitor("memory"),
            governor: Component::monitor("governor"),
            gate: Component::monitor("gate"),
            told: None,
            rate_told_at: None,
        }
    }

    pub(crate) fn report(&mut self, sample: &Sample, decision: &Decision) {
        let now = Told {
            level: decision.level,
            stale: decision.sensor_stale,
            state: decision.governor.state,
            scale: decision.governor.scale,
            rate: decision.rate_bytes_per_second,
            ledger_bytes: decision.ledger_bytes,
            floor: decision.floor,
            shed: decision.shed,
            limit_bytes: sample.limit_bytes.bytes(),
        };
        let Some(told) = self.told else {
            self.told = Some(now);
            return;
        };
        self.sensors(told, now, sample, decision);
        self.governor(told, now);
        self.told = Some(self.knobs(told, now, sample.at));
    }

    fn sensors(&self, told: Told, now: Told, sample: &Sample, decision: &Decision) {
        if now.level != told.level {
            self.errors
                .publish(self.level(told.level, now.level, sample, decision));
        }
        if now.stale && !told.stale {
            let event = ErrorEvent::new(Code::SensorStale, Severity::Error, self.memory.clone());
            self.errors.publish(event.signal(Signal::Throttle));
        }
        if now.limit_bytes != told.limit_bytes {
            let event = ErrorEvent::new(Code::LimitChanged, Severity::Warning, self.memory.clone())
                .with("from_bytes", told.limit_bytes.unwrap_or(0))
                .with("to_bytes", now.limit_bytes.unwrap_or(0));
            self.errors.publish(event);
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

    fn governor(&self, told: Told, now: Told) {
        if now.state != told.state {
            let (code, signal) = match now.state {
                GovernorState::Degraded => (Code::DegradedMode, Signal::Degraded),
                GovernorState::Recovering => (Code::GovernorScale, Signal::None),
                GovernorState::Normal => (Code::RecoveredMode, Signal::Recovered),
            };
            let event = ErrorEvent::new(code, Severity::Info, self.governor.clone()).signal(signal);
            self.errors.publish(
                event
                    .with("from", told.state.as_str())
                    .with("to", now.state.as_str()),
            );
        }
        if now.scale != told.scale {
            let event = ErrorEvent::new(Code::GovernorScale, Severity::Info, self.governor.clone());
            self.errors
                .publish(event.with("from", told.scale).with("to", now.scale));
        }
    }

    /// Reports the knobs that moved; what is not worth telling yet stays as it was told.
    fn knobs(&mut self, told: Told, mut now: Told, at: Instant) -> Told {
        let info = |code| ErrorEvent::new(code, Severity::Info, self.gate.clone());
        let quiet = self
            .rate_told_at
            .is_some_and(|last| at.saturating_duration_since(last) < RATE_PERIOD);
        if !quiet && moved(told.rate, now.rate) {
            let event = info(Code::GateRate)
                .with("from_bytes_per_second", told.rate.unwrap_or(f64::INFINITY))
                .with("to_bytes_per_second", now.rate.unwrap_or(f64::INFINITY));
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
            self.errors
                .publish(info(Code::GateFloor).with("from", from).with("to", to));
        }
        if now.shed != told.shed {
            let word = if now.shed { "shed" } else { "restored" };
            self.errors.publish(
                info(Code::OverflowPolicy)
                    .signal(Signal::Shed)
                    .with("sheddable", word),
            );
        }
        now
    }
}

fn moved(from: Option<f64>, to: Option<f64>) -> bool {
    match (from, to) {
        (None, None) => false,
        (Some(from), Some(to)) => (to - from).abs() >= WORTH_TELLING * from.abs().max(1.0),
        _ => true,
    }
}
