//! What a sender is told: a status, and one small JSON document rendered straight into its buffer.

use super::refusal::{Place, Refused};
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use relay_event::EventId;
use serde::Serializer as _;
use std::fmt::Display;
use std::io::{Cursor, Write as _};

/// The body of an answer: a vector as it is, since `Bytes` would need a block of its own to share what is never shared.
pub(super) type Document = Full<Cursor<Vec<u8>>>;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    retry_after_s: Option<u64>,
    allow: Option<&'static str>,
    closes: bool,
}

/// The ids of what is accepted, rendered as they are published: the body of the answer when all of it is.
#[derive(Debug)]
pub(super) struct Ids {
    body: Vec<u8>,
    start: usize,
    /// Where the last id, with its comma, begins.
    last: usize,
    count: u64,
}

impl Ids {
    /// For so many events; our own ids have 32 digits.
    pub(super) fn of(events: usize) -> Self {
        let mut body = Vec::with_capacity(40 + events.saturating_mul(35));
        match events {
            1 => body.extend_from_slice(b"{\"accepted\":1,\"ids\":["),
            _ => drop(write!(body, "{{\"accepted\":{events},\"ids\":[")),
        }
        let start = body.len();
        Self {
            body,
            start,
            last: start,
            count: 0,
        }
    }

    pub(super) fn push(&mut self, id: &EventId) {
        self.last = self.body.len();
        if self.count > 0 {
            self.body.push(b',');
        }
        let mut digits = [0; EventId::DIGITS];
        let id = id.text(&mut digits);
        // An id has no control characters, so only these two need an escape, and hardly any id has them.
        if id.bytes().any(|byte| matches!(byte, b'"' | b'\\')) {
            write_string(id, &mut self.body);
        } else {
            self.body.push(b'"');
            self.body.extend_from_slice(id.as_bytes());
            self.body.push(b'"');
        }
        self.count += 1;
    }

    /// Takes the last one back.
    pub(super) fn pop(&mut self) {
        self.body.truncate(self.last);
        self.count -= 1;
    }

    fn complete(mut self) -> Vec<u8> {
        self.body.extend_from_slice(b"]}");
        self.body
    }
}

impl Answer {
    /// 202: everything was accepted.
    pub(super) fn accepted(ids: Ids) -> Self {
        Self::new(StatusCode::ACCEPTED, ids.complete())
    }

    /// A refusal, and what was accepted before it when the request carried several events.
    pub(super) fn refused(refused: &Refused, accepted: Option<&Ids>) -> Self {
        let retry_after_s = refused.retry_after_s();
        let mut body = Vec::with_capacity(192);
        write_error(
            refused.reason.as_str(),
            &refused.message,
            retry_after_s,
            &refused.place,
            &mut body,
        );
        if let Some(ids) = accepted {
            let _ = write!(body, ",\"accepted\":{},\"ids\":[", ids.count);
            body.extend_from_slice(&ids.body[ids.start..]);
            body.push(b']');
        }
        body.push(b'}');
        Self {
            retry_after_s,
            ..Self::new(refused.status(), body)
        }
    }

    /// A request that is not about events at all.
    pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Self {
        let mut body = Vec::with_capacity(128);
        write_error(code, message, None, &Place::default(), &mut body);
        body.push(b'}');
        Self::new(status, body)
    }

    fn new(status: StatusCode, body: Vec<u8>) -> Self {
        Self {
            status,
            body,
            retry_after_s: None,
            allow: None,
            closes: false,
        }
    }

    /// Names the methods that are allowed.
    pub(super) fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// Ends the connection after this answer.
    pub(super) fn closing(mut self, closes: bool) -> Self {
        self.closes |= closes;
        self
    }

    pub(super) fn closes(&self) -> bool {
        self.closes
    }

    /// The response; `headers` is the map of the request, whose memory is used again.
    pub(super) fn into_response(self, mut headers: HeaderMap) -> Response<Document> {
        headers.clear();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let mut response = Response::new(Full::new(Cursor::new(self.body)));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

/// The error, without the last brace. Writing to a vector cannot fail.
fn write_error(
    code: &str,
    message: &str,
    retry_after_s: Option<u64>,
    place: &Place,
    out: &mut Vec<u8>,
) {
    let _ = write!(out, "{{\"error\":{{\"code\":\"{code}\",\"message\":");
    write_string(message, out);
    if let Some(seconds) = retry_after_s {
        let _ = write!(out, ",\"retry_after_seconds\":{seconds}");
    }
    write_place(place, out);
    out.push(b'}');
}

fn write_place(place: &Place, out: &mut Vec<u8>) {
    if place.text.is_none() && place.field.is_none() {
        return;
    }
    out.extend_from_slice(b",\"at\":{");
    if let Some(text) = &place.text {
        let _ = write!(
            out,
            "\"line\":{},\"column\":{},\"byte\":{}",
            text.line, text.column, text.byte
        );
    }
    if let Some(field) = &place.field {
        let comma = if place.text.is_some() { "," } else { "" };
        let _ = write!(out, "{comma}\"field\":");
        write_string(field, out);
    }
    out.push(b'}');
}

/// A JSON string. Writing to a vector cannot fail.
fn write_string<T: Display + ?Sized>(text: &T, out: &mut Vec<u8>) {
    let _ = serde_json::Serializer::new(out).collect_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_json_and_can_be_taken_back() {
        let mut ids = Ids::of(2);
        ids.push(&"a".parse().unwrap());
        ids.push(&"b".parse().unwrap());
        ids.pop();
        ids.push(&"q\"\\é".parse().unwrap());
        let body: serde_json::Value = serde_json::from_slice(&Answer::accepted(ids).body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"accepted": 2, "ids": ["a", "q\"\\é"]})
        );
    }
}
