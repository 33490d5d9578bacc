//! The payload inside a document: a JSON value as it is, a JSON string, or base64.
//!
//! | content type | payload | member |
//! |---|---|---|
//! | JSON or none | a JSON value | `data`, verbatim; on one line when it had several |
//! | another | UTF-8 text | `data`, a string |
//! | any | anything else | `data_base64` |
//!
//! JSON is checked, never built into a tree. What other parsers choke on is not let in: more than 128 levels, and
//! halves of surrogate pairs.

use serde_json::value::RawValue;
use std::str;

/// Levels of nesting; the bound of `serde_json` for what it reads into values.
const MAX_DEPTH: usize = 128;

/// Whether a media type says JSON: a subtype `json` or a suffix `+json`, with or without parameters.
///
/// ```
/// use relay_event::codec::is_json;
///
/// assert!(is_json("application/json; charset=utf-8"));
/// assert!(is_json("application/problem+JSON"));
/// assert!(!is_json("text/plain"));
/// ```
pub fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let ends_with = |end: &str| {
        essence
            .len()
            .checked_sub(end.len())
            .and_then(|at| essence.get(at..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    ends_with("/json") || ends_with("+json")
}

/// How a payload is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form<'a> {
    Json(&'a str),
    Text(&'a str),
    Binary(&'a [u8]),
}

impl<'a> Form<'a> {
    pub(super) fn of(payload: &'a [u8], content_type: Option<&str>) -> Self {
        let form = match content_type {
            Some(other) if !is_json(other) => str::from_utf8(payload).ok().map(Self::Text),
            _ => json_value(payload).map(Self::Json),
        };
        form.unwrap_or(Self::Binary(payload))
    }
}

/// The one JSON value that `payload` is.
fn json_value(payload: &[u8]) -> Option<&str> {
    let value: &RawValue = serde_json::from_slice(payload).ok()?;
    check(value.get()).is_ok().then(|| value.get())
}

/// Looks for what is JSON by its grammar and a trap all the same; the offset and the name of the trap.
pub(super) fn check(json: &str) -> Result<(), (usize, &'static str)> {
    let bytes = json.as_bytes();
    let (openings, has_escapes) = survey(bytes);
    if openings > MAX_DEPTH
        && let Some(at) = too_deep(bytes)
    {
        return Err((at, "nested more than 128 levels deep"));
    }
    match has_escapes.then(|| lone_surrogate(bytes)).flatten() {
        Some(at) => Err((at, "half of a surrogate pair, which is not a character")),
        None => Ok(()),
    }
}

/// Counts what opens a level, wherever it stands, and looks for escapes. This is all that most documents need, so it
/// is written for the vectoriser: sums of bytes, over runs that cannot overflow them.
fn survey(bytes: &[u8]) -> (usize, bool) {
    let mut openings = 0;
    let mut has_escapes = false;
    for run in bytes.chunks(128) {
        let (mut opened, mut escaped) = (0_u8, 0_u8);
        for byte in run {
            // The two brackets differ in this bit alone.
            opened += u8::from(byte | 0x20 == b'{');
            escaped |= u8::from(*byte == b'\\');
        }
        openings += usize::from(opened);
        has_escapes |= escaped != 0;
    }
    (openings, has_escapes)
}

fn too_deep(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut tokens = outside_strings(bytes);
    let at = tokens.find(|(_, byte)| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    });
    at.map(|(at, _)| at)
}

/// Every byte of valid JSON that is not within a string, with its offset; the quotes are given too.
fn outside_strings(bytes: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let (mut inside, mut escaped) = (false, false);
    bytes.iter().copied().enumerate().filter(move |(_, byte)| {
        let was_inside = inside;
        match (inside, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, _, b'"') => inside = !inside,
            _ => {}
        }
        !(was_inside && inside)
    })
}

/// The first `\uD800`…`\uDFFF` that is not one of a pair. Backslashes occur only within strings.
fn lone_surrogate(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(step) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        at += step;
        match (
            unit(&bytes[at..]),
            unit(bytes.get(at + 6..).unwrap_or_default()),
        ) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => at += 12,
            (Some(0xD800..=0xDFFF), _) => return Some(at),
            (Some(_), _) => at += 6,
            (None, _) => at += 2,
        }
    }
    None
}

/// The code unit of an escape `\uXXXX` at the start of `bytes`.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// Appends a JSON value without line breaks; verbatim when it has none.
pub(super) fn write_on_one_line(json: &str, out: &mut Vec<u8>) {
    let bytes = json.as_bytes();
    if !bytes.contains(&b'\n') && !bytes.contains(&b'\r') {
        out.extend_from_slice(bytes);
        return;
    }
    let start = out.len();
    let mut inside = false;
    out.extend_from_slice(bytes);
    // In place, over the copy: quotes arrive here in pairs, and everything between them stays.
    let mut kept = start;
    let mut escaped = false;
    for at in start..out.len() {
        let byte = out[at];
        let space = !inside && matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match (inside, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, _, b'"') => inside = !inside,
            _ => {}
        }
        if !space {
            out[kept] = byte;
            kept += 1;
        }
    }
    out.truncate(kept);
}
