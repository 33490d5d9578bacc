//! The atomics of the slot protocol: those of the standard library, or loom's in a model.
//!
//! `RUSTFLAGS="--cfg relay_loom" cargo test --profile model -p relay-forensics --lib models`. In
//! such a build only the protocol exists: a mapped file cannot be made of loom's atomics.

#[cfg(not(relay_loom))]
pub(crate) use std::sync::atomic;

#[cfg(relay_loom)]
pub(crate) use loom::sync::atomic;
