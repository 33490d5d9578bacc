//! From a request to its answer.

use super::answer::{Answer, Document};
use super::body::{self, Admission};
use super::events::{self, Halted};
use super::line::Line;
use super::refusal::Refused;
use super::sender;
use super::site::Site;
use crate::cloudevents::Binding;
use http::header::EXPECT;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use relay_engine::{Arrival, RefusalReason};
use std::convert::Infallible;

/// Answers one request.
pub(super) async fn answer(
    site: &Site,
    line: &Line,
    request: Request<Incoming>,
) -> Result<Response<Document>, Infallible> {
    line.request_begins();
    let (head, mut body) = request.into_parts();
    let is_chunked = body.size_hint().exact().is_none();
    let answer = match route(site, &head) {
        Ok(()) => receive(site, line, &head, &mut body).await,
        Err(answer) => {
            let unread = !read_rest(&head, &mut body).await;
            answer.closing(unread)
        }
    };
    // A message with both a length and chunks is read as chunks, and the connection has to end with it (RFC 9112
    // section 6.1). hyper has hidden by now which of the two it was, so every message in chunks is the last one.
    let answer = answer.closing(is_chunked);
    line.request_ends(answer.closes());
    Ok(answer.into_response(head.headers))
}

/// Whether this is a place to post events to.
fn route(site: &Site, head: &Parts) -> Result<(), Answer> {
    if head.uri.path() != site.config.path {
        let message = format!(
            "there is nothing at this path, events are posted to {}",
            site.config.path
        );
        return Err(Answer::error(StatusCode::NOT_FOUND, "not_found", &message));
    }
    if head.method != Method::POST {
        let answer = Answer::error(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "events are posted",
        );
        return Err(answer.allow("POST"));
    }
    Ok(())
}

/// Takes the events of one request, and keeps the account of them.
async fn receive(site: &Site, line: &Line, head: &Parts, body: &mut Incoming) -> Answer {
    let mut arrival = site.ingest.arrive();
    match accept(site, line, head, body, &mut arrival).await {
        Ok(answer) => answer,
        Err(Halted { refused, accepted }) => {
            arrival.refuse(refused.reason);
            if matches!(
                refused.reason,
                RefusalReason::Invalid | RefusalReason::Unsupported
            ) {
                site.ingest.report_invalid(&refused.message);
            }
            let unread = !read_rest(head, body).await;
            Answer::refused(&refused, accepted.as_deref()).closing(unread)
        }
    }
}

async fn accept(
    site: &Site,
    line: &Line,
    head: &Parts,
    body: &mut Incoming,
    arrival: &mut Arrival<'_>,
) -> Result<Answer, Halted> {
    check_head(site, head)?;
    let binding = Binding::read(&head.headers, &site.priority_header)?;
    let length = body.size_hint().exact();
    let by_rule = site.priority_rules.of_head(head, &binding, &site.defaults);
    let priority = by_rule.or(binding.priority).unwrap_or_default();
    let sender = sender::of(site, line, head, &binding);
    let mut admission = Admission::ask(site, length, binding.text_bytes, priority, sender)?;
    let body = body::read(site, body, &mut admission).await?;
    let request = events::Complete {
        head,
        binding,
        body,
        priority,
    };
    // From here on it is work: until there is a worker for it, what it holds still counts as arriving.
    let worker = site.workers.acquire().await;
    let published = events::publish(site, line, request, admission.arrived(), arrival);
    let is_full =
        matches!(&published, Err(halted) if halted.refused.reason == RefusalReason::QueueFull);
    worker.finish(arrival.accepted(), u64::from(is_full));
    published
}

/// The limits that hyper leaves to us.
fn check_head(site: &Site, head: &Parts) -> Result<(), Refused> {
    let uri_bytes = head
        .uri
        .path_and_query()
        .map_or(0, |uri| uri.as_str().len());
    if uri_bytes > site.config.max_uri_bytes {
        return Err(Refused::uri_too_long(site.config.max_uri_bytes));
    }
    if head.headers.len() > site.config.max_headers {
        return Err(Refused::too_many_headers(site.config.max_headers));
    }
    Ok(())
}

/// Reads the rest of a body that nobody wants, so that its sender gets to the answer; whether nothing is left. A
/// sender who asked first (`Expect: 100-continue`) has not sent it, and will not.
async fn read_rest(head: &Parts, body: &mut Incoming) -> bool {
    if body.is_end_stream() {
        return true;
    }
    let has_asked = head
        .headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    !has_asked && body::discard(body).await
}
