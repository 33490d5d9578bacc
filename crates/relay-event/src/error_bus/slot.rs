//! One record of the ring, and who may touch it.
//!
//! A cell behind one word: the sequence of the event it holds, how many readers are inside, and whether a writer is.
//! It is a reader-writer lock that is only ever *tried*: nobody waits for a thread that was preempted inside.
//!
//! ```text
//! state = sequence << 10 | readers << 1 | writer      sequence = ticket + 1, 0 while it is empty
//! ```

#![allow(unsafe_code)]

use crate::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

#[cfg(relay_loom)]
use loom::cell::UnsafeCell;

/// Set while a writer is inside.
const WRITER: u64 = 1;

/// One reader more; nine bits hold twice the most subscribers, each of which is inside one slot at most.
const READER: u64 = 1 << 1;

/// Sequences begin here; 54 bits last for 570 years at a million events a second.
const SEQUENCE: u64 = 1 << 10;

/// A place for one value at a time.
pub(super) struct Slot<T> {
    state: AtomicU64,
    value: UnsafeCell<Option<T>>,
}

/// What a reader found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<R> {
    /// What it made of the event.
    Done(R),
    /// A later event is here.
    Overwritten,
    /// The event has not come, or is being written.
    NotYet,
}

/// A writer inside a slot. It has to put its event: a slot left without is out of use for good.
#[must_use]
pub(super) struct Writing<'a, T> {
    slot: &'a Slot<T>,
    after: u64,
}

// SAFETY: the state word hands the value to one writer or to several readers, never to both (`models::slot`); values
// move between threads (`Send`) and readers of several threads look at one at the same time (`Sync`).
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T> Slot<T> {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            value: UnsafeCell::new(None),
        }
    }

    /// Enters for the event of `ticket`; `None` when somebody is inside, or when a later event is here already because this
    /// writer is a lap behind.
    #[inline]
    pub(super) fn enter(&self, ticket: u64) -> Option<Writing<'_, T>> {
        let after = (ticket + 1) * SEQUENCE;
        let state = self.state.load(Relaxed);
        // Both a guest inside and a later sequence end the attempt.
        if !state.is_multiple_of(SEQUENCE) || state >= after {
            return None;
        }
        // Acquire pairs with the Release of the last reader and the last writer: they are done with the value.
        self.state
            .compare_exchange(state, after | WRITER, Acquire, Relaxed)
            .ok()
            .map(|_| Writing { slot: self, after })
    }

    /// Shows the event of `ticket` to `look`, beside other readers.
    pub(super) fn read<R>(&self, ticket: u64, look: impl FnOnce(&T) -> R) -> Read<R> {
        let wanted = (ticket + 1) * SEQUENCE;
        let mut state = self.state.load(Relaxed);
        loop {
            if state >= wanted + SEQUENCE {
                return Read::Overwritten;
            }
            if state < wanted || state & WRITER != 0 {
                return Read::NotYet;
            }
            // Acquire pairs with the Release of the writer. It fails only when another reader came or went.
            match self
                .state
                .compare_exchange_weak(state, state + READER, Acquire, Relaxed)
            {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        let _leave = Leave(&self.state);
        // SAFETY: this reader is counted in the state, and writers turn away while any reader is: the value is only read
        // until `Leave` takes the count back, also by a panic of `look` (`models::slot`).
        let seen = self.value.with(|at| unsafe { (*at).as_ref() }.map(look));
        seen.map_or(Read::NotYet, Read::Done)
    }
}

impl<T> Writing<'_, T> {
    /// Puts the event in place of an older one, and leaves.
    #[inline]
    pub(super) fn put(self, value: T) {
        // SAFETY: the exchange in `enter` saw no reader and no writer; as long as WRITER is set readers and writers turn
        // away, so this is the only access to the value (`models::slot`).
        self.slot.value.with_mut(|at| unsafe { *at = Some(value) });
        // Nobody changes the word while WRITER is set, so a plain store may end it.
        self.slot.state.store(self.after, Release);
    }
}

/// Counts a reader out.
struct Leave<'a>(&'a AtomicU64);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        // Release pairs with the Acquire of the next writer: it overwrites only after this look.
        self.0.fetch_sub(READER, Release);
    }
}

/// The standard cell in the form of loom's.
#[cfg(not(relay_loom))]
struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(relay_loom))]
impl<T> UnsafeCell<T> {
    fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
        access(self.0.get())
    }

    fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        access(self.0.get())
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn write<T>(slot: &Slot<T>, ticket: u64, value: T) -> bool {
        slot.enter(ticket)
            .map(|writing| writing.put(value))
            .is_some()
    }

    #[test]
    fn a_guest_inside_and_a_later_event_turn_a_writer_away() {
        let slot = Slot::new();
        assert_eq!(slot.read(0, |_: &u32| ()), Read::NotYet);
        assert!(write(&slot, 0, 10));
        let inside = slot.read(0, |value| {
            (*value, write(&slot, 4, 14), slot.read(0, |v| *v))
        });
        assert_eq!(inside, Read::Done((10, false, Read::Done(10))));
        assert!(write(&slot, 4, 14), "the reader left");
        assert!(!write(&slot, 0, 99), "a lap behind");
        assert_eq!(slot.read(0, |v| *v), Read::Overwritten);
        assert_eq!(slot.read(4, |v| *v), Read::Done(14));
        assert_eq!(slot.read(8, |v| *v), Read::NotYet);
    }

    #[test]
    fn a_reader_that_panics_leaves_the_slot() {
        let slot = Slot::new();
        assert!(write(&slot, 0, 1));
        let look = std::panic::AssertUnwindSafe(|| slot.read(0, |_| panic!("while looking")));
        assert!(std::panic::catch_unwind(look).is_err());
        assert!(write(&slot, 1, 2));
    }

    #[test]
    fn an_overwritten_value_is_released() {
        let (slot, text) = (Slot::new(), Arc::new("detail"));
        assert!(write(&slot, 0, Some(Arc::clone(&text))));
        assert_eq!(Arc::strong_count(&text), 2);
        assert!(write(&slot, 1, None));
        assert_eq!(Arc::strong_count(&text), 1);
    }
}
