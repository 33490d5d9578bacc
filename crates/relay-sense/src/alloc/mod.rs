//! What the allocator says: live bytes, a clock that runs on bytes, and giving memory back.
//!
//! # Why a clock of bytes
//!
//! Without swap the kernel says nothing before a process is killed for its memory but the level itself, and a loop that
//! fills a container of 64 MiB at the speed of page faults is dead 7 ms after it passed 90 %. A thread that polls is
//! too slow for that, or busy for nothing. The thread that allocates is always awake when memory grows: let it look.
//!
//! ```
//! use relay_sense::alloc::Counting;
//! use std::alloc::System;
//! use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
//!
//! #[global_allocator]
//! static ALLOCATOR: Counting<System> = Counting::new(System);
//!
//! static REFUSE: AtomicBool = AtomicBool::new(false);
//! # fn level() -> f64 { 0.5 }
//!
//! // Every MiB allocated: look at the level (a `pread`), and shut the door when it is high.
//! ALLOCATOR.heap().set_clock(1 << 20, |_| REFUSE.store(level() >= 0.95, Relaxed))?;
//! # Ok::<(), relay_sense::alloc::ClockError>(())
//! ```
//!
//! # What is counted
//!
//! The sizes of the layouts asked for, in the Rust heap: no thread stacks, no `mmap`, no C libraries, no page tables,
//! nothing an allocator rounds up or keeps. So the live bytes are a *lower bound* of what the kernel charges, and a
//! clock; they are never what to hold against a limit. Zeroed memory counts before its pages are touched.

#[cfg_attr(relay_loom, allow(dead_code))]
mod clock;
mod error;
mod hook;
#[cfg_attr(relay_loom, allow(dead_code))]
mod slot;
mod sync;
mod table;
mod tick;

#[cfg(not(relay_loom))]
mod counting;
#[cfg(not(relay_loom))]
mod heap;
#[cfg(all(not(relay_loom), feature = "jemalloc-profile"))]
mod heap_profile;
#[cfg(not(relay_loom))]
mod local;
#[cfg(all(test, relay_loom))]
mod models;
#[cfg(not(relay_loom))]
mod reclaim;

pub use error::ClockError;
pub use tick::Tick;

#[cfg(not(relay_loom))]
pub use counting::Counting;
#[cfg(not(relay_loom))]
pub use heap::{Heap, heap};
#[cfg(all(
    not(any(relay_loom, relay_portable)),
    target_os = "linux",
    target_env = "gnu"
))]
pub use reclaim::Glibc;
#[cfg(all(not(relay_loom), feature = "jemalloc"))]
pub use reclaim::Jemalloc;
#[cfg(all(not(relay_loom), feature = "mimalloc"))]
pub use reclaim::Mimalloc;
#[cfg(not(relay_loom))]
pub use reclaim::{Allocator, AllocatorStats, Effort, Reclaim, Reclaimed, Reclaimer};
