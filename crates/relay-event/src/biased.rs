//! A lock that costs its owner next to nothing.
//!
//! Everybody may lock it; one *owner* at most may enter it without an atomic read-modify-write, by raising a flag and
//! looking at another. Whoever else wants in raises that other flag and waits until the owner is out: rare, and paid
//! for with a heavy fence. The pattern is known as biased locking (Dice, Moir, Scherer: "Quickly Reacquirable Locks",
//! 2003).

#![allow(unsafe_code)]

use crate::fence::{heavy, light};
use crate::light_lock::{Held, LightLock};
use crate::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use crate::sync::yield_now;
use crossbeam_utils::CachePadded;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};

pub(crate) struct BiasedLock<T> {
    /// Held by everybody but the owner.
    mutex: LightLock,
    /// Whether there is an owner.
    owned: AtomicBool,
    /// Whether the owner is inside; written by it alone.
    inside: CachePadded<AtomicBool>,
    /// Whether somebody else wants in, or is.
    revoked: CachePadded<AtomicBool>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock lets one thread at a time to the value (model: `one_at_a_time`).
unsafe impl<T: Send> Send for BiasedLock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for BiasedLock<T> {}

/// Access of somebody who is not the owner.
pub(crate) struct Guard<'a, T> {
    lock: &'a BiasedLock<T>,
    revoked: bool,
    _held: Held<'a>,
}

/// Access of the owner.
pub(crate) struct OwnerGuard<'a, T>(&'a BiasedLock<T>);

impl<T> BiasedLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            mutex: LightLock::new(),
            owned: AtomicBool::new(false),
            inside: CachePadded::new(AtomicBool::new(false)),
            revoked: CachePadded::new(AtomicBool::new(false)),
            value: UnsafeCell::new(value),
        }
    }

    /// Makes the caller the owner, unless there is one.
    pub(crate) fn own(&self) -> bool {
        let _held = self.mutex.lock();
        !self.owned.swap(true, Relaxed)
    }

    /// The owner gives it up. Nothing is entered with it any more.
    pub(crate) fn disown(&self) {
        let _held = self.mutex.lock();
        self.owned.store(false, Relaxed);
    }

    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let held = self.mutex.lock();
        // Written under the mutex only, so this is the latest.
        let revoked = self.owned.load(Relaxed);
        if revoked {
            self.revoke();
        }
        Guard {
            lock: self,
            revoked,
            _held: held,
        }
    }

    #[cold]
    fn revoke(&self) {
        self.revoked.store(true, Relaxed);
        heavy();
        // The owner is inside for a few hundred nanoseconds and never waits there.
        while self.inside.load(Acquire) {
            yield_now();
        }
    }

    /// Enters as the owner.
    ///
    /// # Safety
    ///
    /// [`own`](Self::own) gave `true` to the caller, who has not disowned it, and enters from one thread at a time.
    #[inline]
    pub(crate) unsafe fn enter(&self) -> OwnerGuard<'_, T> {
        loop {
            self.inside.store(true, Relaxed);
            light();
            // Acquire: what the last one inside did has to be seen.
            if !self.revoked.load(Acquire) {
                return OwnerGuard(self);
            }
            self.wait();
        }
    }

    #[cold]
    fn wait(&self) {
        self.inside.store(false, Release);
        // Whoever revoked it holds the mutex.
        drop(self.mutex.lock());
        yield_now();
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mutex keeps others out, and the owner is out and stays out while `revoked` is set.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Before the mutex is unlocked, which happens after this.
        if self.revoked {
            self.lock.revoked.store(false, Release);
        }
    }
}

impl<T> Deref for OwnerGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `inside` is set and was seen, or will be, by whoever revokes; `revoked` was not set after that.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for OwnerGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for OwnerGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.inside.store(false, Release);
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    use super::*;
    use loom::cell::UnsafeCell as Watched;
    use loom::thread;
    use std::sync::Arc;

    /// The watched cell reports any two accesses that are not ordered.
    struct Value(Watched<u32>);

    // SAFETY: the model is about exactly this.
    unsafe impl Send for Value {}

    fn add(value: &Value) {
        // SAFETY: loom checks it.
        value.0.with_mut(|cell| unsafe { *cell += 1 });
    }

    #[test]
    fn one_at_a_time() {
        loom::model(|| {
            let biased = Arc::new(BiasedLock::new(Value(Watched::new(0))));
            assert!(biased.own());
            assert!(!biased.own());
            let other = {
                let biased = Arc::clone(&biased);
                thread::spawn(move || add(&*biased.lock()))
            };
            for _ in 0..2 {
                // SAFETY: owned above, one thread.
                add(&*unsafe { biased.enter() });
            }
            other.join().unwrap();
            biased.disown();
            // SAFETY: loom checks it.
            let sum = biased.lock().0.with(|cell| unsafe { *cell });
            assert_eq!(sum, 3);
        });
    }
}
