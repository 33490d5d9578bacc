//! Publishing a hook to threads that may be running the one before it.
//!
//! Whoever runs the hook announces itself first and looks the hook up second; whoever takes it out
//! hides it first and looks for announcements second. One of the two sees the other, so a hook is
//! freed only when nobody runs it: the store-buffer pattern, hence a sequentially consistent fence on
//! each side. It is the idea of hazard pointers (Michael, 2004) with one counter for all readers,
//! which is enough since it is touched once in many kilobytes.

#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use super::Tick;
use super::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire,
    Ordering::Relaxed, Ordering::Release, Ordering::SeqCst, fence,
};
use super::sync::{const_new, yield_now};

/// A pointer to it is thin, so it can be swapped at once.
struct Hook {
    run: Box<dyn Fn(&Tick) + Send + Sync>,
    /// It has panicked, and is not run again.
    is_dead: AtomicBool,
}

/// At most one hook, which can be changed while other threads run it.
#[derive(Debug)]
pub(super) struct HookCell {
    hook: AtomicPtr<Hook>,
    /// How many threads are between announcing themselves and having run the hook.
    running: AtomicUsize,
    panics: AtomicU64,
}

// === impl HookCell ===

impl HookCell {
    const_new! {
        pub(super) fn new() -> Self {
            Self {
                hook: AtomicPtr::new(null_mut()),
                running: AtomicUsize::new(0),
                panics: AtomicU64::new(0),
            }
        }
    }

    /// Puts a hook in place of the one before it, and waits until nobody runs that one.
    pub(super) fn set(&self, run: Box<dyn Fn(&Tick) + Send + Sync>) {
        // Hidden before it is replaced: new runs would keep the wait from ending.
        self.clear();
        let hook = Box::into_raw(Box::new(Hook {
            run,
            is_dead: AtomicBool::new(false),
        }));
        self.free_unused(self.hook.swap(hook, AcqRel));
    }

    /// Takes the hook out, and waits until nobody runs it. Must not be called by a hook.
    pub(super) fn clear(&self) {
        self.free_unused(self.hook.swap(null_mut(), AcqRel));
    }

    fn free_unused(&self, hidden: *mut Hook) {
        if hidden.is_null() {
            return;
        }
        // Pairs with the one in `run`.
        fence(SeqCst);
        while self.running.load(Acquire) != 0 {
            yield_now();
        }
        // SAFETY: it came from `Box::into_raw`; the swap that hid it gave it to this call alone; whoever found it before
        // was announced and has left, and nobody finds it any more (models: `a_hook_is_freed_once_and_never_while_it_runs`,
        // `two_replace_a_hook_at_once`).
        drop(unsafe { Box::from_raw(hidden) });
    }

    /// Runs the hook, if there is one. A panic stays here: unwinding out of an allocator is undefined
    /// behaviour. The hook that panicked is not run again.
    pub(super) fn run(&self, tick: &Tick) {
        if self.hook.load(Relaxed).is_null() {
            return;
        }
        self.running.fetch_add(1, Relaxed);
        // Pairs with the one in `free_unused`: either that sees the announcement, or this sees null.
        fence(SeqCst);
        let found = self.hook.load(Acquire);
        // SAFETY: null, or published by `set` and not freed while this thread is announced (models as above).
        if let Some(hook) = unsafe { found.as_ref() }
            && !hook.is_dead.load(Relaxed)
            && let Err(panic) = catch_unwind(AssertUnwindSafe(|| (hook.run)(tick)))
        {
            hook.is_dead.store(true, Relaxed);
            self.panics.fetch_add(1, Relaxed);
            // What was thrown may have a destructor that panics as well; then it is left alone.
            if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
                std::mem::forget(again);
            }
        }
        self.running.fetch_sub(1, Release);
    }

    /// How many times a hook has panicked.
    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }
}

#[cfg(relay_loom)]
impl Drop for HookCell {
    fn drop(&mut self) {
        self.clear();
    }
}
