//! What happened: a record of fixed size with a kind, a component, a few numbers and a short text.

use crate::{schema::Name, scrub, slot};

/// Numbers that an event carries.
pub const EVENT_VALUES: usize = 6;

/// The longest text that an event keeps, in bytes.
pub const EVENT_TEXT_BYTES: usize = 160;

/// Bytes of a body before the text.
pub(crate) const FIXED_BYTES: usize = 8 + EVENT_VALUES * 8;

macro_rules! kinds {
    ($( $(#[$doc:meta])* $kind:ident = $code:literal, $name:literal, [$($value:literal),*]; )*) => {
        /// What kind of thing happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EventKind {
            $( $(#[$doc])* $kind, )*
            /// A kind of the service's own, from 1000.
            Other(u16),
        }

        impl EventKind {
            pub(crate) const fn code(self) -> u16 {
                match self {
                    $( Self::$kind => $code, )*
                    Self::Other(code) => code,
                }
            }

            /// A code of a newer file is a kind of its own.
            pub(crate) const fn from_code(code: u16) -> Self {
                match code {
                    $( $code => Self::$kind, )*
                    code => Self::Other(code),
                }
            }

            /// The lower-case name; `other` for the service's own.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$kind => $name, )*
                    Self::Other(_) => "other",
                }
            }

            /// What its first numbers mean; further ones have no name.
            pub const fn value_names(self) -> &'static [&'static str] {
                match self {
                    $( Self::$kind => &[$($value),*], )*
                    Self::Other(_) => &[],
                }
            }
        }
    };
}

kinds! {
    /// The recording began.
    Start = 1, "start", [];
    /// The process began to drain.
    DrainStart = 2, "drain_start", ["grace_ns"];
    /// It has drained.
    DrainEnd = 3, "drain_end", [];
    /// It ended as intended.
    Clean = 4, "clean", [];
    /// Memory passed a share of its limit: percent, usage and limit.
    Threshold = 5, "threshold", ["percent", "usage_bytes", "limit_bytes"];
    /// The ladder moved: from, to, usage and limit.
    Level = 6, "level", ["from", "to", "usage_bytes", "limit_bytes"];
    /// The governor moved: state from, to, and its scale in thousandths.
    Governor = 7, "governor", ["from", "to", "scale_thousandths"];
    /// A knob was turned: which one and why are the text; old and new value.
    Decision = 8, "decision", ["from", "to"];
    /// The first drop in a second for this reason: events in all.
    Drop = 9, "drop", ["events"];
    /// An adapter runs.
    AdapterUp = 10, "adapter_up", [];
    /// An adapter ended or failed.
    AdapterDown = 11, "adapter_down", [];
    /// An emitter runs.
    EmitterUp = 12, "emitter_up", [];
    /// An emitter ended or failed.
    EmitterDown = 13, "emitter_down", [];
    /// A subscriber stalls or was put out.
    Subscriber = 14, "subscriber", [];
    /// A panic: whether it was guarded, and the line.
    Panic = 15, "panic", ["guarded", "line"];
    /// A signal that ends the process: its number, the fault's address and the thread.
    FatalSignal = 16, "fatal_signal", ["signal", "address", "thread"];
    /// Any other signal, such as SIGTERM: its number.
    Signal = 17, "signal", ["signal"];
    /// The configuration was read again.
    Reload = 18, "reload", [];
    /// The wall clock jumped: by how many nanoseconds, as a signed number.
    ClockJump = 19, "clock_jump", ["by_ns"];
    /// A limit changed: old and new value.
    Limit = 20, "limit", ["from_bytes", "to_bytes"];
    /// An error event.
    Error = 21, "error", [];
    /// Reports were held back: how many.
    Suppressed = 22, "suppressed", ["reports"];
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum EventSeverity {
    /// Worth knowing.
    #[default]
    Info = 0,
    /// Worth a look.
    Warning = 1,
    /// Something failed.
    Error = 2,
    /// The process is in danger.
    Critical = 3,
}

/// An event to be recorded.
///
/// ```
/// use relay_forensics::{Event, EventKind, EventSeverity};
///
/// let event = Event::new(EventKind::Drop)
///     .severity(EventSeverity::Error)
///     .values(&[17])
///     .text("queue full: password=hunter2");
/// assert_eq!(event.shown_text(), "queue full: password=[hidden]");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    kind: EventKind,
    severity: EventSeverity,
    component: Name,
    detail: u32,
    values: [u64; EVENT_VALUES],
    text: &'a str,
    trusted: bool,
}

// === impl EventSeverity ===

impl EventSeverity {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    pub(crate) fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Info,
            1 => Self::Warning,
            2 => Self::Error,
            _ => Self::Critical,
        }
    }
}

// === impl Event ===

impl<'a> Event<'a> {
    /// An event without numbers and text.
    pub const fn new(kind: EventKind) -> Self {
        Self {
            kind,
            severity: EventSeverity::Info,
            component: Name::NONE,
            detail: 0,
            values: [0; EVENT_VALUES],
            text: "",
            trusted: true,
        }
    }

    /// The same with a severity.
    #[must_use]
    pub const fn severity(mut self, severity: EventSeverity) -> Self {
        self.severity = severity;
        self
    }

    /// The same with who it happened to.
    #[must_use]
    pub const fn component(mut self, component: Name) -> Self {
        self.component = component;
        self
    }

    /// The same with a code or a count.
    #[must_use]
    pub const fn detail(mut self, detail: u32) -> Self {
        self.detail = detail;
        self
    }

    /// The same with these numbers first; what does not fit into [`EVENT_VALUES`] is left out.
    #[must_use]
    pub fn values(mut self, values: &[u64]) -> Self {
        let count = values.len().min(EVENT_VALUES);
        self.values[..count].copy_from_slice(&values[..count]);
        self
    }

    /// The same with a text from anywhere: secrets are taken out, and at most
    /// [`EVENT_TEXT_BYTES`] of it are kept.
    #[must_use]
    pub const fn text(mut self, text: &'a str) -> Self {
        self.text = text;
        self.trusted = false;
        self
    }

    /// The same with a text of the program's own, such as a reason; kept as it is.
    #[must_use]
    pub const fn label(mut self, label: &'static str) -> Self {
        self.text = label;
        self.trusted = true;
        self
    }

    /// The text as it is kept.
    pub fn shown_text(&self) -> String {
        let mut bytes = [0; EVENT_TEXT_BYTES];
        let len = self.put_text(&mut bytes);
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    pub(crate) fn kind(&self) -> EventKind {
        self.kind
    }

    /// Writes the body and answers how many bytes of it are used.
    pub(crate) fn put(&self, body: &mut [u8]) -> usize {
        body[..2].copy_from_slice(&self.component.0.to_le_bytes());
        body[2] = self.severity as u8;
        body[4..8].copy_from_slice(&self.detail.to_le_bytes());
        let (values, _) = body[8..FIXED_BYTES].as_chunks_mut::<8>();
        for (bytes, value) in values.iter_mut().zip(self.values) {
            *bytes = value.to_le_bytes();
        }
        if self.text.is_empty() {
            body[3] = 0;
            return 8 + self.used_values() * 8;
        }
        let len = self.put_text(&mut body[FIXED_BYTES..FIXED_BYTES + EVENT_TEXT_BYTES]);
        // At most 160.
        body[3] = len as u8;
        FIXED_BYTES + len
    }

    pub(crate) fn has_text(&self) -> bool {
        !self.text.is_empty()
    }

    /// Zeroes at the end need not be copied: what a record is too short for reads as zero.
    fn used_values(&self) -> usize {
        let last = self.values.iter().rposition(|value| *value != 0);
        last.map_or(0, |index| index + 1)
    }

    fn put_text(&self, into: &mut [u8]) -> usize {
        if !self.trusted {
            return scrub::scrub(self.text, into);
        }
        let len = self
            .text
            .floor_char_boundary(into.len().min(self.text.len()));
        into[..len].copy_from_slice(&self.text.as_bytes()[..len]);
        len
    }
}

/// An event as it was read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EventRecord {
    /// Its number, from 1.
    pub seq: u64,
    /// When, on the monotonic clock.
    pub monotonic_ns: u64,
    /// When, since 1970.
    pub real_ns: u64,
    /// What.
    pub kind: EventKind,
    /// How much it matters.
    pub severity: EventSeverity,
    /// To whom, if known.
    pub component: Option<String>,
    /// A code or a count.
    pub detail: u32,
    /// Numbers, by kind.
    pub values: [u64; EVENT_VALUES],
    /// What was said.
    pub text: String,
}

impl EventRecord {
    /// The component is looked up later, by the number that comes with it.
    pub(crate) fn parse(seq: u64, head: &slot::Head, body: &[u8]) -> (Self, u16) {
        let text = FIXED_BYTES
            ..FIXED_BYTES + usize::from(body.get(3).copied().unwrap_or(0)).min(EVENT_TEXT_BYTES);
        let text = body.get(text).unwrap_or_default();
        let record = Self {
            seq,
            monotonic_ns: head.monotonic_ns,
            real_ns: head.real_ns,
            kind: EventKind::from_code(head.kind),
            severity: EventSeverity::from_code(body.get(2).copied().unwrap_or(0)),
            component: None,
            detail: slot::u32_at(body, 4),
            values: std::array::from_fn(|n| slot::u64_at(body, 8 + n * 8)),
            text: String::from_utf8_lossy(text).into_owned(),
        };
        (record, slot::u16_at(body, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_round_trip() {
        let mut names = std::collections::HashSet::new();
        for code in 1..=22 {
            let kind = EventKind::from_code(code);
            assert_eq!(kind.code(), code);
            assert!(names.insert(kind.as_str()) && kind.as_str() != "other");
        }
        assert_eq!(EventKind::from_code(1000), EventKind::Other(1000));
        assert_eq!(EventKind::Other(1000).code(), 1000);
        assert_eq!(EventKind::Other(1000).as_str(), "other");
    }

    #[test]
    fn an_event_comes_back_from_its_body() {
        let mut body = [0xaa; 216];
        let event = Event::new(EventKind::Level)
            .severity(EventSeverity::Critical)
            .component(Name(7))
            .detail(u32::MAX)
            .values(&[1, 2, 3, 4, 5, u64::MAX, 99])
            .label("up");
        let used = event.put(&mut body);
        assert_eq!(used, FIXED_BYTES + 2);
        let head = slot::Head {
            kind: event.kind().code(),
            ..slot::Head::default()
        };
        let (record, component) = EventRecord::parse(3, &head, &body[..used]);
        assert_eq!((record.seq, component), (3, 7));
        assert_eq!(record.kind, EventKind::Level);
        assert_eq!(record.severity, EventSeverity::Critical);
        assert_eq!(record.values, [1, 2, 3, 4, 5, u64::MAX]);
        assert_eq!((record.detail, record.text.as_str()), (u32::MAX, "up"));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let text = "ä".repeat(200);
        assert_eq!(Event::new(EventKind::Error).text(&text).shown_text().len(), 160);
        let mut body = [0; 216];
        assert_eq!(Event::new(EventKind::Error).text(&text).put(&mut body), 216);
    }

    #[test]
    fn any_body_is_answered() {
        for len in [0, 1, 3, 8, 55, 56, 57, 216] {
            EventRecord::parse(1, &slot::Head::default(), &vec![0xff; len]);
        }
    }
}
