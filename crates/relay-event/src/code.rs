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

            /// The older name of its event type, such as `pipeline.error.memory_pressure`: read, never written.
            pub const fn event_type_alias(self) -> &'static str {
                match self { $(Self::$variant => concat!("pipeline.error.", $kind),)+ }
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
    /// Tasks have waited for memory for a sustained share of the time; with the signal `recovered`, no longer.
    PsiPreOom = "PSI_PRE_OOM", "psi_pre_oom", "tasks wait for memory";
    /// The kernel does not say how long tasks wait for memory.
    PsiUnavailable = "PSI_UNAVAILABLE", "psi_unavailable", "memory pressure cannot be read";
    /// The allocator was made to give unused memory back.
    MemReclaim = "MEM_RECLAIM", "memory_reclaimed", "unused memory was given back";
    /// The memory limit is another one than before.
    LimitChanged = "LIMIT_CHANGED", "limit_changed", "the memory limit changed";
    /// Nothing limits the memory of this process as far as is known, so there is nothing to steer by.
    NoLimit = "NO_LIMIT", "no_limit", "no memory limit is known";
    /// The gate stays shut for memory that is not in use: the allocator is made to give it back.
    LatchUp = "LATCH_UP", "latch_up", "the gate is shut for memory that is not in use";
    /// Defensive mode was entered, left, or one of its steps was taken or taken back.
    DefensiveMode = "DEFENSIVE_MODE", "defensive_mode", "defensive mode was entered or left";
    /// Publishers that can wait wait longer or less long between two events.
    PublishPace = "PUBLISH_PACE", "publish_pace", "the pace of publishers moved";
    /// A pool was asked for one worker more.
    WorkerScaleUp = "WORKER_SCALE_UP", "worker_scale_up", "a pool gets a worker";
    /// A pool was asked to give up a worker.
    WorkerScaleDown = "WORKER_SCALE_DOWN", "worker_scale_down", "a pool gives up a worker";
    /// The workers of a pool have had little to do for a while.
    WorkerIdle = "WORKER_IDLE", "worker_idle", "the workers of a pool have little to do";
    /// What waits for the workers of a pool waits more than twice as long as it should; with the signal `recovered`, no longer.
    WorkerSaturated = "WORKER_SATURATED", "worker_saturated", "saturation of a pool began or ended";
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
    /// A queue is more than 80 % full; with the signal `recovered`, it is below 60 % again.
    BufferSaturated = "BUF_SAT", "buffer_saturated", "saturation of a queue began or ended";
    /// A queue may hold more events than before.
    BufferGrow = "BUF_GROW", "buffer_grow", "the bound of a queue grew";
    /// A queue may hold fewer events than before; what it holds beyond that is still delivered.
    BufferShrink = "BUF_SHRINK", "buffer_shrink", "the bound of a queue shrank";
    /// Publishers find no room in a reliable subscription; with the signal `recovered`, they do again.
    BackPressure = "BACK_PRESSURE", "back_pressure", "back-pressure began or ended";
    /// Publishers have found no room for longer than a second.
    PublishBlock = "PUBLISH_BLOCK", "publish_blocked", "publishing is blocked by a slow subscription";
    /// A sheddable subscription dropped its oldest events, because its receiver is too slow.
    DropSlow = "DROP_SLOW", "drop_slow", "a slow subscription lost its oldest events";
    /// A sheddable subscription dropped events early.
    DropRed = "DROP_RED", "drop_red", "events were dropped early";
    /// A sheddable subscription was full and dropped what came.
    DropFull = "DROP_FULL", "drop_full", "a full subscription dropped what came";
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
    /// A circuit breaker opened: what is behind it fails, and is not called for a while.
    BreakerOpen = "BREAKER_OPEN", "breaker_open", "a circuit breaker opened";
    /// A circuit breaker lets a trial pass.
    BreakerHalf = "BREAKER_HALF", "breaker_half", "a circuit breaker lets a trial pass";
    /// A circuit breaker closed: what is behind it works again.
    BreakerClose = "BREAKER_CLOSE", "breaker_close", "a circuit breaker closed";
    /// A pool of an adapter or emitter has more workers than before.
    AdapterScaledUp = "ADAPTER_SCALED_UP", "adapter_scaled_up", "a pool of workers grew";
    /// A pool of an adapter or emitter has fewer workers than before.
    AdapterScaledDown = "ADAPTER_SCALED_DOWN", "adapter_scaled_down", "a pool of workers shrank";
    /// Accepted events were given up.
    EventDropped = "EVENT_DROPPED", "event_dropped", "accepted events were dropped";
    /// A component panicked.
    Panic = "PANIC", "panic", "a component panicked";
    /// The run before this one did not end as intended.
    PreviousExit = "PREVIOUS_EXIT", "previous_exit", "the run before this one did not end as intended";
    /// The black box or a crash report cannot be written as wanted; work goes on.
    BlackboxFail = "BLACKBOX_FAIL", "blackbox_failed", "the black box is not as it should be";
    /// The state of the components at start.
    HealthCheck = "HEALTH_CHECK", "health_check", "health of the components";
    /// The configuration was read again; with the severity error, it has a mistake and nothing changed.
    ConfigReload = "CONFIG_RELOAD", "config_reload", "the configuration was read again";
    /// The engine is shutting down.
    Shutdown = "SHUTDOWN", "shutdown", "shutting down";
}

impl Code {
    /// Long names that were in use before: read, never written.
    ///
    /// | long name | code |
    /// |---|---|
    /// | `MEMORY_PRESSURE` | `MEM_PRESSURE` |
    /// | `DEGRADED_MODE_ACTIVATED` | `DEGRADED_MODE` |
    /// | `BUFFER_SATURATED` | `BUF_SAT` |
    /// | `BUS_PUBLISH_BLOCKED` | `PUBLISH_BLOCK` |
    /// | `BACK_PRESSURE_ACTIVE` | `BACK_PRESSURE` |
    /// | `ADAPTER_CIRCUIT_OPEN` | `BREAKER_OPEN` |
    pub const ALIASES: &'static [(&'static str, Self)] = &[
        ("MEMORY_PRESSURE", Self::MemPressure),
        ("DEGRADED_MODE_ACTIVATED", Self::DegradedMode),
        ("BUFFER_SATURATED", Self::BufferSaturated),
        ("BUS_PUBLISH_BLOCKED", Self::PublishBlock),
        ("BACK_PRESSURE_ACTIVE", Self::BackPressure),
        ("ADAPTER_CIRCUIT_OPEN", Self::BreakerOpen),
    ];

    /// The code of an event type, by either of its names: the way back from [`event_type`](Self::event_type).
    pub fn from_event_type(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.event_type() == text || code.event_type_alias() == text)
    }
}

/// Some of the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodeSet(u64);

// One bit each.
const _: () = assert!(Code::ALL.len() <= u64::BITS as usize);

impl Default for CodeSet {
    fn default() -> Self {
        Self(u64::MAX)
    }
}

impl CodeSet {
    /// Takes out those that are not `wanted`.
    pub(crate) fn keep(&mut self, wanted: impl Fn(Code) -> bool) {
        for code in Code::ALL.iter().filter(|code| !wanted(**code)) {
            self.0 &= !(1 << *code as u8);
        }
    }

    pub(crate) fn contains(self, code: Code) -> bool {
        self.0 & (1 << code as u8) != 0
    }
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
            .or_else(|| {
                let alias = Self::ALIASES.iter().find(|(alias, _)| *alias == text);
                alias.map(|(_, code)| *code)
            })
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

    #[test]
    fn long_names_are_read_and_never_written() {
        assert_eq!("MEMORY_PRESSURE".parse(), Ok(Code::MemPressure));
        assert_eq!("DEGRADED_MODE_ACTIVATED".parse(), Ok(Code::DegradedMode));
        let aliases: HashSet<_> = Code::ALIASES.iter().map(|(alias, _)| alias).collect();
        assert_eq!(aliases.len(), Code::ALIASES.len());
        for (alias, code) in Code::ALIASES {
            assert_eq!(alias.parse(), Ok(*code));
            assert!(Code::ALL.iter().all(|code| code.as_str() != *alias));
        }
    }

    #[test]
    fn codes_and_event_types_are_a_bijection() {
        for code in Code::ALL {
            let (name, alias) = (code.event_type(), code.event_type_alias());
            assert_eq!(Code::from_event_type(name), Some(*code));
            assert_eq!(Code::from_event_type(alias), Some(*code));
            assert_eq!(
                name.strip_prefix("relay."),
                alias.strip_prefix("pipeline."),
                "the same but for the first part"
            );
        }
        for (code, name) in [
            (Code::MemPressure, "relay.error.memory_pressure"),
            (Code::EventDropped, "relay.error.event_dropped"),
            (Code::AdapterFail, "relay.error.adapter_failed"),
            (Code::EmitterFail, "relay.error.emitter_failed"),
        ] {
            assert_eq!(code.event_type(), name, "known to others, never renamed");
        }
        assert_eq!(Code::from_event_type("relay.error."), None);
        assert_eq!(Code::from_event_type("MEM_PRESSURE"), None);
    }

    #[test]
    fn every_code_says_what_it_is() {
        for code in Code::ALL {
            let message = code.message();
            assert!(
                message.len() > 8 || *code == Code::Shutdown,
                "{code}: {message}"
            );
            let upper = |c: char| c.is_ascii_uppercase() || c == '_';
            assert!(code.as_str().chars().all(upper), "{code}");
        }
    }
}
