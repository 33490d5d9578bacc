//! Names of events: what a sender chose, or 128 bits of ours.

use crate::text::control_character;
use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest id taken from a sender, in bytes.
const MAX_BYTES: usize = 255;

const HEX: &[u8; 16] = b"0123456789abcdef";

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
    /// The length of a generated id as text, in bytes.
    pub const DIGITS: usize = 32;

    /// A new id for an event of this `time`.
    pub fn generate(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u128::from(since.as_secs()) * 1000 + u128::from(since.subsec_millis());
        let random = fastrand::u128(..) >> 48;
        Self(Repr::Generated((millis << 80) | random))
    }

    /// The id as text; a generated one is written into `buffer`.
    pub fn text<'a>(&'a self, buffer: &'a mut [u8; Self::DIGITS]) -> &'a str {
        match &self.0 {
            Repr::Generated(id) => digits(*id, buffer),
            Repr::Text(text) => text,
        }
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

    /// Keeps a sender's id as it is; one of ours that comes back is equal to what it was.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(id) = generated(text) {
            return Ok(Self(Repr::Generated(id)));
        }
        if text.is_empty() || text.len() > MAX_BYTES || control_character(text).is_some() {
            return Err(crate::EventError::Id {
                max_bytes: MAX_BYTES,
            });
        }
        Ok(Self(Repr::Text(text.into())))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; Self::DIGITS]))
    }
}

/// The id as hexadecimal digits, from a table: an id is written for each event that is answered, and the formatter of
/// the standard library takes most of the time of doing so.
fn digits(id: u128, buffer: &mut [u8; EventId::DIGITS]) -> &str {
    for (pair, byte) in buffer.chunks_exact_mut(2).zip(id.to_be_bytes()) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    std::str::from_utf8(buffer).unwrap_or_default()
}

/// The number behind 32 lower-case hexadecimal digits.
fn generated(text: &str) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_ours = text.len() == EventId::DIGITS && text.bytes().all(is_digit);
    is_ours
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
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
        let id = EventId::generate(early);
        let EventId(Repr::Generated(number)) = &id else {
            panic!("{id}")
        };
        assert_eq!(id.to_string(), format!("{number:032x}"));
        assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
    }

    #[test]
    fn senders_ids_are_kept_or_refused() {
        assert_eq!("order-7".parse::<EventId>().unwrap().to_string(), "order-7");
        let upper = "0123456789ABCDEF0123456789ABCDEF";
        assert_eq!(upper.parse::<EventId>().unwrap().to_string(), upper);
        assert!("".parse::<EventId>().is_err());
        assert!("a\r\nb".parse::<EventId>().is_err());
    }
}
