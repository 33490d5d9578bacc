//! `relay load`: open-loop load with a reconciled account at the end.
//!
//! *Open loop* means that arrivals follow the schedule and do not wait for answers, the way
//! independent senders behave. A closed loop (send, wait, send) slows down together with the
//! server it measures and hides exactly the overload that one wants to see ("coordinated
//! omission", Gil Tene). Therefore latency is counted from the moment an event was *due*, also when
//! it had to wait for a free connection.
//!
//! ```text
//! schedule ─▶ arrival ─▶ backlog (bounded) ─▶ idle connection ─▶ answer ─▶ account
//!                           └─ full: failed{client_overrun}
//! ```
//!
//! Every arrival is settled exactly once: an `Arrival` that is dropped unsettled counts
//! as timed out, so `sent = accepted + refused + failed` holds by construction.
//!
//! Everything runs on one thread: one core gives some ten thousands of requests a second.

mod account;
mod args;
mod backlog;
mod client;
mod error;
mod options;
mod report;
mod runner;
mod schedule;

pub use account::{Counts, FailureKind};
pub use args::LoadArgs;
pub use error::LoadError;
pub use options::{LoadOptions, Phase, Rate};
pub use report::{Bucket, Latency, PhaseReport, Report};
pub use runner::{execute, run};

#[cfg(test)]
mod tests;
