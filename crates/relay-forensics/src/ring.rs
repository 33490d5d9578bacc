//! The last records in memory: bounded, without locks, without allocation once made.
//!
//! **Problem.** The control thread records every tick and must never wait; other threads record
//! events now and then; someone reads all of it when something has gone wrong.
//!
//! **Why not a mutex.** With `lock`, a thread that is preempted while it holds it stalls the
//! control thread; with `try_lock`, the control thread loses records just when others are busy.
//!
//! **Algorithm.** A sequence lock for each slot. A writer takes the next ticket `t`, marks slot
//! `t mod capacity` as being written (odd version `2t + 1`), stores the words, and marks it as
//! complete (even version `2t + 2`). A reader takes a slot only if the version is complete and the
//! same before and after. Every word is an atomic, so a torn read is a wrong value that the version
//! gives away, never undefined behaviour, and no `unsafe` is needed.
//!
//! Recording is wait-free: a fixed number of steps whatever others do. A writer that finds its slot
//! in use by another, or already overwritten by a later one, gives its record up and counts it.
//! That takes as many records as the ring has slots while one is being written.
//!
//! **Source.** Boehm, *Can Seqlocks Get Along with Programming Language Memory Models?* (2012), §4
//! for readers and §5 for the fences.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::record::{Record, WORDS};

/// The most records a ring can hold: 8 MiB of them.
pub const CAPACITY_MAX: usize = 65_536;

/// A ring of the last records, written from any thread.
///
/// ```
/// use relay_forensics::{Record, Ring};
/// use std::time::Duration;
///
/// let ring = Ring::try_new(4)?;
/// for second in 0..6 {
///     ring.record(&Record::new(1, Duration::from_secs(second)));
/// }
/// let last = ring.snapshot();
/// assert_eq!(last.len(), 4, "the oldest two are gone");
/// assert_eq!(last[0].record.at, Duration::from_secs(2));
/// assert_eq!(last[3].sequence, 5);
/// # Ok::<(), relay_forensics::InvalidCapacity>(())
/// ```
#[derive(Debug)]
pub struct Ring {
    slots: Box<[Slot]>,
    next: AtomicU64,
    lost: AtomicU64,
}

/// A record and its place in the order of all records of its ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// How many records came before this one, overwritten and lost ones included.
    pub sequence: u64,
    /// What was recorded.
    pub record: Record,
}

/// A capacity that a ring refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a ring of {capacity} records is not possible: choose from 1 to {CAPACITY_MAX}")]
pub struct InvalidCapacity {
    /// What was asked for.
    pub capacity: usize,
}

/// Two cache lines, so that neighbours written by different threads do not share one.
#[derive(Debug)]
#[repr(align(128))]
struct Slot {
    version: AtomicU64,
    words: [AtomicU64; WORDS],
}

// === impl Ring ===

impl Ring {
    /// An empty ring of `capacity` records, 128 bytes each, all allocated here.
    ///
    /// # Errors
    ///
    /// [`InvalidCapacity`] for 0 and above [`CAPACITY_MAX`].
    pub fn try_new(capacity: usize) -> Result<Self, InvalidCapacity> {
        if capacity == 0 || capacity > CAPACITY_MAX {
            return Err(InvalidCapacity { capacity });
        }
        Ok(Self {
            slots: (0..capacity).map(|_| Slot::empty()).collect(),
            next: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        })
    }

    /// Records, in place of the oldest. Neither allocates nor waits; `false` when the record was
    /// given up because another thread is writing the same slot.
    pub fn record(&self, record: &Record) -> bool {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        let written = self.slot(ticket).write(ticket, record);
        if !written {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        written
    }

    /// Shows every record that is still there, oldest first. Does not allocate.
    ///
    /// A record that is being overwritten meanwhile is left out, so gaps in `sequence` are
    /// possible; what is shown is whole.
    pub fn for_each(&self, mut show: impl FnMut(Entry)) {
        let end = self.recorded();
        for sequence in end.saturating_sub(self.capacity() as u64)..end {
            if let Some(record) = self.slot(sequence).read(sequence) {
                show(Entry { sequence, record });
            }
        }
    }

    /// Every record that is still there, oldest first; see [`for_each`](Self::for_each).
    pub fn snapshot(&self) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(self.capacity());
        self.for_each(|entry| entries.push(entry));
        entries
    }

    /// How many records it can hold.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How many records were made, overwritten and lost ones included.
    pub fn recorded(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// How many records were given up.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn slot(&self, ticket: u64) -> &Slot {
        &self.slots[(ticket % self.slots.len() as u64) as usize]
    }
}

// === impl Slot ===

impl Slot {
    fn empty() -> Self {
        Self {
            version: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    fn write(&self, ticket: u64, record: &Record) -> bool {
        let before = self.version.load(Ordering::Relaxed);
        let in_use = before % 2 == 1;
        if in_use || before > writing(ticket) || !self.claim(before, ticket) {
            return false;
        }
        // (torn) pairs with the fence in `read`: who sees one of our words sees us writing, too.
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(record.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
        // (whole) pairs with the first load in `read`.
        self.version.store(complete(ticket), Ordering::Release);
        true
    }

    /// Only one writer gets from `before` to its own odd version; Acquire keeps its words after the
    /// words of whoever completed `before`.
    fn claim(&self, before: u64, ticket: u64) -> bool {
        self.version
            .compare_exchange(
                before,
                writing(ticket),
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    fn read(&self, sequence: u64) -> Option<Record> {
        // (whole)
        let before = self.version.load(Ordering::Acquire);
        if before != complete(sequence) {
            return None;
        }
        let words = std::array::from_fn(|n| self.words[n].load(Ordering::Relaxed));
        // (torn)
        fence(Ordering::Acquire);
        let after = self.version.load(Ordering::Relaxed);
        (after == before).then(|| Record::from_words(&words))
    }
}

fn writing(ticket: u64) -> u64 {
    2 * ticket + 1
}

fn complete(ticket: u64) -> u64 {
    2 * ticket + 2
}

#[cfg(test)]
mod tests;
