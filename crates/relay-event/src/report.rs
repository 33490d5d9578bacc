//! One error event: a small fixed record that a control loop and a panic hook can publish without allocating.

mod trace;

pub use trace::Trace;

use crate::code::Code;
use crate::component::Component;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

/// The most numbers that travel with one error event.
const MAX_FIELDS: usize = 6;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Severity {
    /// Of interest to developers.
    Debug,
    /// The system is doing its work, such as applying back-pressure.
    Info,
    /// Something may go wrong.
    Warning,
    /// Something went wrong, such as a dropped event.
    Error,
    /// The process is in danger.
    Critical,
}

impl Severity {
    /// Every severity, mildest first.
    pub const ALL: [Self; 5] = [
        Self::Debug,
        Self::Info,
        Self::Warning,
        Self::Error,
        Self::Critical,
    ];

    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a severity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseSeverityError(());

impl fmt::Display for ParseSeverityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a severity: expected debug, info, warning, error or critical")
    }
}

impl std::error::Error for ParseSeverityError {}

impl FromStr for Severity {
    type Err = ParseSeverityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|severity| severity.as_str() == text)
            .ok_or(ParseSeverityError(()))
    }
}

/// What an error event asks its readers to do, apart from how bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Signal {
    /// Nothing.
    #[default]
    None,
    /// Send less.
    Throttle,
    /// Drop what may be dropped.
    Shed,
    /// Work goes on with less.
    Degraded,
    /// It is over.
    Recovered,
    /// Something is not called for a while, because it fails.
    BreakerOpen,
    /// It is called on trial.
    BreakerHalf,
    /// It is called again.
    BreakerClose,
}

impl Signal {
    /// Every signal, in a fixed order: the order of counters.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Throttle,
        Self::Shed,
        Self::Degraded,
        Self::Recovered,
        Self::BreakerOpen,
        Self::BreakerHalf,
        Self::BreakerClose,
    ];

    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Throttle => "throttle",
            Self::Shed => "shed",
            Self::Degraded => "degraded",
            Self::Recovered => "recovered",
            Self::BreakerOpen => "breaker_open",
            Self::BreakerHalf => "breaker_half",
            Self::BreakerClose => "breaker_close",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A number (or a fixed word) of an error event, read without parsing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A count or a number of bytes.
    U64(u64),
    /// A ratio or a rate.
    F64(f64),
    /// A fixed word.
    Str(&'static str),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::U64(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::F64(value)
    }
}

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Self {
        Self::Str(value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U64(value) => value.fmt(f),
            Self::F64(value) => write!(f, "{value:.3}"),
            Self::Str(value) => f.write_str(value),
        }
    }
}

/// Up to six named values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fields([Option<(&'static str, Value)>; MAX_FIELDS]);

impl Fields {
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.iter()
            .find(|(have, _)| *have == name)
            .map(|(_, value)| value)
    }

    /// Every name with its value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Value)> {
        self.0.iter().flatten().copied()
    }
}

/// Something worth reporting: what, how bad, where, when, and the numbers.
///
/// ```
/// use relay_event::{Code, Component, ErrorEvent, Severity, Signal};
///
/// let event = ErrorEvent::new(Code::MemPressure, Severity::Warning, Component::monitor("memory"))
///     .signal(Signal::Throttle)
///     .with("used_bytes", 7_u64)
///     .with("limit_bytes", 10_u64);
/// assert_eq!(
///     event.to_string(),
///     "MEM_PRESSURE monitor:memory: memory use crossed a threshold (used_bytes=7, limit_bytes=10)"
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct ErrorEvent {
    /// What.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// What to do.
    pub signal: Signal,
    /// Where.
    pub component: Component,
    /// When.
    pub time: SystemTime,
    /// Whether it can pass by itself.
    pub recoverable: bool,
    /// How many such events this one stands for: more than one when repeats were folded.
    pub count: u32,
    /// The numbers.
    pub fields: Fields,
    /// Text that was at hand, such as the error of a library; never rendered by the one who publishes.
    pub detail: Option<Arc<str>>,
    /// The stack, where the one who publishes asked for it and it is turned on.
    pub trace: Option<Trace>,
}

impl ErrorEvent {
    /// An event of now, recoverable, with no signal.
    pub fn new(code: Code, severity: Severity, component: Component) -> Self {
        Self {
            code,
            severity,
            signal: Signal::None,
            component,
            time: SystemTime::now(),
            recoverable: true,
            count: 1,
            fields: Fields::default(),
            detail: None,
            trace: None,
        }
    }

    /// Asks readers to do something.
    pub fn signal(mut self, signal: Signal) -> Self {
        self.signal = signal;
        self
    }

    /// Adds a number; beyond six they are left out.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        if let Some(slot) = self.fields.0.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some((name, value.into()));
        }
        self
    }

    /// Adds text.
    pub fn detail(mut self, text: impl Into<Arc<str>>) -> Self {
        self.detail = Some(text.into());
        self
    }

    /// Adds the stack of the caller, if this is an error or worse and [traces](Trace) are turned on; allocates then.
    pub fn traced(mut self) -> Self {
        if self.severity >= Severity::Error {
            self.trace = Trace::capture();
        }
        self
    }

    /// Says whether it can pass by itself.
    pub fn recoverable(mut self, recoverable: bool) -> Self {
        self.recoverable = recoverable;
        self
    }
}

impl fmt::Display for ErrorEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.code,
            self.component,
            self.code.message()
        )?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        let mut open = " (";
        for (name, value) in self.fields.iter() {
            write!(f, "{open}{name}={value}")?;
            open = ", ";
        }
        if self.count > 1 {
            write!(f, "{open}count={}", self.count)?;
            open = ", ";
        }
        f.write_str(if open == ", " { ")" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_ordered_and_round_trip() {
        assert!(Severity::ALL.is_sorted());
        for severity in Severity::ALL {
            assert_eq!(severity.to_string().parse(), Ok(severity));
        }
        for text in ["", "Error", "warn", "fatal"] {
            assert!(text.parse::<Severity>().is_err(), "{text:?}");
        }
    }
}
