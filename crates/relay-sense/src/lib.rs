//! What the kernel says about memory: how much this process may use, how much it uses, and who says
//! so.
//!
//! # The problem
//!
//! A Rust service in a container is killed without a word when its memory passes a limit that it
//! never looked at. Looking is harder than it seems. The limit may be set on a parent group, on
//! version 1 or 2 of the interface or on both at once, behind a bind mount, or outside the
//! namespace; and the usage that the kernel shows counts the page cache, so that a process which
//! merely writes a file seems to be about to die.
//!
//! ```text
//! /proc/self/cgroup ──┐  which group?            ┌─▶ limit    smallest of levels, RAM, rlimits,
//! /proc/self/mountinfo ──▶ where is it mounted? ─┤            environment and configuration
//! /proc/self/limits   ─▶ what may the process?   ├─▶ usage    current · working set · unreclaimable
//! /proc/meminfo ──────┘  what has the machine?   └─▶ headroom smallest of all levels
//! ```
//!
//! # An example
//!
//! ```
//! use std::time::Instant;
//! use relay_sense::{Root, Sampler, detect};
//!
//! let root = Root::system();
//!
//! // Once, at the start: what is the limit, and who sets it?
//! let detection = detect(&root, None)?;
//! if let Some(memory) = &detection.memory {
//!     println!("limit {} bytes, from {}", memory.bytes, memory.source);
//! }
//! println!("{} worker threads", detection.cpu.worker_threads());
//! for note in &detection.notes {
//!     println!("could not see: {note}");
//! }
//!
//! // As often as you like: how close is it? Nothing is allocated here.
//! let mut sampler = Sampler::new(&root)?;
//! let sample = sampler.sample(Instant::now());
//! match sample.headroom_bytes {
//!     Some(bytes) => println!("{bytes} bytes left"),
//!     None => println!("unknown: better be careful"),
//! }
//! # Ok::<(), relay_sense::SenseError>(())
//! ```
//!
//! # Which figure to hold against the limit
//!
//! | figure | counts | use it for |
//! |---|---|---|
//! | `current_bytes` | everything, page cache too | nothing: it is at the limit as soon as files are written |
//! | `working_set_bytes` | without the inactive page cache | comparing with kubelet and `docker stats` |
//! | `unreclaimable_bytes` | what the kernel cannot free | **deciding** |
//! | `resident_bytes` | this process alone | finding out who it is; it misses tmpfs, kernel memory and siblings |
//!
//! *No limit*, *unknown* and *zero* are three different values everywhere ([`Bound`], `Option`).
//!
//! # How often, and from where
//!
//! | you are | use |
//! |---|---|
//! | a loop that decides | [`Sampler::sample`] (5 µs), or [`Sampler::level`] (0.4 µs) where it turns fast |
//! | the thread that allocates | a [`Gauge`] (0.4 µs, any thread) |
//! | idle until something changes | [`wait()`] on the sampler's [`Watch`] |
//! | curious about thrashing | [`Pressure`], and a [`Trigger`] where one may be registered |
//!
//! # When not to use it
//!
//! - To *stop* at a limit. A figure read now is old by the time you allocate; reserve from a budget
//!   that is smaller than the limit instead.
//! - Outside Linux, for more than a look: there it knows the configured limit, the environment, the machine's memory and
//!   the resident size of the process. The rest is *unknown*, "not available on this system".
//! - Where the limit is set on a level that nothing inside shows (some task runners limit only an
//!   outer virtual machine). [`Detection::ancestors_hidden`] says that this may be so; configure
//!   the limit then.
//! - With swap: memory counted as unreclaimable could be swapped out, so the figure warns early.
//!
//! # Features
//!
//! - `jemalloc`: figures and purging of jemalloc, in [`alloc`]; its static build takes a C compiler.
//! - `mimalloc`: the same for mimalloc.
//!
//! Neither makes it the allocator. The crate starts no thread, decides nothing and reports nothing on
//! its own.

#![deny(unsafe_code)]

pub mod alloc;
mod base;
mod bound;
mod caps;
mod cgroup;
mod climb;
mod counters;
mod cpu;
mod detect;
mod environ;
mod error;
mod file;
#[doc(hidden)]
pub mod fuzz;
mod gauge;
mod hierarchy;
mod level;
mod limit;
mod meminfo;
mod pressure;
pub mod process;
mod quantity;
mod resident;
mod rlimit;
mod root;
mod sample;
mod sampler;
mod stack;
mod survey;
mod swap;
mod swap_files;
mod sys;
mod text;
mod usage;
mod variables;
mod wait;
mod waker;
mod watch;

pub use bound::Bound;
pub use counters::{MemoryEvents, Throttling};
pub use cpu::{CpuLimit, CpuQuota, CpuSource, ThrottleFile};
pub use detect::{Detect, Detection, detect};
pub use environ::Environ;
pub use error::SenseError;
pub use gauge::Gauge;
pub use limit::{LimitSource, MemoryLimit, SoftLimit};
pub use pressure::{
    Availability, Delegated, Pressure, PressureSample, PressureScope, Psi, Stall, StallKind,
    Trigger, TriggerError,
};
pub use process::{Process, ProcessSample};
pub use quantity::{Quantity, QuantityError, Share, parse_size};
pub use root::Root;
pub use sample::{Binding, LevelSample, Sample, Scope};
pub use sampler::Sampler;
pub use stack::lock_stack;
pub use wait::{Ready, wait};
pub use waker::Waker;
pub use watch::{Changes, Watch};
