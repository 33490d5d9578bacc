//! Publishing as soon as there is room.

use super::{Inner, Published};
use crate::error::PublishError;
use crate::event::Event;
use crate::fence;
use crate::queue::Queue;
use crate::sync::atomic::Ordering::Acquire;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// The future of [`Bus::publish`](crate::Bus::publish).
#[must_use = "nothing is published until it is awaited"]
pub struct Publish {
    bus: Arc<Inner>,
    event: Option<Event>,
    waiting: Option<(Arc<Queue>, u64)>,
    /// Since when it waits, for whichever subscription.
    since: Option<Instant>,
}

impl Publish {
    pub(crate) fn new(bus: Arc<Inner>, event: Event) -> Self {
        Self {
            bus,
            event: Some(event),
            waiting: None,
            since: None,
        }
    }

    /// Gives up its place, if it has one, and lets the next one look when there may be room.
    fn leave(&mut self) {
        if let Some((queue, key)) = self.waiting.take() {
            queue.room.leave(key);
            if queue.has_room() {
                queue.room.wake_first();
            }
        }
    }

    /// Gives up its place, and notes how long it took.
    fn end(&mut self) {
        self.leave();
        if let Some(since) = self.since.take() {
            self.bus.waits.note(since.elapsed());
        }
    }

    /// Whether it is its turn: always when it does not wait yet, or when what it waits for is over.
    fn is_first(&self, cx: &Context<'_>) -> bool {
        self.waiting.as_ref().is_none_or(|(queue, key)| {
            queue.room.is_first(*key, cx.waker()) || queue.closed.load(Acquire)
        })
    }
}

impl Future for Publish {
    type Output = Result<Published, PublishError>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            if !this.is_first(cx) {
                return Poll::Pending;
            }
            let event = this.event.take().expect("polled after it was ready");
            let refused = match this.bus.try_publish(event) {
                Ok(published) => {
                    this.end();
                    return Poll::Ready(Ok(published));
                }
                Err(refused) => refused,
            };
            let Some(queue) = refused.full else {
                this.end();
                return Poll::Ready(Err(PublishError(refused.event)));
            };
            this.event = Some(refused.event);
            if this
                .waiting
                .as_ref()
                .is_some_and(|(joined, _)| Arc::ptr_eq(joined, &queue))
            {
                return Poll::Pending;
            }
            // Having joined, look again: room that was made in between has woken nobody.
            this.leave();
            let key = queue.room.join(cx.waker());
            this.waiting = Some((queue, key));
            this.since.get_or_insert_with(Instant::now);
            fence::heavy();
        }
    }
}

impl Drop for Publish {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}
