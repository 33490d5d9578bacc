//! How a refusal of the gate is put into HTTP: one answer, whoever asks.

use http::StatusCode;
use relay_event::Reason;
use std::time::Duration;

/// The status of a refusal: 413 will never fit, 429 is about this sender, 503 about everybody.
pub(crate) fn status_of(reason: Reason) -> StatusCode {
    match reason {
        Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::Rate | Reason::Priority | Reason::SourceShare => StatusCode::TOO_MANY_REQUESTS,
        // The ledger, the delay, the level, a service that ends: all of them pass.
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Whole seconds to wait, rounded up, at least one: what `Retry-After` can say. None where waiting helps nothing.
pub(crate) fn retry_after_s(status: StatusCode, wait: Option<Duration>) -> Option<u64> {
    let helps = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let wait = wait.unwrap_or_default();
    helps.then(|| (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
}
