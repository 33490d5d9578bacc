//! A request that is not accepted: why, where the mistake is, and when to come back.

use crate::cloudevents::HeaderError;
use crate::refusing;
use http::StatusCode;
use relay_engine::RefusalReason;
use relay_event::codec::DecodeError;
use relay_event::{BudgetError, EventError, Reason};
use std::borrow::Cow;
use std::time::Duration;

/// Why a request is not accepted.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: RefusalReason,
    pub(super) message: Cow<'static, str>,
    pub(super) retry_after: Option<Duration>,
    pub(super) place: Place,
    /// Where the reason says too little: a status of its own.
    status: Option<StatusCode>,
}

/// Where the mistake is, as far as that can be said.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) text: Option<TextPlace>,
    pub(super) field: Option<Box<str>>,
}

/// A place within a body: line and column from 1, byte from 0.
#[derive(Debug)]
pub(super) struct TextPlace {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) byte: usize,
}

impl Refused {
    pub(super) fn new(reason: RefusalReason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
            retry_after: None,
            place: Place::default(),
            status: None,
        }
    }

    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RefusalReason::Invalid, message)
    }

    pub(super) fn too_long(max_bytes: u64) -> Self {
        Self::new(
            RefusalReason::BodyTooLarge,
            format!("the body is longer than {max_bytes} bytes"),
        )
    }

    pub(super) fn too_many(max_events: usize) -> Self {
        Self::new(
            RefusalReason::BodyTooLarge,
            format!("the body holds more than {max_events} events"),
        )
    }

    pub(super) fn uri_too_long(max_bytes: usize) -> Self {
        let message = format!("the path and query are longer than {max_bytes} bytes");
        Self {
            status: Some(StatusCode::URI_TOO_LONG),
            ..Self::invalid(message)
        }
    }

    pub(super) fn too_many_headers(max: usize) -> Self {
        let message = format!("there are more than {max} headers");
        Self {
            status: Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            ..Self::invalid(message)
        }
    }

    pub(super) fn slow() -> Self {
        Self::new(RefusalReason::Slow, "the body came too slowly")
    }

    pub(super) fn aborted() -> Self {
        Self::new(RefusalReason::Aborted, "the body ended early")
    }

    pub(super) fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Names the event of a batch, counted from 1.
    pub(super) fn in_event(mut self, index: usize) -> Self {
        self.message = format!("event {}: {}", index + 1, self.message).into();
        self
    }

    /// The status: who can do something about it, and what.
    pub(super) fn status(&self) -> StatusCode {
        if let Some(status) = self.status {
            return status;
        }
        match self.reason {
            RefusalReason::Gate(reason) => refusing::status_of(reason),
            RefusalReason::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RefusalReason::Invalid | RefusalReason::Aborted => StatusCode::BAD_REQUEST,
            RefusalReason::Slow => StatusCode::REQUEST_TIMEOUT,
            RefusalReason::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            // A queue that is full, a bus that is closed: both pass.
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whole seconds to wait, rounded up, at least one: what `Retry-After` can say. None where waiting helps nothing.
    pub(super) fn retry_after_s(&self) -> Option<u64> {
        refusing::retry_after_s(self.status(), self.retry_after)
    }
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        let text = TextPlace {
            line: error.line,
            column: error.column,
            byte: error.offset,
        };
        let place = Place {
            text: Some(text),
            field: error.field,
        };
        Self {
            place,
            ..Self::invalid(String::from(error.message))
        }
    }
}

impl From<HeaderError> for Refused {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::Unsupported(message) => Self::new(RefusalReason::Unsupported, message),
            HeaderError::Invalid { field, message } => Self {
                place: Place {
                    text: None,
                    field: Some(field.into()),
                },
                ..Self::invalid(message)
            },
        }
    }
}

impl From<EventError> for Refused {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Budget(BudgetError::TooLarge { .. }) => {
                Self::new(RefusalReason::Gate(Reason::TooLarge), error.to_string())
            }
            EventError::Budget(_) => {
                Self::new(RefusalReason::Gate(Reason::Ledger), error.to_string())
            }
            other => Self::invalid(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_whole_seconds_rounded_up() {
        let after = |reason, wait| Refused::new(reason, "").after(wait).retry_after_s();
        let ledger = RefusalReason::Gate(Reason::Ledger);
        assert_eq!(after(ledger, Some(Duration::from_millis(1001))), Some(2));
        assert_eq!(after(ledger, Some(Duration::from_secs(3))), Some(3));
        assert_eq!(after(ledger, Some(Duration::ZERO)), Some(1));
        assert_eq!(after(RefusalReason::Closed, None), Some(1));
        assert_eq!(
            after(RefusalReason::BodyTooLarge, Some(Duration::from_secs(3))),
            None
        );
    }

    #[test]
    fn every_reason_has_its_status() {
        let statuses: Vec<_> = RefusalReason::ALL
            .iter()
            .map(|reason| Refused::new(*reason, "").status().as_u16())
            .collect();
        assert_eq!(
            statuses,
            [
                413, 429, 429, 429, 503, 503, 503, 503, 503, 400, 413, 408, 400, 415, 503
            ]
        );
    }
}
