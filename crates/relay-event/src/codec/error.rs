//! Where a document is wrong, and how.

use std::fmt;

/// Bytes are not an event: what is wrong, and at which place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeError {
    /// The offending byte, counted from 0 over the whole input; at most the length of the input.
    pub offset: usize,
    /// Its line, counted from 1.
    pub line: usize,
    /// Its byte within the line, counted from 1.
    pub column: usize,
    /// The attribute, where one was being read.
    pub field: Option<Box<str>>,
    /// What is wrong.
    pub message: Box<str>,
}

/// The most of an attribute's name that is repeated in an error.
const MAX_FIELD_CHARS: usize = 64;

/// The most of a parser's message.
const MAX_MESSAGE_CHARS: usize = 256;

impl DecodeError {
    /// A mistake at byte `offset` of `text`.
    pub(super) fn at(text: &[u8], offset: usize, message: impl Into<Box<str>>) -> Self {
        let (line, column) = place(text, offset);
        Self {
            offset: offset.min(text.len()),
            line,
            column,
            field: None,
            message: message.into(),
        }
    }

    /// What `serde_json` found in `text[start..]`.
    pub(super) fn json(text: &[u8], start: usize, error: &serde_json::Error) -> Self {
        let offset = start + offset_of(&text[start..], error.line(), error.column());
        let message = error.to_string();
        // serde_json ends its messages with the place, which is relative to `start` and told apart here.
        let message = message
            .rsplit_once(" at line ")
            .map_or(message.as_str(), |(text, _)| text);
        // It repeats the text of a wrong value, however long that is.
        let message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
        Self::at(text, offset, message)
    }

    pub(super) fn field(mut self, name: &str) -> Self {
        self.field = Some(name.chars().take(MAX_FIELD_CHARS).collect());
        self
    }

    /// The same mistake, seen from a `text` in which the document begins at byte `start`.
    pub(super) fn within(self, text: &[u8], start: usize) -> Self {
        let offset = start + self.offset;
        let (line, column) = place(text, offset);
        Self {
            offset,
            line,
            column,
            ..self
        }
    }
}

/// Line and column of a byte, both counted from 1.
fn place(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    (line, before.len() - start + 1)
}

/// The byte that `serde_json` means: its columns count the bytes of the line up to and including the wrong one.
fn offset_of(text: &[u8], line: usize, column: usize) -> usize {
    let ends = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1);
    let start = std::iter::once(0)
        .chain(ends)
        .nth(line.saturating_sub(1))
        .unwrap_or(text.len());
    (start + column.saturating_sub(1)).min(text.len())
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "attribute {field:?}: ")?;
        }
        write!(
            f,
            "{} (line {}, column {}, byte {})",
            self.message, self.line, self.column, self.offset
        )
    }
}

impl std::error::Error for DecodeError {}
