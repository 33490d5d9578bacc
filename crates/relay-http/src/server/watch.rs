//! The limits of time of one connection, on one timer that a request in a hurry never touches.
//!
//! Short stays (a head that arrives in pieces, an answer that is not read) are timed exactly, from the moment the
//! connection has to wait. Idleness is looked at four times per limit: whoever has done nothing since the look
//! before has that quarter on the account.

use super::config::HttpServerConfig;
use super::line::{Line, Mark, Phase};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

const IDLE_LOOKS: u32 = 4;

/// The limits of time of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    head: Duration,
    writing: Duration,
    idle: Duration,
}

/// Watches one connection.
#[derive(Debug)]
pub(super) struct Watch {
    line: Arc<Line>,
    limits: Limits,
    seen: Mark,
    looks: u32,
    timer: Pin<Box<Sleep>>,
    /// Whether the timer knows whom to wake: a task's waker never changes, so to ask once is enough.
    is_set: bool,
}

impl Limits {
    pub(super) fn of(config: &HttpServerConfig) -> Self {
        Self {
            head: config.header_timeout,
            writing: config.request_timeout,
            idle: config.idle_timeout,
        }
    }
}

impl Watch {
    pub(super) fn new(line: Arc<Line>, limits: Limits) -> Self {
        let timer = Box::pin(tokio::time::sleep(limits.idle / IDLE_LOOKS));
        Self {
            seen: line.mark(),
            line,
            limits,
            looks: 0,
            is_set: false,
            timer,
        }
    }

    /// Ready when the connection has waited too long. To be called whenever it waits.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        let mark = self.line.mark();
        if matches!(mark.phase(), Phase::Head | Phase::Writing) && mark != self.seen {
            self.arm(mark);
        }
        loop {
            if self.is_set && !self.timer.is_elapsed() {
                return Poll::Pending;
            }
            self.is_set = true;
            ready!(self.timer.as_mut().poll(cx));
            let is_same = mark == self.seen;
            self.looks += 1;
            match mark.phase() {
                Phase::Head | Phase::Writing if is_same => return Poll::Ready(mark.phase()),
                Phase::Idle if is_same && self.looks >= IDLE_LOOKS => {
                    return Poll::Ready(Phase::Idle);
                }
                Phase::Idle if is_same => self.rearm(mark),
                _ => self.arm(mark),
            }
        }
    }

    fn arm(&mut self, mark: Mark) {
        (self.seen, self.looks) = (mark, 0);
        self.rearm(mark);
    }

    fn rearm(&mut self, mark: Mark) {
        let wait = match mark.phase() {
            Phase::Head => self.limits.head,
            Phase::Writing => self.limits.writing,
            Phase::Idle | Phase::Request => self.limits.idle / IDLE_LOOKS,
        };
        self.timer.as_mut().reset(Instant::now() + wait);
        self.is_set = false;
    }
}
