//! Receiving many at a time, and saying what became of each.

use crate::event::Event;
use crate::queue::Queue;
use crate::reader::Reader;
use crate::tally::DropReason;
use std::sync::Arc;

/// What became of an event that was received in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// It did not, and is worth another attempt.
    Retry,
    /// It did not, and never will.
    Rejected,
}

/// Events that were received together and are in flight until they are settled. Its memory is set aside when it is
/// made and used again for each batch, so that emptying a queue needs no allocation.
///
/// Dropping it counts what is left as [`DropReason::Abandoned`].
#[derive(Debug)]
pub struct Batch {
    events: Vec<Event>,
    queue: Option<Arc<Queue>>,
    capacity: usize,
    capacity_bytes: u64,
}

impl Batch {
    /// Room for so many events (at least one) of so many accounted bytes together.
    pub fn with_capacity(events: usize, bytes: u64) -> Self {
        let capacity = events.max(1);
        Self {
            events: Vec::with_capacity(capacity),
            queue: None,
            capacity,
            capacity_bytes: bytes,
        }
    }

    /// The events, oldest first.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Their accounted bytes.
    pub fn size_bytes(&self) -> u64 {
        self.events.iter().map(Event::size_bytes).sum()
    }

    /// Whether it can take no more events.
    pub fn is_full(&self) -> bool {
        self.events.len() >= self.capacity || self.size_bytes() >= self.capacity_bytes
    }

    /// All arrived.
    pub fn delivered(&mut self) {
        if let Some(queue) = &self.queue {
            queue.settle(&self.events);
        }
        self.events.clear();
    }

    /// None will arrive.
    pub fn dropped(&mut self, reason: DropReason) {
        if let Some(queue) = &self.queue
            && !self.events.is_empty()
        {
            queue.give_up(self.events.len(), reason);
        }
        self.events.clear();
    }

    /// Settles each event by its outcome, in order; those to retry stay. Events beyond the outcomes stay too.
    pub fn settle(&mut self, outcomes: &[Outcome]) {
        let Some(queue) = self.queue.clone() else {
            return;
        };
        let mut outcomes = outcomes.iter();
        self.events.retain(|event| match outcomes.next() {
            Some(Outcome::Delivered) => {
                queue.settle(std::slice::from_ref(event));
                false
            }
            Some(Outcome::Rejected) => {
                queue.give_up(1, DropReason::Rejected);
                false
            }
            Some(Outcome::Retry) | None => true,
        });
    }

    /// Adds what the reader has, up to the capacity; `None` when it holds nothing then.
    pub(crate) fn fill(&mut self, reader: &mut Reader) -> Option<()> {
        let mut bytes = self.size_bytes();
        let before = self.events.len();
        while self.events.len() < self.capacity
            && let Some(next) = reader.peek_bytes()
            && (self.events.is_empty() || bytes + next <= self.capacity_bytes)
            && let Some(event) = reader.take()
        {
            bytes += event.size_bytes();
            self.events.push(event);
        }
        if self.events.len() > before {
            reader.queue.count_batched(&self.events[before..]);
            self.queue.get_or_insert_with(|| Arc::clone(&reader.queue));
        }
        (!self.events.is_empty()).then_some(())
    }

    pub(crate) fn abandon(&mut self) {
        self.dropped(DropReason::Abandoned);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.abandon();
    }
}
