//! A reference-counted value whose count is raised for many holders at once.
//!
//! `std::sync::Arc` pays one atomic operation per clone; a publish to many queues knows how many references it needs
//! and takes them with one. A reference that lies in a queue as a bare pointer is called a *claim*.

#![allow(unsafe_code)]

use crate::sync::atomic::{
    AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence,
};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

/// References beyond this can only come from a leak in a loop; the process ends before the count wraps round and frees
/// what is still in use. The bound and the answer are those of `std::sync::Arc`.
const MAX_CLAIMS: usize = isize::MAX as usize;

/// One reference to a shared value. The last to be dropped drops the value, on its own thread.
pub(crate) struct Counted<T>(NonNull<Shared<T>>);

struct Shared<T> {
    claims: AtomicUsize,
    value: T,
}

/// A claim as a bare pointer, such as in a slot of a ring: it is owned by whoever the slot's protocol says.
pub(crate) struct Claim<T>(NonNull<Shared<T>>);

impl<T> Clone for Claim<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Claim<T> {}

// SAFETY: a `Counted` gives `&T` to whichever thread holds it, and drops the `T` on whichever is last, exactly as `Arc`
// does; so the value has to be `Send` and `Sync`. A `Claim` gives nothing away without an unsafe call.
unsafe impl<T: Send + Sync> Send for Counted<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Counted<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for Claim<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Claim<T> {}

impl<T> Counted<T> {
    pub(crate) fn new(value: T) -> Self {
        let shared = Box::new(Shared {
            claims: AtomicUsize::new(1),
            value,
        });
        Self(NonNull::from(Box::leak(shared)))
    }

    /// What a value costs beside itself, in bytes.
    pub(crate) const OVERHEAD_BYTES: usize = size_of::<Shared<T>>() - size_of::<T>();

    fn shared(&self) -> &Shared<T> {
        // SAFETY: this reference is counted, so the value is alive as long as it is (model: `claims_end_once`).
        unsafe { self.0.as_ref() }
    }

    /// Turns this reference into a claim, which is lost for ever unless it is redeemed.
    pub(crate) fn into_claim(self) -> Claim<T> {
        Claim(ManuallyDrop::new(self).0)
    }

    /// Takes `count` further claims with one atomic operation.
    pub(crate) fn add_claims(&self, count: usize) {
        // Relaxed, as in `Arc`: a new reference is made from an existing one, which orders what matters.
        if self.shared().claims.fetch_add(count, Relaxed) > MAX_CLAIMS {
            std::process::abort();
        }
    }
}

impl<T> Claim<T> {
    /// The pointer, for a slot.
    pub(crate) fn into_raw(self) -> *mut () {
        self.0.as_ptr().cast()
    }

    /// The claim that a slot held.
    ///
    /// # Safety
    ///
    /// `raw` came from [`into_raw`](Self::into_raw) of a `Claim<T>`.
    pub(crate) unsafe fn from_raw(raw: *mut ()) -> Self {
        // SAFETY: the caller's promise: it was made from a `NonNull`.
        Self(unsafe { NonNull::new_unchecked(raw.cast()) })
    }

    /// Turns it back into a reference.
    ///
    /// # Safety
    ///
    /// The caller owns this claim, and nobody redeems it again.
    pub(crate) unsafe fn redeem(self) -> Counted<T> {
        Counted(self.0)
    }

    /// Looks at the value without taking the claim over.
    ///
    /// # Safety
    ///
    /// The claim is not redeemed and dropped before the end of `'a`.
    pub(crate) unsafe fn borrow<'a>(self) -> Borrowed<'a, T> {
        Borrowed(ManuallyDrop::new(Counted(self.0)), std::marker::PhantomData)
    }
}

/// A reference that somebody else's claim keeps alive.
pub(crate) struct Borrowed<'a, T>(ManuallyDrop<Counted<T>>, std::marker::PhantomData<&'a T>);

impl<T> Deref for Borrowed<'_, T> {
    type Target = Counted<T>;

    fn deref(&self) -> &Counted<T> {
        &self.0
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.shared().value
    }
}

impl<T> Clone for Counted<T> {
    fn clone(&self) -> Self {
        self.add_claims(1);
        Self(self.0)
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        // Release and the fence order every use of the value before its drop (see `Arc`).
        if self.shared().claims.fetch_sub(1, Release) == 1 {
            fence(Acquire);
            // SAFETY: the count was one and is zero: nobody else has a reference, and none can be made (model:
            // `claims_end_once`).
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_value_is_dropped_with_the_last_claim_and_not_before() {
        let witness = Arc::new(());
        let counted = Counted::new(Arc::clone(&witness));
        counted.add_claims(2);
        let claim = counted.into_claim();
        for left in (0..3).rev() {
            // SAFETY: the claim of the first reference and the two that were added, each once.
            drop(unsafe { claim.redeem() });
            assert_eq!(Arc::strong_count(&witness) == 1, left == 0);
        }
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    struct Witness(Arc<AtomicUsize>);

    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn claims_end_once() {
        loom::model(|| {
            let drops = Arc::new(AtomicUsize::new(0));
            let first = Counted::new(Witness(Arc::clone(&drops)));
            first.add_claims(1);
            let claim = Claim(first.0);
            let other = thread::spawn(move || {
                // SAFETY: the claim that was added above.
                let second = unsafe { claim.redeem() };
                let third = second.clone();
                drop(second);
                let Witness(drops) = &*third;
                assert_eq!(drops.load(Relaxed), 0, "dropped too early");
            });
            drop(first);
            other.join().unwrap();
            assert_eq!(drops.load(Relaxed), 1);
        });
    }
}
