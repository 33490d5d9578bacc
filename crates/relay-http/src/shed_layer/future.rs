//! What a call resolves to.

use super::body::{Held, ShedBody};
use crate::refusing;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response};
use pin_project_lite::pin_project;
use relay_event::Rejection;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// The response of the service, or the refusal of the gate.
    ///
    /// # Panics
    ///
    /// When polled again after it is ready.
    #[derive(Debug)]
    pub struct ShedFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjected]
    #[derive(Debug)]
    enum State<F> {
        Called { #[pin] inner: F, held: Option<Held> },
        Refused { rejection: Rejection },
    }
}

impl<F> ShedFuture<F> {
    pub(super) fn called(inner: F, held: Held) -> Self {
        let held = Some(held);
        Self {
            state: State::Called { inner, held },
        }
    }

    pub(super) fn refused(rejection: Rejection) -> Self {
        Self {
            state: State::Refused { rejection },
        }
    }
}

impl<F, R, E> Future for ShedFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ShedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (inner, held) = match self.project().state.project() {
            StateProjected::Called { inner, held } => (inner, held),
            StateProjected::Refused { rejection } => return Poll::Ready(Ok(refusal(*rejection))),
        };
        let answered = ready!(inner.poll(cx));
        let held = held.take().expect("not polled after it was ready");
        if let Some(rejection) = held.refused() {
            return Poll::Ready(Ok(refusal(rejection)));
        }
        Poll::Ready(answered.map(|response| response.map(|body| ShedBody::holding(body, held))))
    }
}

/// The answer to what is not admitted.
fn refusal<R>(rejection: Rejection) -> Response<ShedBody<R>> {
    let status = refusing::status_of(rejection.reason);
    let wait = refusing::retry_after_s(status, Some(rejection.retry_after));
    let mut document = format!(
        r#"{{"error":{{"code":"{}","message":"not admitted now""#,
        rejection.reason
    );
    if let Some(seconds) = wait {
        // Writing to a string cannot fail.
        let _ = write!(document, r#","retry_after_seconds":{seconds}"#);
    }
    document += "}}";
    let mut response = Response::new(ShedBody::refusal(Bytes::from(document)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = wait {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
