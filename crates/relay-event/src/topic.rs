//! What an event is about: a short, checked, cheaply cloned name.

use crate::text::control_character;
use std::fmt;
use std::sync::Arc;

/// The longest topic, in bytes.
const MAX_BYTES: usize = 255;

/// What an event is about, such as `order.created`; the `type` of `CloudEvents`.
///
/// Never empty, at most 255 bytes, without control characters. Cloning is one reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// The text cannot be a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicError {
    /// It is empty.
    Empty,
    /// It is longer than 255 bytes; its length is given.
    TooLong(usize),
    /// It holds a control character, at this byte offset.
    ControlCharacter(usize),
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("topic is empty: name what the event is about"),
            Self::TooLong(bytes) => write!(
                f,
                "topic has {bytes} bytes, at most {MAX_BYTES} are allowed"
            ),
            Self::ControlCharacter(at) => write!(f, "topic has a control character at byte {at}"),
        }
    }
}

impl std::error::Error for TopicError {}

impl Topic {
    /// Checks and keeps `text`.
    ///
    /// # Errors
    ///
    /// When `text` is empty, longer than 255 bytes, or holds a control character.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(TopicError::TooLong(text.len()));
        }
        match control_character(text) {
            Some(at) => Err(TopicError::ControlCharacter(at)),
            None => Ok(Self(Arc::from(text))),
        }
    }

    /// Whether both are one and the same allocation: a quick yes, and a no that means nothing.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl TryFrom<&str> for Topic {
    type Error = TopicError;

    fn try_from(text: &str) -> Result<Self, TopicError> {
        Self::new(text)
    }
}

impl TryFrom<&Topic> for Topic {
    type Error = TopicError;

    fn try_from(topic: &Topic) -> Result<Self, TopicError> {
        Ok(topic.clone())
    }
}

impl From<std::convert::Infallible> for TopicError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_topics_are_refused_with_the_place() {
        assert_eq!(Topic::new(""), Err(TopicError::Empty));
        assert_eq!(Topic::new("a\nb"), Err(TopicError::ControlCharacter(1)));
        assert_eq!(Topic::new(&"x".repeat(256)), Err(TopicError::TooLong(256)));
        assert!(Topic::new(&"x".repeat(255)).is_ok());
    }
}
