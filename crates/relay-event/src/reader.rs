//! The receiving side of one subscription: finds its events in the shared log or in its own ring, and follows when the
//! publishing side moves it from one to the other.

#![allow(unsafe_code)]

use crate::event::{Event, Inner};
use crate::log::Log;
use crate::place::is_log;
use crate::queue::Queue;
use crate::ring::Consumer;
use crate::sync::atomic::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use crate::wait::contain;
use std::mem::ManuallyDrop;
use std::sync::Arc;

pub(crate) struct Reader {
    pub(crate) queue: Arc<Queue>,
    ring: Consumer<Inner>,
    /// The epoch that the fields below belong to.
    epoch: u64,
    /// The position in the log.
    position: u64,
    /// The tail of the log as last seen.
    tail: u64,
    /// Accounted bytes that had been appended to the log before the position.
    seen_bytes: u64,
    /// What is being looked at in place. Nothing of it is dropped here: who owns it is said by [`Held`].
    view: Vec<ManuallyDrop<Event>>,
    held: Held,
}

/// Whose the events of the view are.
#[derive(Debug, Clone, Copy, Default)]
enum Held {
    #[default]
    Nothing,
    /// They lie in the log; not yet counted as taken.
    InLog { end_bytes: u64 },
    /// They lie in the ring; not yet counted as taken.
    InRing { bytes: u64 },
    /// They were taken out, and counted.
    Out,
}

impl Reader {
    pub(crate) fn new(queue: Arc<Queue>, ring: Consumer<Inner>) -> Self {
        Self {
            queue,
            ring,
            epoch: 0,
            position: 0,
            tail: 0,
            seen_bytes: 0,
            view: Vec::new(),
            held: Held::Nothing,
        }
    }

    /// Takes the first event out, if there is one.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Event> {
        if self.queue.ended.load(Relaxed) {
            self.let_go();
            return None;
        }
        if self.queue.evictable.is_some() {
            return self.take_evictable();
        }
        loop {
            if is_log(self.epoch) {
                if let Some(event) = self.take_from_log() {
                    return Some(event);
                }
            } else if self.see_ring()
                && let Some(claim) = self.ring.pop()
            {
                // SAFETY: what was popped from its own ring is its own, once.
                let event = unsafe { Event::redeem(claim) };
                self.queue.count_taken(1, event.size_bytes());
                if self.ring.is_empty() {
                    self.queue.settled.ran_empty.store(true, Relaxed);
                }
                self.queue.tell_publishers();
                return Some(event);
            }
            if !self.follow() {
                return None;
            }
        }
    }

    fn take_from_log(&mut self) -> Option<Event> {
        let log = self.queue.group.log();
        if !see_tail(log, self.position, &mut self.tail) {
            return None;
        }
        let claim = log.read(self.position);
        let end_bytes = log.end_bytes(self.position);
        if self.has_moved() {
            return None;
        }
        // SAFETY: still a member after reading the slot, so the claim there (or one of its own, if it is taken out just now)
        // lives until this event is counted as taken, below (model: `one_that_leaves_keeps_what_it_has_not_read`).
        let event = Event::clone(&ManuallyDrop::new(unsafe { Event::redeem(claim) }));
        self.position += 1;
        self.queue
            .count_taken(1, end_bytes.wrapping_sub(self.seen_bytes));
        self.seen_bytes = end_bytes;
        let at_end = self.position == self.tail;
        log.passed(self.queue.id, at_end);
        if at_end && !see_tail(log, self.position, &mut self.tail) {
            self.queue.settled.ran_empty.store(true, Relaxed);
        }
        self.queue.tell_publishers();
        Some(event)
    }

    fn take_evictable(&mut self) -> Option<Event> {
        let event = {
            let mut events = self.queue.lock_evictable()?;
            let event = events.pop_front()?;
            // Under the lock: the publishing side goes by this count when it decides what gives way.
            self.queue.count_taken(1, event.size_bytes());
            if events.is_empty() {
                self.queue.settled.ran_empty.store(true, Relaxed);
            }
            event
        };
        Some(event)
    }

    /// The accounted bytes of the first event, if there is one.
    pub(crate) fn peek_bytes(&mut self) -> Option<u64> {
        if self.queue.ended.load(Relaxed) {
            return None;
        }
        if let Some(events) = self.queue.lock_evictable() {
            return events.front().map(Event::size_bytes);
        }
        loop {
            if is_log(self.epoch) {
                let log = self.queue.group.log();
                if see_tail(log, self.position, &mut self.tail) {
                    let end_bytes = log.end_bytes(self.position);
                    if !self.has_moved() {
                        return Some(end_bytes.wrapping_sub(self.seen_bytes));
                    }
                }
            } else if self.see_ring() {
                // SAFETY: it lies in its own ring, and is only looked at.
                let first = ManuallyDrop::new(unsafe { Event::redeem(self.ring.peek(0)) });
                return Some(first.size_bytes());
            }
            if !self.follow() {
                return None;
            }
        }
    }

    /// Whether there is something in the ring. What was moved there is not touched before the move is acknowledged: the
    /// publishing side holds back until then.
    #[inline]
    fn see_ring(&mut self) -> bool {
        self.ring.seen() > 0 || (!self.has_moved() && self.ring.ready() > 0)
    }

    #[inline]
    fn has_moved(&self) -> bool {
        // Relaxed: a slot that was written again was read with acquire, and says so too.
        self.queue.place.epoch.load(Relaxed) != self.epoch
    }

    /// Goes where the publishing side has moved the events; whether it has.
    fn follow(&mut self) -> bool {
        let place = &self.queue.place;
        let epoch = place.epoch.load(Acquire);
        if epoch == self.epoch {
            return false;
        }
        if is_log(epoch) {
            self.position = place.joined_at.load(Relaxed);
            self.seen_bytes = place.joined_bytes.load(Relaxed);
            self.tail = self.position;
        } else if epoch == self.epoch + 1 {
            // What it read in the log while it was moved lies in the ring too.
            let read = self.position.wrapping_sub(place.left_at.load(Relaxed));
            for _ in 0..read {
                if let Some(claim) = self.ring.pop() {
                    // SAFETY: popped from its own ring, once.
                    let read = unsafe { Event::redeem(claim) };
                    contain(|| drop(read));
                }
            }
        }
        self.epoch = epoch;
        place.acknowledged.store(epoch, Release);
        self.queue.tell_publishers();
        true
    }
}

/// Looking at events in place.
impl Reader {
    /// Shows up to `max` events, which stay queued until [`pass`](Self::pass).
    pub(crate) fn look(&mut self, max: usize) {
        self.view.clear();
        if self.queue.ended.load(Relaxed) {
            return self.let_go();
        }
        if self.queue.evictable.is_some() {
            return self.look_evictable(max);
        }
        loop {
            if is_log(self.epoch) {
                if self.look_into_log(max) {
                    return;
                }
            } else if self.see_ring() {
                return self.look_into_ring(max);
            }
            if !self.follow() {
                return;
            }
        }
    }

    fn look_into_log(&mut self, max: usize) -> bool {
        let log = self.queue.group.log();
        if !see_tail(log, self.position, &mut self.tail) {
            return false;
        }
        let end = self.tail.min(self.position.saturating_add(max as u64));
        // SAFETY: only kept as bits until the check below, and never dropped.
        let look = |position| ManuallyDrop::new(unsafe { Event::redeem(log.read(position)) });
        self.view.extend((self.position..end).map(look));
        let end_bytes = log.end_bytes(end - 1);
        if self.has_moved() {
            self.view.clear();
            return false;
        }
        self.held = Held::InLog { end_bytes };
        true
    }

    fn look_into_ring(&mut self, max: usize) {
        let count = self.ring.ready().min(max as u64);
        let mut bytes = 0;
        for offset in 0..count {
            // SAFETY: it lies in its own ring, and is only looked at.
            let event = ManuallyDrop::new(unsafe { Event::redeem(self.ring.peek(offset)) });
            bytes += event.size_bytes();
            self.view.push(event);
        }
        self.held = Held::InRing { bytes };
    }

    fn look_evictable(&mut self, max: usize) {
        while self.view.len() < max {
            let Some(event) = self.take_evictable() else {
                break;
            };
            self.view.push(ManuallyDrop::new(event));
        }
        self.held = Held::Out;
    }

    /// What is being looked at.
    pub(crate) fn view(&self) -> &[ManuallyDrop<Event>] {
        &self.view
    }

    /// Done with what was looked at: it is taken.
    pub(crate) fn pass(&mut self) {
        let count = self.view.len() as u64;
        match std::mem::take(&mut self.held) {
            Held::Nothing => {}
            Held::InLog { end_bytes } => {
                self.view.clear();
                self.position += count;
                self.queue
                    .count_taken(count, end_bytes.wrapping_sub(self.seen_bytes));
                self.seen_bytes = end_bytes;
                let log = self.queue.group.log();
                let at_end = self.position == self.tail;
                log.passed(self.queue.id, at_end);
                if at_end && !see_tail(log, self.position, &mut self.tail) {
                    self.queue.settled.ran_empty.store(true, Relaxed);
                }
            }
            Held::InRing { bytes } => {
                self.ring.advance(count);
                self.queue.count_taken(count, bytes);
                if self.ring.is_empty() {
                    self.queue.settled.ran_empty.store(true, Relaxed);
                }
                self.drop_view();
            }
            Held::Out => self.drop_view(),
        }
        if count > 0 {
            self.queue.tell_publishers();
        }
    }

    fn drop_view(&mut self) {
        for event in self.view.drain(..) {
            // What left its ring, or its queue, is its own.
            contain(|| drop(ManuallyDrop::into_inner(event)));
        }
    }

    /// Lets go of everything that is queued, after the publishing side has put in its last.
    pub(crate) fn let_go(&mut self) {
        self.follow();
        self.queue.abandon();
        if is_log(self.epoch) {
            // The bus is gone, and nobody has moved it out: it has passed everything now.
            self.queue.group.log().passed(self.queue.id, true);
        }
        while let Some(claim) = self.ring.pop() {
            // SAFETY: popped from its own ring, once.
            let left = unsafe { Event::redeem(claim) };
            contain(|| drop(left));
        }
        let events = self
            .queue
            .lock_evictable()
            .map(|mut events| std::mem::take(&mut *events));
        for event in events.into_iter().flatten() {
            contain(|| drop(event));
        }
    }
}

/// Whether there is something at `position`; looks at the log again when what was seen is used up.
#[inline]
fn see_tail(log: &Log<Inner>, position: u64, tail: &mut u64) -> bool {
    if position == *tail {
        *tail = log.tail();
    }
    position != *tail
}
