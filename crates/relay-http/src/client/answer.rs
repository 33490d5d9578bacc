//! What an answer means: delivered, come back later, or never.

use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use relay_engine::EmitError;
use serde::Deserialize;
use std::time::{Duration, SystemTime};

/// The longest wait that a target may ask for.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// The most of an answer's text that is repeated in an error.
const MAX_TEXT_CHARS: usize = 200;

/// What became of one request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It arrived.
    Delivered,
    /// It may arrive another time; the first `accepted` events of it did.
    Retry { error: EmitError, accepted: usize },
    /// It is too large for the target.
    TooLarge(EmitError),
    /// It never will.
    Reject(EmitError),
}

impl Verdict {
    pub(super) fn retry(error: EmitError) -> Self {
        Self::Retry { error, accepted: 0 }
    }
}

/// Judges an answer.
pub(super) fn judge(
    name: &str,
    status: StatusCode,
    wait: Option<Duration>,
    text: &[u8],
) -> Verdict {
    let story = || format!("{name} answered {status}{}", excerpt(text));
    match status.as_u16() {
        200..=299 => Verdict::Delivered,
        // What is wrong now and may be right later: RFC 9110 section 15, RFC 8470 (425), RFC 6585 (429).
        408 | 425 | 429 | 500 | 502 | 503 | 504 => {
            let error = EmitError::retry(story());
            let error = match wait {
                Some(wait) => error.after(wait),
                None => error,
            };
            Verdict::Retry {
                error,
                accepted: accepted_of(text),
            }
        }
        413 => Verdict::TooLarge(EmitError::reject(story())),
        300..=399 => Verdict::Reject(EmitError::reject(format!(
            "{name} answered {status}: redirects are not followed, set the URL to where it leads"
        ))),
        _ => Verdict::Reject(EmitError::reject(story())),
    }
}

/// What `Retry-After` asks for, in seconds or until a date, one minute at most.
pub(super) fn wait_of(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let date: Timestamp = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        SystemTime::from(date)
            .duration_since(SystemTime::now())
            .unwrap_or_default()
    };
    Some(wait.min(MAX_WAIT))
}

/// How many events another Relay accepted before it refused the rest.
fn accepted_of(text: &[u8]) -> usize {
    #[derive(Deserialize)]
    struct Answer {
        accepted: usize,
    }
    serde_json::from_slice(text).map_or(0, |answer: Answer| answer.accepted)
}

/// The beginning of an answer, without control characters.
fn excerpt(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text: String = text
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_TEXT_CHARS)
        .collect();
    if text.is_empty() {
        text
    } else {
        format!(": {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_judged() {
        let kind = |status| match judge("x", StatusCode::from_u16(status).unwrap(), None, b"") {
            Verdict::Delivered => "delivered",
            Verdict::Retry { .. } => "retry",
            Verdict::TooLarge(_) => "halve",
            Verdict::Reject(_) => "reject",
        };
        for (statuses, expected) in [
            (&[200, 202, 204][..], "delivered"),
            (&[408, 425, 429, 500, 502, 503, 504], "retry"),
            (&[413], "halve"),
            (
                &[301, 307, 400, 401, 404, 410, 415, 422, 501, 505],
                "reject",
            ),
        ] {
            for status in statuses {
                assert_eq!(kind(*status), expected, "{status}");
            }
        }
    }

    #[test]
    fn waits_are_seconds_or_dates_and_capped() {
        let wait = |text: &str| wait_of(&HeaderValue::from_str(text).unwrap());
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("3600"), Some(MAX_WAIT));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("Wed, 01 Jan 2200 00:00:00 GMT"), Some(MAX_WAIT));
        for text in ["", "soon", "-1", "1.5"] {
            assert_eq!(wait(text), None, "{text}");
        }
    }

    #[test]
    fn partly_accepted_requests_are_understood() {
        let text = br#"{"error":{"code":"queue_full"},"accepted":3,"ids":["a","b","c"]}"#;
        let verdict = judge("x", StatusCode::SERVICE_UNAVAILABLE, None, text);
        assert!(matches!(verdict, Verdict::Retry { accepted: 3, .. }));
        assert_eq!(accepted_of(b"<html>"), 0);
    }

    #[test]
    fn texts_are_short_and_harmless() {
        let text = format!("no\x1b[31m\r\n{}", "x".repeat(1000));
        assert!(excerpt(text.as_bytes()).starts_with(": no[31mx"));
        assert_eq!(excerpt(text.as_bytes()).len(), 2 + MAX_TEXT_CHARS);
    }
}
