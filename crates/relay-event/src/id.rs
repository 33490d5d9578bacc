//! Names of events: what a sender chose, or 128 bits of ours.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest id taken from a sender, in bytes.
const MAX_BYTES: usize = 255;

/// The name of an event: unique together with its source.
///
/// A generated id holds 48 bits of Unix milliseconds and 80 random bits, so ids sort by time of creation; it is
/// written as 32 hexadecimal digits and needs no allocation.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventId(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Generated(u128),
    Text(Box<str>),
}

impl EventId {
    /// A new id for an event of this `time`.
    pub fn generate(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u128::from(since.as_secs()) * 1000 + u128::from(since.subsec_millis());
        let random = fastrand::u128(..) >> 48;
        Self(Repr::Generated((millis << 80) | random))
    }

    /// The bytes it holds beside the event itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Generated(_) => 0,
            Repr::Text(text) => text.len(),
        }
    }
}

impl FromStr for EventId {
    type Err = crate::EventError;

    /// Keeps a sender's id as it is.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > MAX_BYTES || text.chars().any(char::is_control) {
            return Err(crate::EventError::Id {
                max_bytes: MAX_BYTES,
            });
        }
        Ok(Self(Repr::Text(text.into())))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Generated(id) => write!(f, "{id:032x}"),
            Repr::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn generated_ids_sort_by_time_and_differ() {
        let early = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let late = early + Duration::from_millis(1);
        assert!(EventId::generate(early).to_string() < EventId::generate(late).to_string());
        assert_ne!(EventId::generate(early), EventId::generate(early));
        assert_eq!(EventId::generate(early).to_string().len(), 32);
    }

    #[test]
    fn senders_ids_are_kept_or_refused() {
        assert_eq!("order-7".parse::<EventId>().unwrap().to_string(), "order-7");
        assert!("".parse::<EventId>().is_err());
        assert!("a\r\nb".parse::<EventId>().is_err());
    }
}
