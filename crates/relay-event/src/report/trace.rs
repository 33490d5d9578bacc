//! Where an error came from: an optional stack trace.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::sync::Arc;

/// The stack at one place of the program. Cloning is one reference count; names and lines are looked up when it is
/// printed, never by the one who publishes.
///
/// Off by default, because walking a stack takes microseconds and allocates: it is taken only where a publisher asks for
/// it with [`ErrorEvent::traced`](crate::ErrorEvent::traced), for errors and worse, and only when `RUST_BACKTRACE` or
/// `RUST_LIB_BACKTRACE` turns it on, as everywhere in Rust. What reports from a hot path or without allocating does not
/// ask.
#[derive(Clone)]
pub struct Trace(Arc<Backtrace>);

impl Trace {
    /// The stack here and now; `None` when traces are turned off.
    pub fn capture() -> Option<Self> {
        let trace = Backtrace::capture();
        (trace.status() == BacktraceStatus::Captured).then(|| Self(Arc::new(trace)))
    }
}

/// The same capture; the stack itself is not compared.
impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").finish_non_exhaustive()
    }
}
