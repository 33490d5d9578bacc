//! What only the panic hook can see: the place and the stack of a panic.
//!
//! `catch_unwind` hands over the payload and nothing else. The hook runs earlier, on the stack of
//! the panic, and leaves both in a thread-local for the guard to take. It captures only inside a
//! guarded scope, so panics that are none of the guard's business cost nothing more than before,
//! and it always calls the hook that was there before.

use std::{
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    fmt, panic,
    sync::Once,
};

use crate::unwinder;

/// Where in the source a panic began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanicLocation {
    /// The source file, as the compiler saw it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

/// What the hook saw of the last panic of this thread.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) location: Option<PanicLocation>,
    pub(crate) backtrace: Option<Backtrace>,
}

/// A stretch of code whose panics are captured. It holds what was captured before it began: a guard
/// inside a destructor must not take the place of the panic that is unwinding around it.
pub(crate) struct Scope {
    before: Option<Capture>,
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static LAST: RefCell<Option<Capture>> = const { RefCell::new(None) };
}

// === impl PanicLocation ===

impl fmt::Display for PanicLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

// === impl Scope ===

impl Scope {
    pub(crate) fn enter() -> Self {
        install();
        DEPTH.with(|depth| depth.set(depth.get() + 1));
        Self { before: take() }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
        keep(self.before.take());
    }
}

/// Whether this thread runs inside a guard.
pub(crate) fn is_guarded() -> bool {
    DEPTH.try_with(Cell::get).is_ok_and(|depth| depth > 0)
}

/// Takes what the hook saw last on this thread.
pub(crate) fn take() -> Option<Capture> {
    LAST.try_with(|last| last.try_borrow_mut().ok()?.take())
        .ok()
        .flatten()
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if is_guarded() {
                capture(info);
            }
            previous(info);
        }));
    });
}

/// A panic in here would abort the process, so nothing that can fail is insisted on.
fn capture(info: &panic::PanicHookInfo<'_>) {
    let capture = Capture {
        location: info.location().map(|location| PanicLocation {
            file: location.file().to_owned(),
            line: location.line(),
            column: location.column(),
        }),
        backtrace: unwinder::for_backtrace(Backtrace::force_capture),
    };
    keep(Some(capture));
}

fn keep(capture: Option<Capture>) {
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = capture;
        }
    });
}
