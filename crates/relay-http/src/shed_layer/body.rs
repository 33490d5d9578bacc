//! The two bodies: that of the request, which may need more, and that of the response, which holds what was given.

use super::Settings;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use relay_event::{Permit, Priority, Rejection};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

pin_project! {
    /// The body of an admitted request.
    #[derive(Debug)]
    pub struct ShedRequestBody<B> {
        #[pin]
        inner: B,
        growth: Option<Arc<Growth>>,
        read_bytes: u64,
    }
}

pin_project! {
    /// The body of a response: the bytes of its request are on the ledger until it has been sent or is dropped.
    #[derive(Debug)]
    pub struct ShedBody<R> {
        #[pin]
        inner: Option<R>,
        held: Option<Held>,
        refusal: Option<Bytes>,
    }
}

/// A request's body did not come through.
#[derive(Debug)]
pub enum ShedBodyError<E> {
    /// It failed by itself.
    Body(E),
    /// It is longer than there is room for.
    Refused(Rejection),
}

/// What a request has on the ledger.
#[derive(Debug)]
pub(super) struct Held {
    _permit: Permit,
    growth: Option<Arc<Growth>>,
}

/// What a body of unknown length has asked for beyond the beginning.
#[derive(Debug)]
pub(super) struct Growth {
    settings: Settings,
    source: Option<Box<[u8]>>,
    priority: Priority,
    steps: Mutex<Steps>,
    refused: OnceLock<Rejection>,
}

#[derive(Debug)]
struct Steps {
    held: Vec<Permit>,
    bytes: u64,
}

// === impl Growth ===

impl Growth {
    pub(super) fn new(
        settings: Settings,
        source: Option<Box<[u8]>>,
        priority: Priority,
        bytes: u64,
    ) -> Self {
        let held = Vec::new();
        Self {
            settings,
            source,
            priority,
            steps: Mutex::new(Steps { held, bytes }),
            refused: OnceLock::new(),
        }
    }

    /// Makes room for `bytes` in all.
    fn grow_to(&self, bytes: u64) -> Result<(), Rejection> {
        // Held by the one task that reads the body; the response only waits for its end.
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        while steps.bytes < bytes {
            let step = steps.bytes.max(1).min(bytes.next_power_of_two());
            let asked = self
                .settings
                .admit(self.source.as_deref(), step, self.priority);
            let permit = asked.inspect_err(|rejection| {
                let _ = self.refused.set(*rejection);
            })?;
            steps.held.push(permit);
            steps.bytes += step;
        }
        Ok(())
    }
}

// === impl Held ===

impl Held {
    pub(super) fn new(permit: Permit, growth: Option<Arc<Growth>>) -> Self {
        Self {
            _permit: permit,
            growth,
        }
    }

    /// What the body was refused in the middle.
    pub(super) fn refused(&self) -> Option<Rejection> {
        self.growth.as_ref()?.refused.get().copied()
    }
}

// === impl ShedRequestBody ===

impl<B> ShedRequestBody<B> {
    pub(super) fn new(inner: B, growth: Option<Arc<Growth>>) -> Self {
        Self {
            inner,
            growth,
            read_bytes: 0,
        }
    }
}

impl<B: Body> Body for ShedRequestBody<B> {
    type Data = B::Data;
    type Error = ShedBodyError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let this = self.project();
        let frame = match this.inner.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                return Poll::Ready(Some(Err(ShedBodyError::Body(error))));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        if let (Some(growth), Some(data)) = (this.growth, frame.data_ref()) {
            *this.read_bytes += data.remaining() as u64;
            if let Err(rejection) = growth.grow_to(*this.read_bytes) {
                return Poll::Ready(Some(Err(ShedBodyError::Refused(rejection))));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// === impl ShedBody ===

impl<R> ShedBody<R> {
    pub(super) fn holding(inner: R, held: Held) -> Self {
        Self {
            inner: Some(inner),
            held: Some(held),
            refusal: None,
        }
    }

    pub(super) fn refusal(document: Bytes) -> Self {
        Self {
            inner: None,
            held: None,
            refusal: Some(document),
        }
    }
}

impl<R: Body<Data = Bytes>> Body for ShedBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(this.refusal.take().map(|text| Ok(Frame::data(text))));
        };
        let frame = inner.poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = frame {
            *this.held = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Some(inner) => inner.is_end_stream(),
            None => self.refusal.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(self.refusal.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}

// === impl ShedBodyError ===

impl<E: fmt::Display> fmt::Display for ShedBodyError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(error) => error.fmt(f),
            Self::Refused(rejection) => rejection.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for ShedBodyError<E> {}
