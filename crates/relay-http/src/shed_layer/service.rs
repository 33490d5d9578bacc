//! The service: asks, and calls or refuses.

use super::body::{Growth, Held, ShedBody, ShedRequestBody};
use super::future::ShedFuture;
use super::{RequestPriority, Settings};
use http::{Request, Response};
use http_body::Body;
use relay_event::{Permit, Priority, Rejection};
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// A service behind a gate. Made by [`ShedLayer`](super::ShedLayer).
#[derive(Debug, Clone)]
pub struct Shed<S, P> {
    inner: S,
    settings: Settings,
    priority: P,
}

impl<S, P> Shed<S, P> {
    pub(super) fn new(inner: S, settings: Settings, priority: P) -> Self {
        Self {
            inner,
            settings,
            priority,
        }
    }
}

impl Settings {
    /// Asks for `bytes` on account of `source`, where sources are told apart.
    pub(super) fn admit(
        &self,
        source: Option<&[u8]>,
        bytes: u64,
        priority: Priority,
    ) -> Result<Permit, Rejection> {
        match source {
            Some(source) => self.gate.admit_from(source, bytes, priority),
            None => self.gate.admit(bytes, priority),
        }
    }
}

impl<S, P, B, R> Service<Request<B>> for Shed<S, P>
where
    S: Service<Request<ShedRequestBody<B>>, Response = Response<R>>,
    P: RequestPriority,
    B: Body,
{
    type Response = Response<ShedBody<R>>;
    type Error = S::Error;
    type Future = ShedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let priority = self.priority.priority_of(&head);
        let length = body.size_hint().exact();
        let body_bytes = length.unwrap_or(self.settings.body_bytes);
        let bytes = self.settings.request_bytes.saturating_add(body_bytes);
        let name = self.settings.source_header.as_ref();
        let source = name.and_then(|name| head.headers.get(name));
        let source = source.map(http::HeaderValue::as_bytes);
        let permit = match self.settings.admit(source, bytes, priority) {
            Ok(permit) => permit,
            Err(rejection) => return ShedFuture::refused(rejection),
        };
        // Only a body without a length needs something that body and response share.
        let growth = length.is_none().then(|| {
            let source = source.map(Box::from);
            let settings = self.settings.clone();
            Arc::new(Growth::new(settings, source, priority, body_bytes))
        });
        let charge = Held::new(permit, growth.clone());
        let body = ShedRequestBody::new(body, growth);
        ShedFuture::called(self.inner.call(Request::from_parts(head, body)), charge)
    }
}
