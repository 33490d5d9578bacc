//! The look of the thread that makes memory grow: it is awake when the pulse may not be.
//!
//! At unthrottled growth a thread that has to be woken first comes too late in five of six runs, and one that allocates
//! and looks for itself never (measured). So each so many bytes the allocating thread reads the level, shuts the gate when
//! next to nothing is left, and wakes the pulse, which decides the rest.

use relay_event::{ByteBudget, Gate, Priority};
use relay_sense::alloc::{self, ClockError};
use relay_sense::{Gauge, Waker};
use std::sync::atomic::{
    AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Relaxed, Ordering::Release,
};
use std::sync::{Arc, PoisonError, RwLock};

/// How many bytes are allocated between two looks: of 64 KiB to 2 MiB each saved every run, and a look is 0.4 µs.
const CLOCK_BYTES: u64 = 256 * 1024;

/// The process has one byte clock, for the first engine that runs in it.
static CLOCK_IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// What a look is held against; set by the pulse with every tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// With less room than this, the pulse is woken.
    pub(crate) wake_below_bytes: u64,
    /// With less room than this, only control events are let in until the pulse has decided.
    pub(crate) shut_below_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Sentry {
    gate: Gate,
    waker: Waker,
    enforces: bool,
    /// Replaced when the groups of the process have changed.
    gauge: RwLock<Option<Gauge>>,
    wake_below_bytes: AtomicU64,
    shut_below_bytes: AtomicU64,
    /// The pulse sleeps long: whatever moves wakes it.
    is_resting: AtomicBool,
    /// The pulse was woken and has not noticed yet.
    is_awake: AtomicBool,
}

/// The engine's hold on the byte clock of the process; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct ByteClock(());

// === impl Sentry ===

impl Sentry {
    pub(crate) fn new(gate: Gate, waker: Waker, enforces: bool) -> Self {
        Self {
            gate,
            waker,
            enforces,
            gauge: RwLock::new(None),
            wake_below_bytes: AtomicU64::new(0),
            shut_below_bytes: AtomicU64::new(0),
            is_resting: AtomicBool::new(false),
            is_awake: AtomicBool::new(false),
        }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Looks with this gauge from now on. Not for the pulse: it waits for looks that are under way.
    pub(crate) fn use_gauge(&self, gauge: Gauge) {
        *self.gauge.write().unwrap_or_else(PoisonError::into_inner) = Some(gauge);
    }

    /// What the pulse knows after a tick: by what to look, and whether it will rest.
    pub(crate) fn post(&self, marks: Marks, rests: bool) {
        self.wake_below_bytes.store(marks.wake_below_bytes, Relaxed);
        self.shut_below_bytes.store(marks.shut_below_bytes, Relaxed);
        self.is_resting.store(rests, Relaxed);
    }

    /// The pulse is awake and about to tick. In this order: a look between the two is seen by that tick, one after them
    /// wakes again.
    pub(crate) fn clear(&self) {
        self.waker.clear();
        self.is_awake.store(false, Release);
    }

    /// A look, when `ahead_bytes` were asked for that the kernel does not count yet.
    pub(crate) fn look(&self, ahead_bytes: u64) {
        let room = self.room().map(|room| room.saturating_sub(ahead_bytes));
        let is_below = |mark: &AtomicU64| room.is_some_and(|room| room < mark.load(Relaxed));
        if self.enforces && is_below(&self.shut_below_bytes) {
            self.gate.set_floor(Priority::Control);
        }
        if self.is_resting.load(Relaxed) || is_below(&self.wake_below_bytes) {
            self.wake();
        }
    }

    /// Wakes the pulse, once until it is awake.
    pub(crate) fn wake(&self) {
        if !self.is_awake.swap(true, AcqRel) {
            self.waker.wake();
        }
    }

    /// Unknown while the gauge is being replaced: then the pulse knows more.
    fn room(&self) -> Option<u64> {
        self.gauge.try_read().ok()?.as_ref()?.headroom_bytes()
    }

    /// Also looks when the ledger has grown past its wire, for those whose allocator does not count.
    pub(crate) fn watch_budget(self: &Arc<Self>, budget: &ByteBudget) {
        // Weak: the sentry holds the gate, and the gate this budget.
        let sentry = Arc::downgrade(self);
        budget.set_on_trip(move |_| {
            if let Some(sentry) = sentry.upgrade() {
                sentry.look(0);
                sentry.wake();
            }
        });
    }
}

// === impl ByteClock ===

impl ByteClock {
    /// Has `sentry` look each so many allocated bytes; `None` where the allocator does not count, or another engine of
    /// this process has the clock.
    pub(crate) fn start(sentry: &Arc<Sentry>) -> Option<Self> {
        let heap = alloc::heap()?;
        if CLOCK_IS_TAKEN.swap(true, Relaxed) {
            return None;
        }
        let clock = Self(());
        let sentry = Arc::clone(sentry);
        let set: Result<(), ClockError> =
            heap.set_clock(CLOCK_BYTES, move |tick| sentry.look(tick.request_bytes));
        set.is_ok().then_some(clock)
    }
}

impl Drop for ByteClock {
    fn drop(&mut self) {
        if let Some(heap) = alloc::heap() {
            let _ = heap.clear_clock();
        }
        CLOCK_IS_TAKEN.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests;
