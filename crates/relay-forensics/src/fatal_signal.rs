//! Records the signals that end a process for a fault of its own: SIGSEGV, SIGBUS, SIGABRT, SIGILL,
//! SIGFPE and SIGTRAP.
//!
//! The handler stores a few words into the mapped file and then gives the signal back to whoever had
//! it before, so that the process ends as it would have: same signal, same exit code, same core
//! file, and the standard library still says which thread overflowed its stack.
//!
//! **On which stack.** An overflow of the stack can only be handled on another one. The standard
//! library gives each of its threads an alternate stack at its start, for its own message; this
//! handler asks for it (`SA_ONSTACK`) and uses some hundred bytes of it. A thread that was not made
//! by it, such as a library's in C, is handled on its own stack, so that an overflow *there* goes
//! unrecorded. crash-handler gives those a stack too, by putting itself in front of `pthread_create`,
//! and thereby ends any program that is linked statically; signal-hook refuses SIGSEGV, SIGILL and
//! SIGFPE in its safe interface.
//!
//! A handler runs between any two instructions. This one makes atomic stores and reads a clock
//! through the vDSO; it takes no lock, allocates nothing and formats nothing.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

use crate::recorder::{Recorder, Shared};

const SIGNALS: [Signal; 6] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGABRT,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGTRAP,
];

/// What the handler records into; null while nothing is watched.
static WATCHED: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

/// Whether somebody watches.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Who had each signal before.
static BEFORE: Before = Before(UnsafeCell::new([None; SIGNALS.len()]));

struct Before(UnsafeCell<[Option<SigAction>; SIGNALS.len()]>);

// SAFETY: written only by whoever has `TAKEN` and while `WATCHED` is null; the handler reads it only after it has found
// `WATCHED`, which is stored with release after the last write.
unsafe impl Sync for Before {}

/// The handlers, as long as it lives.
#[derive(Debug)]
#[must_use = "the handlers are removed when it is dropped"]
pub struct FatalSignals(());

/// The handlers could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("fatal signals are not recorded")]
pub struct NotWatched(#[source] io::Error);

impl Recorder {
    /// Records fatal signals until what it answers is dropped. Once for each process.
    ///
    /// # Errors
    ///
    /// [`NotWatched`] when another recorder of this process does it already.
    pub fn watch_fatal_signals(&self) -> Result<FatalSignals, NotWatched> {
        if TAKEN.swap(true, Ordering::Acquire) {
            return Err(NotWatched(io::ErrorKind::AlreadyExists.into()));
        }
        let handlers = FatalSignals(());
        let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK;
        let action = SigAction::new(SigHandler::SigAction(handle), flags, SigSet::empty());
        for (index, signal) in SIGNALS.into_iter().enumerate() {
            // SAFETY: the handler does what one may do, see the module, and is there as long as the program. Exercised by
            // `tests/death.rs`, which ends real processes by each of the signals.
            let before = unsafe { sigaction(signal, &action) };
            let before = before.map_err(|errno| NotWatched(errno.into()))?;
            // SAFETY: `TAKEN` is ours, and `WATCHED` is null.
            unsafe { (*BEFORE.0.get())[index] = Some(before) };
        }
        // Never freed: a handler on another thread may be about to use it.
        let shared = Arc::into_raw(Arc::clone(self.shared()));
        WATCHED.store(shared.cast_mut(), Ordering::Release);
        Ok(handlers)
    }
}

impl Drop for FatalSignals {
    fn drop(&mut self) {
        WATCHED.store(ptr::null_mut(), Ordering::Release);
        for (index, signal) in SIGNALS.into_iter().enumerate() {
            // SAFETY: only the owner of `TAKEN` writes there, which is this.
            give_back(signal, unsafe { (*BEFORE.0.get())[index] });
        }
        TAKEN.store(false, Ordering::Release);
    }
}

/// Gives a signal to whoever had it before; if that is not known, to the default.
fn give_back(signal: Signal, before: Option<SigAction>) {
    let default = || SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let before = before.unwrap_or_else(default);
    // SAFETY: it was installed before, by whoever answers for it; or it is the default.
    let _ = unsafe { sigaction(signal, &before) };
}

extern "C" fn handle(number: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    let Some(index) = SIGNALS.iter().position(|signal| *signal as c_int == number) else {
        return;
    };
    // SAFETY: the kernel passes a `siginfo_t` to a handler with `SA_SIGINFO`; of faults it holds an address.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as u64) };
    // Sent by a process or by `abort`, a signal has no address.
    let fault = code > 0;
    // SAFETY: null, or a value that is never freed.
    let shared = unsafe { WATCHED.load(Ordering::Acquire).as_ref() };
    if let Some(shared) = shared {
        // SAFETY: a system call that cannot fail.
        let thread = unsafe { libc::gettid() };
        let thread = u64::from(thread.cast_unsigned());
        shared.fatal_signal(number.cast_unsigned(), if fault { address } else { 0 }, thread);
    }
    // All of them: the first is why it ends, and what follows from it, such as an abort, finds little left of an alternate
    // stack of 8 KiB.
    for (other, signal) in SIGNALS.into_iter().enumerate() {
        // SAFETY: written before `WATCHED` was.
        let before = shared.and_then(|_| unsafe { (*BEFORE.0.get())[other] });
        give_back(signal, before);
    }
    // A fault happens again as soon as this returns; what was sent has to be sent again, and comes as soon as this
    // returns, too.
    if !fault {
        let _ = raise(SIGNALS[index]);
    }
}
