//! Records the signals that end a process for a fault of its own: SIGSEGV, SIGBUS, SIGABRT, SIGILL,
//! SIGFPE and SIGTRAP.
//!
//! The handler stores a few words into the mapped file and then gives the signal back to whoever had
//! it before, so that the process ends as it would have: same signal, same exit code, same core
//! file, and the standard library still says which thread overflowed its stack.
//!
//! **Why crash-handler.** It runs on an alternate stack, without which an overflow of the stack
//! cannot be handled at all, and it restores the previous handlers and raises again. signal-hook
//! sets no `SA_ONSTACK` and refuses SIGSEGV, SIGILL and SIGFPE in its safe interface.
//!
//! The price is that it puts itself in front of `pthread_create`, to give every thread of the program
//! its alternate stack; hence the feature `signals`. Under a sanitizer it wants
//! `--cfg sanitizer_compat`.
//!
//! A handler runs between any two instructions. This one makes atomic stores and reads a clock
//! through the vDSO; it takes no lock, allocates nothing and formats nothing.

#![allow(unsafe_code)]

use std::sync::Arc;

use crash_handler::{CrashContext, CrashEventResult, CrashHandler, make_crash_event};

use crate::recorder::{Recorder, Shared};

/// The handlers, as long as it lives.
#[must_use = "the handlers are removed when it is dropped"]
pub struct FatalSignals {
    _handler: CrashHandler,
}

/// The handlers could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("fatal signals are not recorded")]
pub struct NotWatched(#[source] Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Debug for FatalSignals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FatalSignals").finish_non_exhaustive()
    }
}

impl Recorder {
    /// Records fatal signals until what it answers is dropped. Once for each process.
    ///
    /// # Errors
    ///
    /// [`NotWatched`] when another crash handler of this kind is installed, or there is no memory
    /// for the alternate stack.
    pub fn watch_fatal_signals(&self) -> Result<FatalSignals, NotWatched> {
        let shared = Arc::clone(self.shared());
        let handle = move |context: &CrashContext| handle(&shared, context);
        // SAFETY: the closure is called in a signal handler; it does what one may do, see the
        // module, and touches only atomics that `shared` keeps mapped. Exercised by
        // `tests/death.rs`, which ends real processes by each of the signals.
        let event = unsafe { make_crash_event(handle) };
        let handler = CrashHandler::attach(event).map_err(|error| NotWatched(Box::new(error)))?;
        Ok(FatalSignals { _handler: handler })
    }
}

fn handle(shared: &Shared, context: &CrashContext) -> CrashEventResult {
    let info = &context.siginfo;
    // The handler's `siginfo_t` is passed as a `signalfd_siginfo`, whose fields lie elsewhere: the
    // address of a fault, at byte 16, shows as user and descriptor.
    let address = u64::from(info.ssi_uid) | u64::from(info.ssi_fd.cast_unsigned()) << 32;
    // Sent by a process or by `abort`, a signal has no address.
    let fault = info.ssi_code > 0;
    let thread = u64::from(context.tid.cast_unsigned());
    shared.fatal_signal(info.ssi_signo, if fault { address } else { 0 }, thread);
    CrashEventResult::Handled(false)
}
