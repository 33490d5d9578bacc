//! The atomics and locks of this crate: those of the standard library, or loom's in a model.
//!
//! A model is a unit test under `#[cfg(all(test, relay_loom))]`; it runs every interleaving and every value that the
//! memory model allows to be read. `RUSTFLAGS="--cfg relay_loom" cargo test --release -p relay-event --lib models`.

#[cfg(not(relay_loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};

#[cfg(relay_loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, atomic};

use std::sync::PoisonError;

/// Locks, also after a panic elsewhere: what these mutexes guard is valid at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits to be notified, also after a panic elsewhere.
pub(crate) fn wait<'a, T>(turn: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    turn.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Tells the scheduler (or the model) that this thread waits for another one.
pub(crate) fn yield_now() {
    #[cfg(not(relay_loom))]
    std::thread::yield_now();
    #[cfg(relay_loom)]
    loom::thread::yield_now();
}
