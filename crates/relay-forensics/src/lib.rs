//! What is left of the last seconds: a ring of records, a guard around panics, a profile on demand.
//!
//! **The problem.** When a service misbehaves, the interesting moment is over. A log has what
//! somebody thought of printing; a panic in a task is often seen by nobody. This crate keeps the
//! last decisions and events in a fixed amount of memory, makes sure that a panic is reported with
//! its place and stack exactly once, and can say where the CPU time goes.
//!
//! | part | for |
//! |---|---|
//! | [`Ring`] | the last N [`Record`]s, written from any thread without waiting or allocating |
//! | [`PanicGuard`] | threads and futures whose panics are caught, counted and reported |
//! | `profile` | a bounded CPU profile (feature `profile`) |
//!
//! # Example
//!
//! ```
//! use relay_forensics::{PanicGuard, Record, Ring};
//! use std::{sync::Arc, thread, time::Duration};
//!
//! const TICK: u16 = 1;
//! const PANIC: u16 = 2;
//!
//! let ring = Arc::new(Ring::try_new(256)?);
//! let guard = PanicGuard::new({
//!     let ring = Arc::clone(&ring);
//!     move |panicked| {
//!         let line = panicked.location.as_ref().map_or(0, |location| location.line);
//!         ring.record(&Record::new(PANIC, Duration::ZERO).with_detail(line));
//!     }
//! });
//! let worker = thread::spawn(guard.wrap_thread("worker", {
//!     let ring = Arc::clone(&ring);
//!     move || {
//!         for n in 0..3 {
//!             ring.record(&Record::new(TICK, Duration::from_millis(50 * n)).with_values(&[n]));
//!         }
//!         panic!("lost the plot");
//!     }
//! }));
//! let result: Result<(), _> = worker.join().expect("panics end at the guard");
//! assert!(result.is_err());
//! let kinds: Vec<u16> = ring.snapshot().iter().map(|entry| entry.record.kind).collect();
//! assert_eq!(kinds, [TICK, TICK, TICK, PANIC]);
//! # Ok::<(), relay_forensics::InvalidCapacity>(())
//! ```
//!
//! # When not to use it
//!
//! The ring lives in the process and dies with it: against SIGKILL it is no help. It is no log
//! either, since it forgets by design.

#![forbid(unsafe_code)]

pub mod panic_guard;
mod panic_hook;
#[cfg(feature = "profile")]
pub mod profile;
mod record;
pub mod ring;
mod unwinder;

pub use crate::{
    panic_guard::{Guarded, PanicGuard, Panicked},
    panic_hook::PanicLocation,
    record::{Record, VALUES},
    ring::{CAPACITY_MAX, Entry, InvalidCapacity, Ring},
};
