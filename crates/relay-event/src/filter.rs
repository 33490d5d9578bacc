//! Which events a subscription wants.
//!
//! The grammar of a pattern: `*` stands for any run of characters, also none and also dots; everything else stands
//! for itself. Patterns are compiled once, at subscribe, and matched without allocating.

use crate::event::Event;
use crate::text::control_character;
use crate::topic::Topic;
use std::fmt;

/// The longest pattern, in bytes, and the most parts of a filter: both come from outside in some uses.
const MAX_PATTERN_BYTES: usize = 255;

/// A compiled glob such as `order.*`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
}

/// The text cannot be a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    text: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "pattern {:?} is empty, longer than {MAX_PATTERN_BYTES} bytes, or has a control character",
            self.text
        )
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    ///
    /// When `text` is empty, longer than 255 bytes, or holds a control character.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() || text.len() > MAX_PATTERN_BYTES || control_character(text).is_some() {
            let text = text.chars().take(MAX_PATTERN_BYTES).collect();
            return Err(PatternError { text });
        }
        Ok(Self { text: text.into() })
    }

    /// Whether it matches any text.
    fn is_everything(&self) -> bool {
        self.text.bytes().all(|byte| byte == b'*')
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.text.split_once('*') else {
            return &*self.text == text;
        };
        let Some(mut text) = text.strip_prefix(first) else {
            return false;
        };
        let (middle, last) = match rest.rsplit_once('*') {
            Some((middle, last)) => (middle, last),
            None => ("", rest),
        };
        // Leftmost matches of the middle parts leave the most room for the last one, so greed is right here.
        for part in middle.split('*') {
            match text.find(part) {
                Some(at) => text = &text[at + part.len()..],
                None => return false,
            }
        }
        text.ends_with(last)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// Which events a subscription wants: topics and sources by glob, headers by equality.
///
/// All three must match; within topics and sources one match is enough; an empty part matches everything.
///
/// ```
/// use relay_event::{Event, Filter};
///
/// let filter = Filter::topics(["order.*", "refund"])?.source("/shop/*")?.header("region", "eu");
/// let event = Event::builder("order.paid").source("/shop/1").header("region", "eu").build()?;
/// assert!(filter.matches(&event));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    topics: Vec<Pattern>,
    sources: Vec<Pattern>,
    headers: Vec<(Box<str>, Box<str>)>,
}

impl Filter {
    /// Matches every event.
    pub fn all() -> Self {
        Self::default()
    }

    /// Matches events whose topic matches one of `patterns`.
    ///
    /// # Errors
    ///
    /// When one of `patterns` is not a [`Pattern`].
    pub fn topics<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        let mut topics = patterns
            .into_iter()
            .map(Pattern::new)
            .collect::<Result<Vec<_>, _>>()?;
        // One that wants everything makes the others idle, and an empty list is told without matching.
        if topics.iter().any(Pattern::is_everything) {
            topics.clear();
        }
        Ok(Self {
            topics,
            ..Self::default()
        })
    }

    /// Also accepts events whose source matches `pattern`.
    ///
    /// # Errors
    ///
    /// When `pattern` is not a [`Pattern`].
    pub fn source(mut self, pattern: &str) -> Result<Self, PatternError> {
        self.sources.push(Pattern::new(pattern)?);
        Ok(self)
    }

    /// Asks that the event has the header `name` with exactly this `value`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Whether it says anything about topics.
    pub(crate) fn looks_at_topic(&self) -> bool {
        !self.topics.is_empty()
    }

    /// Whether it says nothing but about topics.
    pub(crate) fn is_by_topic(&self) -> bool {
        self.sources.is_empty() && self.headers.is_empty()
    }

    /// Whether it wants events of this topic, as far as that goes.
    pub(crate) fn matches_topic(&self, topic: &Topic) -> bool {
        any(&self.topics, topic.as_str())
    }

    /// Whether this filter wants `event`.
    pub fn matches(&self, event: &Event) -> bool {
        self.matches_topic(event.topic())
            && any(&self.sources, event.source())
            && self
                .headers
                .iter()
                .all(|(name, value)| event.headers().get(name) == Some(value))
    }
}

fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "a.b", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a.*", "a.b.c", true),
            ("a.*", "a", false),
            ("*.c", "a.b.c", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("a*a", "a", false),
            ("*b*b*", "xbyb", true),
            ("*b*b*", "xb", false),
            ("ab*ba", "aba", false),
            ("**", "anything", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} against {text}");
        }
    }

    /// The textbook definition: slow, recursive and obviously right.
    fn oracle(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| oracle(rest, &text[skip..])),
            Some((c, rest)) => text
                .split_first()
                .is_some_and(|(t, tail)| t == c && oracle(rest, tail)),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_textbook(pattern in "[ab*é]{1,8}", text in "[abé]{0,10}") {
            let expected = oracle(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(matches(&pattern, &text), expected);
        }
    }

    #[test]
    fn all_parts_must_match_and_empty_matches_all() {
        let event = Event::builder("a.b")
            .source("/s")
            .header("k", "v")
            .build()
            .unwrap();
        let topics = Filter::topics(["x", "a.*"]).unwrap();
        assert!(Filter::all().matches(&event));
        assert!(topics.matches(&event));
        assert!(
            topics
                .clone()
                .source("/s")
                .unwrap()
                .header("k", "v")
                .matches(&event)
        );
        assert!(!topics.clone().source("/t").unwrap().matches(&event));
        assert!(!topics.header("k", "w").matches(&event));
        assert!(!Filter::all().header("absent", "v").matches(&event));
        assert_eq!(Filter::topics(["x", "*"]).unwrap(), Filter::all());
    }
}
