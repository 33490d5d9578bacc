//! The atomics of this module: those of the standard library, or loom's in a model.
//!
//! `RUSTFLAGS="--cfg relay_loom" cargo test --profile model -p relay-sense --lib models`.

#[cfg(not(relay_loom))]
pub(super) use std::sync::atomic;

#[cfg(relay_loom)]
pub(super) use loom::sync::atomic;

/// Tells the scheduler (or the model) that this thread waits for another one.
pub(super) fn yield_now() {
    #[cfg(not(relay_loom))]
    std::thread::yield_now();
    #[cfg(relay_loom)]
    loom::thread::yield_now();
}

/// A constructor that is `const`, except in a model, whose atomics are made at run time.
macro_rules! const_new {
    ($(#[$doc:meta])* $vis:vis fn new() -> Self $body:block) => {
        $(#[$doc])*
        #[cfg(not(relay_loom))]
        $vis const fn new() -> Self $body

        $(#[$doc])*
        #[cfg(relay_loom)]
        $vis fn new() -> Self $body
    };
}

pub(super) use const_new;
