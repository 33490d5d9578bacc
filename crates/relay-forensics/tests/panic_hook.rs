//! The hook that was there before is called for every panic, guarded or not.
//!
//! A process has one hook, so this is the only test of its process.

use std::{
    panic,
    sync::atomic::{AtomicU32, Ordering},
};

use relay_forensics::PanicGuard;

#[test]
fn the_previous_hook_is_called_for_guarded_and_other_panics() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    panic::set_hook(Box::new(|_| {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }));
    let guard = PanicGuard::new(|_| {});
    let guarded: Result<(), _> = guard.wrap_thread("guarded", || panic!("one"))();
    assert!(guarded.is_err());
    assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    assert!(panic::catch_unwind(|| panic!("two")).is_err());
    assert_eq!(CALLS.load(Ordering::Relaxed), 2);
    assert_eq!(guard.panics(), 1);
}
