//! What happened: each error event becomes a record, on the thread that publishes it.
//!
//! A handler on a thread of its own would lose what the bus folds or drops, and everything of the last milliseconds
//! before a kill. So this is a tap on the bus. It allocates nothing, waits for nobody and publishes nothing: it runs on
//! the pulse and inside panics.

use super::line::Line;
use relay_control::{GovernorState, Level};
use relay_event::{Code, Component, ErrorEvent, Severity, Value};
use relay_forensics::{EVENT_VALUES, Event, EventKind, EventSeverity, Name, Recorder};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};
use std::time::UNIX_EPOCH;

/// Records of one code within a second; as many as the error bus lets through before it folds. A sender that is
/// refused a million times must not push out what came before.
const RECORDS_PER_SECOND: u64 = 8;

/// Longest text that is put together: more than an event keeps, because secrets are taken out of it.
const TEXT_BYTES: usize = 512;

#[derive(Debug)]
pub(crate) struct Journal {
    recorder: Recorder,
    /// Written at start only, one entry a component.
    names: RwLock<Vec<(Component, Name)>>,
    total: AtomicU64,
    quotas: Box<[Quota]>,
}

/// How many events of a code came within the present second: the second, then a count, in 32 bits each.
#[derive(Debug, Default)]
struct Quota(AtomicU64);

// === impl Journal ===

impl Journal {
    pub(crate) fn new(recorder: Recorder) -> Self {
        let journal = Self {
            recorder,
            names: RwLock::default(),
            total: AtomicU64::new(0),
            quotas: Code::ALL.iter().map(|_| Quota::default()).collect(),
        };
        journal.know(&Component::Engine);
        for monitor in ["memory", "governor", "gate", "psi"] {
            journal.know(&Component::monitor(monitor));
        }
        journal
    }

    /// Gives a component a number, so that its events can name it. For the start: it allocates.
    pub(crate) fn know(&self, component: &Component) {
        let name = self.recorder.name(&component.to_string());
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        names.push((component.clone(), name));
    }

    /// The number of a name, for snapshots. For the start: it allocates.
    pub(crate) fn name(&self, name: &str) -> Name {
        self.recorder.name(name)
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Events that were seen.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// Records an event of the error bus.
    pub(crate) fn see(&self, event: &ErrorEvent) {
        self.total.fetch_add(1, Relaxed);
        // The recorder has records of its own for the beginning of a drain.
        if event.code == Code::Shutdown {
            return;
        }
        let second = event.time.duration_since(UNIX_EPOCH);
        let second = second.map_or(0, |since| since.as_secs());
        if let Some(quota) = self.quotas.get(event.code as usize) {
            let (is_within, held_back) = quota.take(second);
            if held_back > 0 {
                let suppressed = Event::new(EventKind::Suppressed);
                let suppressed = suppressed.values(&[held_back]).label(event.code.as_str());
                self.recorder.record(&suppressed);
            }
            if !is_within && !is_transition(event.code) {
                return;
            }
        }
        let mut text = Line::<TEXT_BYTES>::new();
        let name = self.find(&event.component);
        // What does not fit is left out.
        let _ = describe(&mut text, event, name.is_none());
        let record = Event::new(kind(event.code))
            .severity(severity(event.severity))
            .component(name.unwrap_or(Name::NONE))
            .values(&values(event))
            .text(text.as_str());
        self.recorder.record(&record);
    }

    /// Skipped while a component is being added; its name stands in the text then.
    fn find(&self, component: &Component) -> Option<Name> {
        let names = self.names.try_read().ok()?;
        let known = names.iter().find(|(known, _)| known == component);
        known.map(|(_, name)| *name)
    }
}

// === impl Quota ===

impl Quota {
    /// Whether one more is within the quota of this second, and how many were held back in a second that is over.
    fn take(&self, second: u64) -> (bool, u64) {
        let second = second & u64::from(u32::MAX);
        let next = |packed: u64| {
            if packed >> 32 == second {
                let count = (packed & u64::from(u32::MAX)).saturating_add(1);
                second << 32 | count.min(u64::from(u32::MAX))
            } else {
                second << 32 | 1
            }
        };
        let before = self
            .0
            .fetch_update(Relaxed, Relaxed, |packed| Some(next(packed)))
            .unwrap_or_default();
        let is_within = next(before) & u64::from(u32::MAX) <= RECORDS_PER_SECOND;
        let held_back = if before >> 32 == second {
            0
        } else {
            (before & u64::from(u32::MAX)).saturating_sub(RECORDS_PER_SECOND)
        };
        (is_within, held_back)
    }
}

/// What only the pulse says, about itself and once a change: each of them is kept.
fn is_transition(code: Code) -> bool {
    matches!(
        kind(code),
        EventKind::Level | EventKind::Governor | EventKind::Limit
    )
}

fn kind(code: Code) -> EventKind {
    match code {
        Code::MemPressure | Code::MemCritical | Code::MemRelief => EventKind::Level,
        Code::DegradedMode | Code::RecoveredMode | Code::GovernorScale => EventKind::Governor,
        Code::GateRate
        | Code::LedgerSize
        | Code::GateFloor
        | Code::OverflowPolicy
        | Code::BufferGrow
        | Code::BufferShrink
        | Code::MemReclaim => EventKind::Decision,
        Code::DropSlow | Code::DropRed | Code::DropFull | Code::EventDropped => EventKind::Drop,
        Code::AdapterStart => EventKind::AdapterUp,
        Code::AdapterStop | Code::AdapterFail => EventKind::AdapterDown,
        Code::EmitterStart => EventKind::EmitterUp,
        Code::EmitterStop | Code::EmitterFail => EventKind::EmitterDown,
        Code::BufferSaturated | Code::BackPressure | Code::PublishBlock => EventKind::Subscriber,
        Code::ConfigReload => EventKind::Reload,
        Code::LimitChanged => EventKind::Limit,
        _ => EventKind::Error,
    }
}

fn severity(severity: Severity) -> EventSeverity {
    match severity {
        Severity::Debug | Severity::Info => EventSeverity::Info,
        Severity::Warning => EventSeverity::Warning,
        Severity::Error => EventSeverity::Error,
        Severity::Critical => EventSeverity::Critical,
    }
}

/// The numbers that the kind of record has names for, else all in their order.
fn values(event: &ErrorEvent) -> [u64; EVENT_VALUES] {
    let field = |name: &str| {
        event
            .fields
            .get(name)
            .map_or(0, |value| number(event, value))
    };
    let mut values = [0; EVENT_VALUES];
    match kind(event.code) {
        EventKind::Level => {
            let named = ["from", "to", "used_bytes", "limit_bytes"].map(field);
            values[..4].copy_from_slice(&named);
        }
        EventKind::Governor => {
            // Either the state moved or the scale within a state.
            let names = if event.fields.get("state").is_some() {
                ["state", "state", "to"]
            } else {
                ["from", "to", "scale"]
            };
            values[..3].copy_from_slice(&names.map(field));
        }
        _ => {
            let numbers = event.fields.iter().map(|(_, value)| value);
            let numbers = numbers.filter(|value| !matches!(value, Value::Str(_)));
            for (into, value) in values.iter_mut().zip(numbers) {
                *into = number(event, value);
            }
        }
    }
    values
}

/// A ratio in thousandths; a word of the ladder or the governor as its number.
fn number(event: &ErrorEvent, value: Value) -> u64 {
    match value {
        Value::U64(value) => value,
        // Rates are counted in bytes, everything else that has a fraction is a share or a few seconds.
        Value::F64(value) if event.code == Code::GateRate => value as u64,
        Value::F64(value) => (value * 1000.0) as u64,
        Value::Str(word) => rank(word),
    }
}

fn rank(word: &str) -> u64 {
    let levels = [
        Level::Normal,
        Level::Warning,
        Level::Error,
        Level::Critical,
        Level::Emergency,
    ];
    let states = [
        GovernorState::Normal,
        GovernorState::Degraded,
        GovernorState::Recovering,
    ];
    let level = levels.iter().position(|level| level.as_str() == word);
    let state = || states.iter().position(|state| state.as_str() == word);
    level.or_else(state).unwrap_or(0) as u64
}

/// `GATE_RATE above_setpoint`, `EMITTER_FAIL: disk full`: what the numbers do not say.
fn describe(text: &mut impl Write, event: &ErrorEvent, with_component: bool) -> std::fmt::Result {
    text.write_str(event.code.as_str())?;
    if with_component {
        write!(text, " {}", event.component)?;
    }
    let is_plain =
        kind(event.code) == EventKind::Error || kind(event.code) == EventKind::Subscriber;
    for (name, value) in event.fields.iter() {
        match value {
            Value::Str(word) => write!(text, " {word}")?,
            value if is_plain => write!(text, " {name}={value}")?,
            _ => {}
        }
    }
    if let Some(detail) = &event.detail {
        write!(text, ": {detail}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
