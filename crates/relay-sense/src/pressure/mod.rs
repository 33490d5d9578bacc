//! How much time is lost waiting for memory (pressure stall information, PSI).
//!
//! A second opinion, never the first: without swap and with anonymous growth the kernel reports no
//! pressure until the last 0.3 MiB before the kill (measured). It tells of thrashing, where caches or
//! swap are turned over.

mod error;
mod psi;
mod reader;
mod trigger;

pub use error::TriggerError;
pub use psi::{Psi, Stall};
pub use reader::{Availability, Pressure, PressureSample, PressureScope};
pub use trigger::{Delegated, StallKind, Trigger};
