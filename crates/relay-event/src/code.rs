//! The registry of error codes: stable, unique, each with an event type and a sentence.

use std::fmt;
use std::str::FromStr;

macro_rules! codes {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal, $kind:literal, $message:literal;)+) => {
        /// A stable code of something worth reporting. Codes are never renamed and never used twice.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Code {
            $($(#[$doc])+ $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name, such as `MEM_PRESSURE`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The event type it maps to, such as `relay.error.memory_pressure`.
            pub const fn event_type(self) -> &'static str {
                match self { $(Self::$variant => concat!("relay.error.", $kind),)+ }
            }

            /// One sentence about it, without the numbers.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)+ }
            }
        }
    };
}

codes! {
    /// Memory use rose over the warning or error threshold.
    MemPressure = "MEM_PRESSURE", "memory_pressure", "memory use crossed a threshold";
    /// Memory use rose over the critical or emergency threshold.
    MemCritical = "MEM_CRITICAL", "memory_critical", "memory use is critical";
    /// Memory use fell below the relief threshold.
    MemRelief = "MEM_RELIEF", "memory_relief", "memory use is back to normal";
    /// The memory limit is another one than before.
    LimitChanged = "LIMIT_CHANGED", "limit_changed", "the memory limit changed";
    /// A sensor gave no reading for too long; control is conservative until it does.
    SensorStale = "SENSOR_STALE", "sensor_stale", "memory cannot be read, control is conservative";
    /// The governor entered its degraded state.
    DegradedMode = "DEGRADED_MODE", "degraded_mode", "admission is degraded";
    /// The governor is back to normal.
    RecoveredMode = "RECOVERED_MODE", "recovered_mode", "admission has recovered";
    /// The governor's scale moved.
    GovernorScale = "GOVERNOR_SCALE", "governor_scale", "the governor moved its scale";
    /// The admitted rate moved by a tenth or more, or the limit came or went.
    GateRate = "GATE_RATE", "gate_rate", "the admitted rate moved";
    /// The size of the ledger moved.
    LedgerSize = "LEDGER_SIZE", "ledger_size", "the size of the ledger moved";
    /// Lower priorities were shut out or let in again.
    GateFloor = "GATE_FLOOR", "gate_floor", "the lowest admitted priority moved";
    /// Sheddable subscriptions began or ceased to be shed.
    OverflowPolicy = "OVERFLOW_POLICY", "overflow_policy", "the overflow policy of sheddable subscriptions moved";
    /// An adapter could not start, failed while running, or failed to stop.
    AdapterFail = "ADAPTER_FAIL", "adapter_failed", "an adapter failed";
    /// An adapter started.
    AdapterStart = "ADAPTER_START", "adapter_started", "an adapter started";
    /// An adapter stopped.
    AdapterStop = "ADAPTER_STOP", "adapter_stopped", "an adapter stopped";
    /// An adapter got something that is not an event.
    IngestInvalid = "INGEST_INVALID", "ingest_invalid", "what a sender sent is not an event";
    /// An emitter failed to deliver or to close.
    EmitterFail = "EMITTER_FAIL", "emitter_failed", "an emitter failed";
    /// An emitter started.
    EmitterStart = "EMITTER_START", "emitter_started", "an emitter started";
    /// An emitter stopped.
    EmitterStop = "EMITTER_STOP", "emitter_stopped", "an emitter stopped";
    /// Accepted events were given up.
    EventDropped = "EVENT_DROPPED", "event_dropped", "accepted events were dropped";
    /// A component panicked.
    Panic = "PANIC", "panic", "a component panicked";
    /// The state of the components at start.
    HealthCheck = "HEALTH_CHECK", "health_check", "health of the components";
    /// The engine is shutting down.
    Shutdown = "SHUTDOWN", "shutdown", "shutting down";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or(UnknownCode(()))
    }
}

/// The text is no code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCode(());

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an error code")
    }
}

impl std::error::Error for UnknownCode {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_types_are_unique_and_round_trip() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let types: HashSet<_> = Code::ALL.iter().map(|code| code.event_type()).collect();
        assert_eq!(
            (names.len(), types.len()),
            (Code::ALL.len(), Code::ALL.len())
        );
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index, "the order of counters");
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        assert!("NO_SUCH_CODE".parse::<Code>().is_err());
    }
}
