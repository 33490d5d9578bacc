//! The queue of one subscription: first-in first-out, bounded in events and bytes, with bounds that move live.
//!
//! One mutex guards the events and the account, so a reading is always consistent; it is held for a push or a pop
//! and never while waiting. A few numbers are mirrored in atomics for readers that may not wait, such as a control
//! loop. Everything that knows how events are kept is in this module.

use crate::bus::Progress;
use crate::early_drop::EarlyDrop;
use crate::event::Event;
use crate::subscription::Overflow;
use crate::tally::{DropReason, SubscriptionStats, Tally};
use crate::wait::{WaitList, lock};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

/// What a sheddable subscription does; a reliable one has none.
pub(crate) struct Shedding {
    pub(crate) overflow: Overflow,
    pub(crate) early_drop: Arc<dyn EarlyDrop>,
}

pub(crate) struct Queue {
    pub(crate) name: Arc<str>,
    pub(crate) id: u64,
    pub(crate) shedding: Option<Shedding>,
    limit_events: AtomicUsize,
    limit_bytes: AtomicU64,
    state: Mutex<State>,
    /// Publishers that wait for room here.
    pub(crate) room: WaitList,
    len: AtomicUsize,
    delivered_bytes: AtomicU64,
    /// What the control loop saw last of the above.
    looked_bytes: AtomicU64,
    /// Whether the queue has run empty since a control loop last looked.
    ran_empty: AtomicBool,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    bytes: u64,
    tally: Tally,
    closed: bool,
    receiver: Option<Waker>,
}

impl Queue {
    pub(crate) fn new(
        name: Arc<str>,
        id: u64,
        shedding: Option<Shedding>,
        limit_events: usize,
        limit_bytes: u64,
    ) -> Self {
        Self {
            name,
            id,
            shedding,
            limit_events: AtomicUsize::new(limit_events),
            limit_bytes: AtomicU64::new(limit_bytes),
            state: Mutex::default(),
            room: WaitList::default(),
            len: AtomicUsize::new(0),
            delivered_bytes: AtomicU64::new(0),
            looked_bytes: AtomicU64::new(0),
            ran_empty: AtomicBool::new(true),
        }
    }

    /// Whether one more event of this size fits. An empty queue takes any one event: refusing it would block for
    /// ever what the ledger has already let in.
    fn fits(&self, state: &State, size_bytes: u64) -> bool {
        state.events.is_empty()
            || (state.events.len() < self.limit_events.load(Relaxed)
                && state.bytes.saturating_add(size_bytes) <= self.limit_bytes.load(Relaxed))
    }

    fn occupancy(&self, state: &State) -> f64 {
        let events = state.events.len() as f64 / self.limit_events.load(Relaxed).max(1) as f64;
        let bytes = state.bytes as f64 / self.limit_bytes.load(Relaxed).max(1) as f64;
        events.max(bytes)
    }

    fn mirror(&self, state: &State) {
        self.len.store(state.events.len(), Relaxed);
        self.delivered_bytes
            .store(state.tally.delivered_bytes, Relaxed);
        if state.events.is_empty() {
            self.ran_empty.store(true, Relaxed);
        }
    }
}

/// The publisher's side. The bus lets one publisher in at a time, so room that was seen stays until it is used.
impl Queue {
    /// Whether an event of this size can be put in now. A closed queue has room for everything: it keeps nothing.
    pub(crate) fn has_room(&self, size_bytes: u64) -> bool {
        let state = lock(&self.state);
        state.closed || self.fits(&state, size_bytes)
    }

    /// Puts `event` in, after [`has_room`](Self::has_room) said yes.
    pub(crate) fn put(&self, event: Event) {
        let waker = {
            let mut state = lock(&self.state);
            if state.closed {
                return;
            }
            self.push(&mut state, event)
        };
        wake(waker);
    }

    /// Offers `event` to a sheddable subscription: it is taken or counted as dropped, and never waits.
    pub(crate) fn offer(&self, event: Event, shedding: &Shedding, critical: bool) {
        let early = !critical && self.drops_early(&event, shedding);
        // Evicted events are dropped after the lock: the drop may run code of whoever owns the payload.
        let mut evicted = Vec::new();
        let waker = {
            let mut state = lock(&self.state);
            if state.closed {
                return;
            }
            let refused = if critical {
                Some(DropReason::Shed)
            } else if early {
                Some(DropReason::Early)
            } else if self.fits(&state, event.size_bytes()) {
                None
            } else if shedding.overflow == Overflow::DropNewest {
                Some(DropReason::Full)
            } else {
                while !self.fits(&state, event.size_bytes()) {
                    evicted.extend(pop(&mut state));
                }
                state
                    .tally
                    .drop_many(DropReason::Oldest, evicted.len() as u64);
                None
            };
            match refused {
                Some(reason) => {
                    state.tally.offered += 1;
                    state.tally.drop_one(reason);
                    None
                }
                None => self.push(&mut state, event),
            }
        };
        wake(waker);
    }

    /// Asks the policy without holding the lock: it is somebody else's code.
    fn drops_early(&self, event: &Event, shedding: &Shedding) -> bool {
        let occupancy = self.occupancy(&lock(&self.state));
        let ask = || shedding.early_drop.drops(occupancy, event.priority());
        catch_unwind(AssertUnwindSafe(ask)).unwrap_or(false)
    }

    fn push(&self, state: &mut State, event: Event) -> Option<Waker> {
        state.tally.offered += 1;
        state.bytes += event.size_bytes();
        state.events.push_back(event);
        self.len.store(state.events.len(), Relaxed);
        state.receiver.take()
    }
}

/// The receiver's side.
impl Queue {
    /// Takes up to `max_events` and `max_bytes` (at least one event) into `into`. They are in flight until settled.
    pub(crate) fn take(&self, into: &mut Vec<Event>, max_events: usize, max_bytes: u64) -> usize {
        let taken = {
            let mut state = lock(&self.state);
            let mut bytes = 0;
            let before = into.len();
            while into.len() - before < max_events {
                match state.events.front() {
                    Some(next)
                        if into.len() == before || bytes + next.size_bytes() <= max_bytes =>
                    {
                        bytes += next.size_bytes();
                        into.extend(pop(&mut state));
                    }
                    _ => break,
                }
            }
            let taken = into.len() - before;
            state.tally.in_flight += taken as u64;
            self.mirror(&state);
            taken
        };
        if taken > 0 {
            self.room.wake_first();
        }
        taken
    }

    /// Ready with `true` when something is queued, with `false` when nothing is and nothing will be.
    pub(crate) fn poll_ready(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = lock(&self.state);
        if !state.events.is_empty() {
            return Poll::Ready(true);
        }
        if state.closed {
            return Poll::Ready(false);
        }
        state.receiver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Closes the account of events in flight.
    pub(crate) fn settle(&self, delivered: &[Event]) {
        let bytes: u64 = delivered.iter().map(Event::size_bytes).sum();
        let payload: usize = delivered.iter().map(|event| event.payload().len()).sum();
        let mut state = lock(&self.state);
        state.tally.in_flight -= delivered.len() as u64;
        state.tally.delivered += delivered.len() as u64;
        state.tally.delivered_bytes += bytes;
        state.tally.delivered_payload_bytes += payload as u64;
        self.mirror(&state);
    }

    /// Closes the account of events in flight that were not delivered.
    pub(crate) fn give_up(&self, count: usize, reason: DropReason) {
        let mut state = lock(&self.state);
        state.tally.in_flight -= count as u64;
        state.tally.drop_many(reason, count as u64);
    }
}

/// Knobs, the end, and what others see.
impl Queue {
    pub(crate) fn set_limits(&self, events: Option<usize>, bytes: Option<u64>) {
        if let Some(events) = events {
            self.limit_events.store(events, Relaxed);
        }
        if let Some(bytes) = bytes {
            self.limit_bytes.store(bytes, Relaxed);
        }
        self.room.wake_all();
    }

    /// Takes nothing more; what is queued can still be received.
    pub(crate) fn close(&self) {
        let waker = {
            let mut state = lock(&self.state);
            state.closed = true;
            state.receiver.take()
        };
        wake(waker);
        self.room.wake_all();
    }

    /// Takes nothing more and lets go of what is queued.
    pub(crate) fn abandon(&self, reason: DropReason) {
        self.close();
        let events = {
            let mut state = lock(&self.state);
            let events = std::mem::take(&mut state.events);
            state.bytes = 0;
            state.tally.drop_many(reason, events.len() as u64);
            self.mirror(&state);
            events
        };
        drop(events);
    }

    /// What was delivered since the last call, and whether something was queued all that time; never waits.
    pub(crate) fn take_progress(&self) -> Progress {
        let total = self.delivered_bytes.load(Relaxed);
        let empty = self.len.load(Relaxed) == 0;
        let ran_empty = self.ran_empty.swap(empty, Relaxed) || empty;
        Progress {
            delivered_bytes: total - self.looked_bytes.swap(total, Relaxed),
            backlog: !ran_empty,
        }
    }

    pub(crate) fn stats(&self) -> SubscriptionStats {
        let state = lock(&self.state);
        SubscriptionStats {
            name: self.name.to_string(),
            id: self.id,
            reliable: self.shedding.is_none(),
            offered: state.tally.offered,
            delivered: state.tally.delivered,
            delivered_bytes: state.tally.delivered_bytes,
            delivered_payload_bytes: state.tally.delivered_payload_bytes,
            queued_events: state.events.len(),
            queued_bytes: state.bytes,
            in_flight: state.tally.in_flight,
            limit_events: self.limit_events.load(Relaxed),
            limit_bytes: self.limit_bytes.load(Relaxed),
            dropped: state.tally.dropped,
        }
    }
}

fn pop(state: &mut State) -> Option<Event> {
    let event = state.events.pop_front()?;
    state.bytes -= event.size_bytes();
    Some(event)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
