//! Many documents, one at a time: a JSON array, or one document a line.

use super::{Codec, DecodeError, Json};
use crate::event::EventBuilder;
use serde_json::value::RawValue;

/// The events of a JSON array, the `CloudEvents` batch form, decoded one at a time. Ends after the first mistake.
///
/// ```
/// use relay_event::codec::{Elements, Json};
///
/// let text = br#"[{"specversion":"1.0","id":"1","source":"/","type":"t"}, 7]"#;
/// let mut events = Elements::new(text, Json::new());
/// assert!(events.next().unwrap().is_ok());
/// assert_eq!(events.next().unwrap().unwrap_err().offset, 57);
/// assert!(events.next().is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    text: &'a [u8],
    at: usize,
    codec: Json,
    expects: Expects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    Opening,
    FirstOrClosing,
    CommaOrClosing,
    Nothing,
}

/// The events of newline-delimited JSON, decoded one at a time; empty lines are skipped. Ends after the first mistake.
///
/// ```
/// use relay_event::codec::{Json, Lines};
///
/// let text = b"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\"}\n\n{]\n";
/// let mut events = Lines::new(text, Json::new());
/// assert!(events.next().unwrap().is_ok());
/// assert_eq!(events.next().unwrap().unwrap_err().line, 3);
/// assert!(events.next().is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    codec: Json,
}

// === impl Elements ===

impl<'a> Elements<'a> {
    /// The events of the array that `text` is.
    pub const fn new(text: &'a [u8], codec: Json) -> Self {
        Self {
            text,
            at: 0,
            codec,
            expects: Expects::Opening,
        }
    }

    /// Moves over white space and gives the next byte.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += rest
            .iter()
            .position(|byte| !space(byte))
            .unwrap_or(rest.len());
        self.text.get(self.at).copied()
    }

    fn advance(&mut self) -> Result<Option<EventBuilder>, DecodeError> {
        if self.expects == Expects::Opening {
            self.take(b'[', "expected [, the start of a batch")?;
            self.expects = Expects::FirstOrClosing;
        }
        let next = self.peek();
        if next == Some(b']') {
            self.at += 1;
            return match self.peek() {
                None => Ok(None),
                Some(_) => Err(self.wrong("expected nothing after the batch")),
            };
        }
        if self.expects == Expects::CommaOrClosing {
            self.take(b',', "expected , or ] after an event")?;
        }
        self.expects = Expects::CommaOrClosing;
        self.element().map(Some)
    }

    fn take(&mut self, byte: u8, message: &'static str) -> Result<(), DecodeError> {
        if self.peek() != Some(byte) {
            return Err(self.wrong(message));
        }
        self.at += 1;
        Ok(())
    }

    fn element(&mut self) -> Result<EventBuilder, DecodeError> {
        if self.peek() != Some(b'{') {
            return Err(self.wrong("expected an event, which is a JSON object"));
        }
        let rest = &self.text[self.at..];
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
        let value = match values.next() {
            Some(Ok(value)) => value.get().as_bytes(),
            Some(Err(error)) => return Err(DecodeError::json(self.text, self.at, &error)),
            None => return Err(self.wrong("the batch ends early")),
        };
        let start = self.at;
        self.at += values.byte_offset();
        self.codec
            .decode(value)
            .map_err(|error| error.within(self.text, start))
    }

    fn wrong(&self, message: &'static str) -> DecodeError {
        DecodeError::at(self.text, self.at, message)
    }
}

impl Iterator for Elements<'_> {
    type Item = Result<EventBuilder, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.expects == Expects::Nothing {
            return None;
        }
        let result = self.advance();
        if !matches!(result, Ok(Some(_))) {
            self.expects = Expects::Nothing;
        }
        result.transpose()
    }
}

// === impl Lines ===

impl<'a> Lines<'a> {
    /// The events of the lines of `text`.
    pub const fn new(text: &'a [u8], codec: Json) -> Self {
        Self { text, at: 0, codec }
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<EventBuilder, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.at;
            let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
            let length = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len());
            self.at = start + length + 1;
            let line = &rest[..length];
            if line.trim_ascii().is_empty() {
                continue;
            }
            let result = self
                .codec
                .decode(line)
                .map_err(|error| error.within(self.text, start));
            if result.is_err() {
                self.at = self.text.len();
            }
            return Some(result);
        }
    }
}
