//! Counters that cost about a nanosecond: most threads add to cells of their own, with a load and a store.
//!
//! A `fetch_add` on a shared cell costs six times as much, and far more when two cores contend for it. Each of the first
//! threads that count anything owns a stripe of every bus for the rest of the process; all later ones share one, with
//! `fetch_add`. Either way no count is ever lost. (The scheme is that of `LongAdder`, with stripes owned.)

use crate::code::Code;
use crate::report::{ErrorEvent, Severity, Signal};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The stripe of those that own none.
const SHARED: usize = 0;

/// The shared stripe and 7 owned ones, 6 KiB each: as many as a node has threads that report errors all the time.
const STRIPES: usize = 8;

/// Not asked for a stripe yet.
const NONE: usize = usize::MAX;

/// A cell for each code, severity and signal.
const SIGNALS: usize = Signal::ALL.len();
const KINDS: usize = Severity::ALL.len() * SIGNALS;

/// Beside those: events that no subscriber had room for.
const REFUSED: usize = Code::ALL.len() * KINDS;

static NEXT: AtomicUsize = AtomicUsize::new(SHARED + 1);

thread_local! {
    // A plain constant: needs no allocation, and is there until the very end of the thread, for panics in destructors.
    static STRIPE: Cell<usize> = const { Cell::new(NONE) };
}

/// How often each code was published with each severity and signal, and how many events were refused.
pub(super) struct Counts(Box<[Stripe; STRIPES]>);

#[repr(align(64))]
struct Stripe([AtomicU64; REFUSED + 1]);

impl Counts {
    pub(super) fn new() -> Self {
        let stripe = |_: usize| Stripe(std::array::from_fn(|_| AtomicU64::new(0)));
        Self(Box::new(std::array::from_fn(stripe)))
    }

    pub(super) fn add(&self, event: &ErrorEvent) {
        self.increment(cell(event.code, event.severity, event.signal));
    }

    pub(super) fn add_refused(&self) {
        self.increment(REFUSED);
    }

    fn increment(&self, cell: usize) {
        let stripe = own_stripe();
        // The remainder spares a check of the bounds.
        let cell = &self.0[stripe % STRIPES].0[cell];
        if stripe == SHARED {
            cell.fetch_add(1, Relaxed);
        } else {
            // Only this thread ever writes this cell.
            cell.store(cell.load(Relaxed) + 1, Relaxed);
        }
    }

    pub(super) fn of(&self, code: Code) -> u64 {
        let first = code as usize * KINDS;
        (first..first + KINDS).map(|cell| self.sum(cell)).sum()
    }

    pub(super) fn of_kind(&self, code: Code, severity: Severity, signal: Signal) -> u64 {
        self.sum(cell(code, severity, signal))
    }

    pub(super) fn refused(&self) -> u64 {
        self.sum(REFUSED)
    }

    fn sum(&self, cell: usize) -> u64 {
        self.0
            .iter()
            .map(|stripe| stripe.0[cell].load(Relaxed))
            .sum()
    }
}

fn cell(code: Code, severity: Severity, signal: Signal) -> usize {
    code as usize * KINDS + severity as usize * SIGNALS + signal as usize
}

fn own_stripe() -> usize {
    let stripe = STRIPE.get();
    if stripe == NONE { assign() } else { stripe }
}

#[cold]
fn assign() -> usize {
    // Stops counting at the end, so that no number of threads can make it wrap.
    let stripe = NEXT
        .try_update(Relaxed, Relaxed, |next| {
            (next < STRIPES).then_some(next + 1)
        })
        .unwrap_or(SHARED);
    STRIPE.set(stripe);
    stripe
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::component::Component;
    use std::thread;

    #[test]
    fn more_threads_than_stripes_lose_no_count() {
        let counts = Counts::new();
        let event = ErrorEvent::new(Code::Panic, Severity::Error, Component::Engine);
        for _ in 0..3 {
            thread::scope(|scope| {
                for _ in 0..STRIPES {
                    scope.spawn(|| {
                        for _ in 0..1_000 {
                            counts.add(&event);
                            counts.add_refused();
                        }
                    });
                }
            });
        }
        let all = 3 * STRIPES as u64 * 1_000;
        assert_eq!((counts.of(Code::Panic), counts.refused()), (all, all));
        assert_eq!(counts.of(Code::Shutdown), 0);
        let kind = |severity| counts.of_kind(Code::Panic, severity, Signal::None);
        assert_eq!((kind(Severity::Error), kind(Severity::Info)), (all, 0));
        let shared = &counts.0[SHARED].0[REFUSED];
        assert!(shared.load(Relaxed) > 0, "the later threads shared one");
    }
}
