//! The atomics, locks and cells of this crate: those of the standard library, or loom's in a model.
//!
//! A model is a unit test under `#[cfg(all(test, relay_loom))]`; it runs every interleaving and every value that the
//! memory model allows to be read. `RUSTFLAGS="--cfg relay_loom" cargo test --release -p relay-event --lib models`.

#[cfg(not(relay_loom))]
pub(crate) use std::sync::atomic;

#[cfg(relay_loom)]
pub(crate) use loom::sync::atomic;
