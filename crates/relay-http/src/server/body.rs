//! Reading a body: never more than is reserved, never slower than allowed, into one buffer of its own size.
//!
//! The bytes are copied out of hyper's read buffer, which is small and belongs to the connection: an event that waits
//! in a queue for a minute must not keep it. A body of known length is reserved as a whole before its first byte is
//! read; one without (`Transfer-Encoding: chunked`) in steps that double, each asked for at the gate before it is
//! taken.

use super::pace::Pace;
use super::refusal::Refused;
use super::sender::Sender;
use super::site::Site;
use super::socket::{LINGER, LINGER_BYTES};
use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;
use relay_engine::{Refusal, RefusalReason};
use relay_event::{Event, Permit, Priority};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use tokio::time::timeout;

/// The first step of a body without a length.
const FIRST_STEP_BYTES: u64 = 16 << 10;

/// The right to read a body.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    permit: Permit,
    /// Steps of a body without a length, beyond the first.
    steps: Vec<Permit>,
    /// How many bytes of payload may be read.
    payload_bytes: u64,
    priority: Priority,
    sender: Option<Sender<'a>>,
}

impl<'a> Admission<'a> {
    /// Asks the gate for a body of this length, and `text_bytes` of headers.
    pub(super) fn ask(
        site: &Site,
        length: Option<u64>,
        text_bytes: u64,
        priority: Priority,
        sender: Option<Sender<'a>>,
    ) -> Result<Self, Refused> {
        let max = site.config.max_body_bytes;
        let payload_bytes = length.unwrap_or(FIRST_STEP_BYTES.min(max));
        if payload_bytes > max {
            return Err(Refused::too_long(max));
        }
        let bytes = Event::charge_bytes(payload_bytes, text_bytes);
        let permit = admit(site, sender, bytes, priority)?;
        Ok(Self {
            permit,
            steps: Vec::new(),
            payload_bytes,
            priority,
            sender,
        })
    }

    /// Makes room for a body of `bytes` so far.
    fn grow(&mut self, site: &Site, bytes: u64) -> Result<(), Refused> {
        while self.payload_bytes < bytes {
            let max = site.config.max_body_bytes;
            let step = self.payload_bytes.min(max - self.payload_bytes);
            if step == 0 {
                return Err(Refused::too_long(max));
            }
            self.steps
                .push(admit(site, self.sender, step, self.priority)?);
            self.payload_bytes += step;
        }
        Ok(())
    }

    /// The body is complete. What the steps hold is returned: an event takes what it needs when it is built.
    pub(super) fn arrived(self) -> Permit {
        drop(self.steps);
        self.permit.arrived()
    }
}

fn admit(
    site: &Site,
    sender: Option<Sender<'_>>,
    bytes: u64,
    priority: Priority,
) -> Result<Permit, Refusal> {
    match sender {
        Some(sender) => site.ingest.admit_from(sender.as_bytes(), bytes, priority),
        None => site.ingest.admit(bytes, priority),
    }
}

/// Reads the whole body.
///
/// # Cancel safety
///
/// Cancelling loses what was read; the reservation is returned with `admission`.
pub(super) async fn read(
    site: &Site,
    body: &mut Incoming,
    admission: &mut Admission<'_>,
) -> Result<Bytes, Refused> {
    let length = body.size_hint().exact();
    let mut pace = Pace::of(&site.config);
    let mut payload = Vec::new();
    while !body.is_end_stream() {
        let Some(chunk) = next_chunk(body, &mut pace).await? else {
            break;
        };
        pace.received(chunk.len());
        if length == Some(chunk.len() as u64) {
            return Ok(Bytes::copy_from_slice(&chunk));
        }
        admission.grow(site, (payload.len() + chunk.len()) as u64)?;
        if payload.capacity() < payload.len() + chunk.len() {
            payload.reserve_exact(admission.payload_bytes as usize - payload.len());
        }
        payload.extend_from_slice(&chunk);
    }
    payload.shrink_to_fit();
    Ok(payload.into())
}

/// The next data of a body, trailers skipped; `None` at its end.
async fn next_chunk(body: &mut Incoming, pace: &mut Pace) -> Result<Option<Bytes>, Refused> {
    poll_fn(|cx| {
        loop {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Ok(Some(data))),
                    Err(_trailers) => {}
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(broken(&error))),
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Pending => return pace.poll_too_slow(cx).map(|()| Err(Refused::slow())),
            }
        }
    })
    .await
}

/// A body that does not end as announced: its framing is wrong, or its sender is gone.
fn broken(error: &hyper::Error) -> Refused {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            if matches!(
                io.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            ) {
                return Refused::invalid(format!("the body's chunks are malformed: {io}"));
            }
            break;
        }
        source = cause.source();
    }
    Refused::aborted()
}

/// Reads what is left of a body into nothing, 1 MiB at most and for 1 s at most, so that a sender who writes first
/// and reads later gets to the answer; whether that was all of it.
pub(super) async fn discard(body: &mut Incoming) -> bool {
    let mut left = LINGER_BYTES;
    let all = poll_fn(|cx| {
        loop {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                    if left == 0 {
                        return Poll::Ready(false);
                    }
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    timeout(LINGER, all).await.unwrap_or(false)
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let message = match refusal.reason {
            RefusalReason::Gate(_) => "not admitted now",
            _ => "not published",
        };
        Self::new(refusal.reason, message).after(refusal.retry_after)
    }
}
