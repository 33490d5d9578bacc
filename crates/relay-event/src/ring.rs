//! The private queue of one subscription: claims in a ring, one side puts in, one takes out.
//!
//! The ring knows no bound: whoever puts in has made sure that there is room, from a count that the taker publishes
//! (with release) after it has read a slot. It can be replaced by a larger one while both sides run: the old ring
//! names its successor, and the taker moves on when it has emptied it. Slots are bare pointers in atomics, so that a
//! mistake of order would be found by a model and not be undefined behaviour of the slot itself.

use crate::counted::Claim;
use crate::sync::atomic::{
    AtomicPtr, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use crate::wait::contain;
use crossbeam_utils::CachePadded;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

struct Ring<T> {
    slots: Box<[AtomicPtr<()>]>,
    /// How many were ever put in.
    tail: CachePadded<AtomicU64>,
    /// Set once, by the producer, after its last put.
    next: OnceLock<Arc<Ring<T>>>,
    claims: PhantomData<fn(T) -> T>,
}

/// The side that puts in: lives where publishing is serialised.
pub(crate) struct Producer<T> {
    ring: Arc<Ring<T>>,
    tail: u64,
}

/// The side that takes out. What is still in the ring when it is dropped is dropped too, so the producer has to be
/// gone by then.
pub(crate) struct Consumer<T> {
    ring: Arc<Ring<T>>,
    head: u64,
    /// The tail as last seen.
    tail: u64,
}

/// Room for at least so many events, to be given to a [`Producer`]: made where nobody waits for it.
pub(crate) struct Spare<T>(Arc<Ring<T>>);

impl<T> Ring<T> {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            slots: empty_slots(capacity.next_power_of_two()),
            tail: CachePadded::new(AtomicU64::new(0)),
            next: OnceLock::new(),
            claims: PhantomData,
        })
    }

    fn slot(&self, position: u64) -> &AtomicPtr<()> {
        &self.slots[position as usize & (self.slots.len() - 1)]
    }
}

/// Slots that take no memory before they are used: a bound of a million events is often set and hardly ever reached.
#[cfg(not(relay_loom))]
#[allow(unsafe_code)]
fn empty_slots(count: usize) -> Box<[AtomicPtr<()>]> {
    // SAFETY: an `AtomicPtr` has the representation of a pointer, of which all zeros is the null one.
    unsafe { Box::new_zeroed_slice(count).assume_init() }
}

#[cfg(relay_loom)]
fn empty_slots(count: usize) -> Box<[AtomicPtr<()>]> {
    (0..count)
        .map(|_| AtomicPtr::new(std::ptr::null_mut()))
        .collect()
}

/// A ring for at least `capacity` claims.
pub(crate) fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let ring = Ring::new(capacity);
    let producer = Producer {
        ring: Arc::clone(&ring),
        tail: 0,
    };
    let consumer = Consumer {
        ring,
        head: 0,
        tail: 0,
    };
    (producer, consumer)
}

impl<T> Spare<T> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Ring::new(capacity))
    }
}

impl<T> Producer<T> {
    /// How many fit at once.
    pub(crate) fn capacity(&self) -> u64 {
        self.ring.slots.len() as u64
    }

    /// Puts one in; the claim is the taker's from now on. There has to be room.
    pub(crate) fn push(&mut self, claim: Claim<T>) {
        self.ring.slot(self.tail).store(claim.into_raw(), Relaxed);
        self.tail += 1;
        self.ring.tail.store(self.tail, Release);
    }

    /// Goes on in `spare`; what is in the present ring stays in order before it.
    pub(crate) fn move_to(&mut self, spare: Spare<T>) {
        // Nobody else sets it: a producer leaves a ring once.
        let _ = self.ring.next.set(Arc::clone(&spare.0));
        self.ring = spare.0;
        self.tail = 0;
    }
}

impl<T> Consumer<T> {
    /// How many can be read without looking at the other side again; looks when there are none.
    #[inline]
    pub(crate) fn ready(&mut self) -> u64 {
        if self.head == self.tail {
            self.look();
        }
        self.tail - self.head
    }

    /// How many were seen at the last look.
    #[inline]
    pub(crate) fn seen(&self) -> u64 {
        self.tail - self.head
    }

    fn look(&mut self) {
        loop {
            // A ring that names its successor gets nothing more, so a tail read after that is its last.
            let next = self.ring.next.get().cloned();
            self.tail = self.ring.tail.load(Acquire);
            match next {
                Some(next) if self.head == self.tail => {
                    self.ring = next;
                    self.head = 0;
                    self.tail = 0;
                }
                _ => return,
            }
        }
    }

    /// Whether nothing more is there, as far as can be seen now.
    pub(crate) fn is_empty(&mut self) -> bool {
        self.ready() == 0
    }

    /// The claim at `offset` from the front, which stays in; `offset` is less than [`ready`](Self::ready).
    #[allow(unsafe_code)]
    #[inline]
    pub(crate) fn peek(&self, offset: u64) -> Claim<T> {
        debug_assert!(offset < self.tail - self.head);
        let raw = self.ring.slot(self.head + offset).load(Relaxed);
        // SAFETY: slots below the tail hold what `push` put there; the acquire of the tail made it visible, and the producer
        // does not write over it before this side has counted it as taken (model: `every_claim_arrives_once_in_order`).
        unsafe { Claim::from_raw(raw) }
    }

    /// Leaves `count` behind: they are the caller's now.
    #[inline]
    pub(crate) fn advance(&mut self, count: u64) {
        debug_assert!(count <= self.tail - self.head);
        self.head += count;
    }

    /// Takes the first one, if there is one.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Claim<T>> {
        if self.ready() == 0 {
            return None;
        }
        let claim = self.peek(0);
        self.advance(1);
        Some(claim)
    }
}

impl<T> Drop for Consumer<T> {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        while let Some(claim) = self.pop() {
            // SAFETY: popped, so it is this side's, once.
            let left = unsafe { claim.redeem() };
            contain(|| drop(left));
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
#[allow(unsafe_code, clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::counted::Counted;

    fn take(consumer: &mut Consumer<u32>) -> Option<u32> {
        // SAFETY: popped once.
        consumer.pop().map(|claim| *unsafe { claim.redeem() })
    }

    #[test]
    fn moving_to_a_larger_ring_keeps_order_and_loses_nothing() {
        let (mut producer, mut consumer) = ring(4);
        for number in 0..3 {
            producer.push(Counted::new(number).into_claim());
        }
        assert_eq!(take(&mut consumer), Some(0));
        producer.move_to(Spare::with_capacity(16));
        assert_eq!(producer.capacity(), 16);
        for number in 3..12 {
            producer.push(Counted::new(number).into_claim());
        }
        producer.move_to(Spare::with_capacity(32));
        producer.push(Counted::new(12).into_claim());
        let rest: Vec<_> = std::iter::from_fn(|| take(&mut consumer)).collect();
        assert_eq!(rest, (1..13).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_not_taken_is_dropped() {
        let witness = Arc::new(());
        let (mut producer, consumer) = ring(2);
        producer.push(Counted::new(Arc::clone(&witness)).into_claim());
        producer.move_to(Spare::with_capacity(2));
        producer.push(Counted::new(Arc::clone(&witness)).into_claim());
        drop(producer);
        assert_eq!(Arc::strong_count(&witness), 3);
        drop(consumer);
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}

#[cfg(all(test, relay_loom))]
#[allow(unsafe_code)]
mod models {
    use super::*;
    use crate::counted::Counted;
    use loom::thread;

    #[test]
    fn every_claim_arrives_once_in_order() {
        let mut bounded = loom::model::Builder::new();
        // More switches between the threads add nothing but time.
        bounded.preemption_bound = Some(3);
        bounded.check(|| {
            let (mut producer, mut consumer) = ring::<u32>(1);
            let taken = Arc::new(AtomicU64::new(0));
            let seen = Arc::clone(&taken);
            let writer = thread::spawn(move || {
                for number in 0..3_u64 {
                    while number - seen.load(Acquire) >= 1 {
                        thread::yield_now();
                    }
                    producer.push(Counted::new(number as u32).into_claim());
                }
            });
            let mut next = 0;
            while next < 3 {
                if let Some(claim) = consumer.pop() {
                    // SAFETY: popped once.
                    assert_eq!(*unsafe { claim.redeem() }, next);
                    next += 1;
                    taken.store(u64::from(next), Release);
                } else {
                    thread::yield_now();
                }
            }
            writer.join().unwrap();
        });
    }
}
