//! What a connection is doing, and what its last event said: written by its socket and its service, read by its watch,
//! all within one task.

use crate::cloudevents::Recent;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing: it waits for a request.
    Idle,
    /// The head of a request has begun to arrive.
    Head,
    /// A request is being answered; its body has limits of its own.
    Request,
    /// An answer waits for the sender to read.
    Writing,
}

const PHASES: [Phase; 4] = [Phase::Idle, Phase::Head, Phase::Request, Phase::Writing];

/// A phase, and the number of the request it belongs to: two equal marks are one and the same stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u32);

/// The state of one connection. One task reads and writes it, so nothing is ordered by it.
#[derive(Debug, Default)]
pub(super) struct Line {
    peer: Option<IpAddr>,
    mark: AtomicU32,
    unread: AtomicBool,
    /// Never waited for: the lock only lets one task's future be sent between threads.
    recent: Mutex<Recent>,
}

impl Mark {
    pub(super) fn phase(self) -> Phase {
        PHASES[(self.0 & 3) as usize]
    }
}

impl Line {
    /// To a sender at this address.
    pub(super) fn to(peer: Option<IpAddr>) -> Self {
        Self {
            peer,
            ..Self::default()
        }
    }

    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    pub(super) fn mark(&self) -> Mark {
        Mark(self.mark.load(Relaxed))
    }

    fn enter(&self, phase: Phase, requests: u32) {
        let turn = (self.mark.load(Relaxed) >> 2).wrapping_add(requests);
        self.mark.store((turn << 2) | phase as u32, Relaxed);
    }

    /// Bytes came.
    pub(super) fn has_read(&self) {
        if self.mark().phase() == Phase::Idle {
            self.enter(Phase::Head, 0);
        }
    }

    /// The socket takes no more of the answer.
    pub(super) fn write_blocked(&self) {
        if self.mark().phase() == Phase::Idle {
            self.enter(Phase::Writing, 0);
        }
    }

    /// The socket took some of it.
    pub(super) fn has_written(&self) {
        if self.mark().phase() == Phase::Writing {
            self.enter(Phase::Idle, 1);
        }
    }

    /// A request is complete up to its body.
    pub(super) fn request_begins(&self) {
        self.enter(Phase::Request, 1);
    }

    /// Its answer is ready; with `unread`, not all that the sender may send will be read.
    pub(super) fn request_ends(&self, unread: bool) {
        if unread {
            self.unread.store(true, Relaxed);
        }
        self.enter(Phase::Idle, 0);
    }

    /// What the last event said.
    pub(super) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether bytes may be on their way that nobody will read.
    pub(super) fn may_have_unread(&self) -> bool {
        self.unread.load(Relaxed) || self.mark().phase() == Phase::Head
    }
}
