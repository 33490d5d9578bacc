//! The payload and nothing else.

use super::{Codec, DecodeError};
use crate::event::{Event, EventBuilder};
use crate::topic::Topic;

/// The payload alone, as it is: every other part of the event is lost. What is read is about a topic set before.
///
/// ```
/// use relay_event::codec::{Codec, Raw};
/// use relay_event::Topic;
///
/// let raw = Raw::new(Topic::new("sensor.reading")?);
/// let event = raw.decode(b"\x00\x01")?.build()?;
/// assert_eq!(event.topic().as_str(), "sensor.reading");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Raw {
    topic: Topic,
}

impl Raw {
    /// What is read is about `topic`.
    pub const fn new(topic: Topic) -> Self {
        Self { topic }
    }
}

impl Codec for Raw {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        out.extend_from_slice(event.payload());
    }

    /// Never fails: any bytes are a payload.
    fn decode(&self, bytes: &[u8]) -> Result<EventBuilder, DecodeError> {
        Ok(Event::builder(&self.topic).payload(bytes.to_vec()))
    }
}
