//! Machines made of folders: every layout in which a detector can go wrong, through the public API.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be built fails its test"
)]

mod ages;
mod cpu;
mod fixtures;
mod hostile;
mod level;
mod limit_v1;
mod limit_v2;
mod machine;
mod minimum;
mod mounts;
mod no_alloc;
// Only Linux has triggers, and tells of files that were written.
#[cfg(all(target_os = "linux", not(relay_portable)))]
mod pressure;
mod sampler;
#[cfg(all(target_os = "linux", not(relay_portable)))]
mod watch;
