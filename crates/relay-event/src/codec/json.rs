//! `CloudEvents` 1.0 in structured JSON.

use super::{Codec, DecodeError, decode, encode};
use crate::event::{Event, EventBuilder};
use crate::priority::Priority;

/// One event as a `CloudEvents` 1.0 JSON document.
///
/// | event | attribute |
/// |---|---|
/// | id, topic, source, time | `id`, `type`, `source`, `time` (RFC 3339) |
/// | headers, `datacontenttype`, `subject` and `dataschema` among them | attributes of the same name |
/// | priority, correlation and causation id | `relaypriority`, `correlationid`, `causationid` |
/// | payload | `data` or `data_base64` |
///
/// What is written is one line, ready for newline-delimited JSON. A payload comes back byte for byte, with one
/// exception: a JSON payload loses white space around it, and all that is not within strings when it had line breaks.
///
/// What is read comes from outside: its priority is [`Priority::High`] at most; attributes that are booleans or
/// integers become headers of the same text, and those that are `null` are absent.
///
/// ```
/// use relay_event::codec::{Codec, Json};
///
/// let text = br#"{"specversion": "1.0", "id": "7", "source": "/a", "type": "t", "time": "today"}"#;
/// let error = Json::new().decode(text).unwrap_err();
/// assert_eq!((error.field.as_deref(), error.line), (Some("time"), 1));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Json {
    priority: Priority,
}

impl Json {
    /// Events that name no priority get [`Priority::Normal`].
    pub const fn new() -> Self {
        Self {
            priority: Priority::Normal,
        }
    }

    /// Events that name no priority get this one.
    #[must_use]
    pub const fn default_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

impl Codec for Json {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        encode::write(event, out);
    }

    fn decode(&self, bytes: &[u8]) -> Result<EventBuilder, DecodeError> {
        decode::read(bytes, self.priority)
    }
}
