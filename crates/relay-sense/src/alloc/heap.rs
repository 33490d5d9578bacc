//! The account of the process: what lives, how much that was at most, and the clock.

use super::clock::ByteClock;
use super::hook::HookCell;
use super::slot::Slot;
use super::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use super::table::Table;
use super::{ClockError, Tick, local};

/// Threads with counters of their own; 64 KiB of zero pages, touched as far as they are used. The
/// blocking pool of tokio alone may have 512. All further threads share one slot, exact but slower.
const SLOTS: usize = 512;

/// What the counting allocator of this process knows. [`heap`] gives it.
///
/// ```
/// use relay_sense::alloc::{Counting, heap};
/// use std::alloc::System;
///
/// #[global_allocator]
/// static ALLOCATOR: Counting<System> = Counting::new(System);
///
/// let heap = heap().expect("the allocator above has counted since before main");
/// let before = heap.live_bytes();
/// let kept = vec![0_u8; 1 << 20];
/// assert!(heap.live_bytes() >= before + (1 << 20));
/// drop(kept);
/// ```
#[derive(Debug)]
pub struct Heap {
    table: Table<SLOTS>,
    clock: ByteClock,
    hook: HookCell,
    /// Live bytes as far as threads have settled; two threads can leave it below zero for a moment.
    settled: AtomicI64,
    peak: AtomicU64,
}

static HEAP: Heap = Heap {
    table: Table::new(),
    clock: ByteClock::new(),
    hook: HookCell::new(),
    settled: AtomicI64::new(0),
    peak: AtomicU64::new(0),
};

/// The account of this process; `None` unless its global allocator is a
/// [`Counting`](super::Counting).
pub fn heap() -> Option<&'static Heap> {
    (HEAP.allocated_bytes() > 0).then_some(&HEAP)
}

/// The account also while it is still empty.
pub(super) fn global() -> &'static Heap {
    &HEAP
}

// === impl Heap ===

impl Heap {
    /// Bytes allocated and not freed, as requested: the sum of layouts, without what the allocator
    /// rounds up and keeps.
    ///
    /// Exact when no other thread allocates meanwhile. Otherwise it may count what was freed during
    /// the call, and never misses what lived throughout it. Reads one cache line for each thread
    /// there has been at the same time.
    pub fn live_bytes(&self) -> u64 {
        let live = self.table.live();
        self.peak.fetch_max(live, Relaxed);
        live
    }

    /// The most bytes that lived at once.
    ///
    /// Noticed whenever a thread has allocated or freed another 64 KiB, and by
    /// [`live_bytes`](Self::live_bytes): off by less than 64 KiB for each thread either way, and by
    /// one single allocation never, however large.
    pub fn peak_bytes(&self) -> u64 {
        self.live_bytes().max(self.peak.load(Relaxed))
    }

    /// Bytes allocated since the process started; the growth of a `realloc` counts, its copy does
    /// not.
    pub fn allocated_bytes(&self) -> u64 {
        self.table.allocated()
    }

    /// Runs `hook` each `interval` bytes allocated by all threads together, in the thread that
    /// allocates, before it gets its memory. Replaces the hook before it, and waits until nobody runs
    /// that one.
    ///
    /// Threads add up their bytes in batches of 64 KiB, or of `interval` if it is smaller: a tick is
    /// late by less than a batch for each other thread. One allocation ticks at most once, whatever
    /// its size; [`Tick::request_bytes`] tells it, and its pages are not touched yet.
    ///
    /// The hook should take no lock that its caller may hold, and be quick: a system call or two.
    /// It may allocate; that is counted and does not tick. If it panics, the panic stays there (an
    /// allocator must not unwind) and the hook is not run again; [`hook_panics`](Self::hook_panics)
    /// counts it. A panic inside the panic hook of the process ends the process, as everywhere.
    ///
    /// ```
    /// use relay_sense::alloc::{Counting, heap};
    /// use std::alloc::System;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    ///
    /// #[global_allocator]
    /// static ALLOCATOR: Counting<System> = Counting::new(System);
    ///
    /// let ticks = Arc::new(AtomicU64::new(0));
    /// let counter = Arc::clone(&ticks);
    /// ALLOCATOR.heap().set_clock(1 << 20, move |_| {
    ///     counter.fetch_add(1, Relaxed);
    /// })?;
    /// for _ in 0..64 {
    ///     std::hint::black_box(vec![0_u8; 128 << 10]);
    /// }
    /// assert!((7..=8).contains(&ticks.load(Relaxed)));
    /// # Ok::<(), relay_sense::alloc::ClockError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ClockError::ZeroInterval`], and [`ClockError::WithinHook`] when a hook calls it.
    pub fn set_clock(
        &self,
        interval: u64,
        hook: impl Fn(&Tick) + Send + Sync + 'static,
    ) -> Result<(), ClockError> {
        if interval == 0 {
            return Err(ClockError::ZeroInterval);
        }
        refuse_within_hook()?;
        let hook = Box::new(hook);
        self.clock.start(interval);
        self.hook.set(hook);
        Ok(())
    }

    /// Takes the hook out, waits until nobody runs it, and drops it.
    ///
    /// # Errors
    ///
    /// [`ClockError::WithinHook`] when a hook calls it: it would wait for itself.
    pub fn clear_clock(&self) -> Result<(), ClockError> {
        refuse_within_hook()?;
        self.clock.start(0);
        self.hook.clear();
        Ok(())
    }

    /// How many times a hook has panicked; it is not run again after that.
    pub fn hook_panics(&self) -> u64 {
        self.hook.panics()
    }

    pub(super) fn table(&self) -> &Table<SLOTS> {
        &self.table
    }

    /// Takes over what a thread has allocated, and runs the hook if that was due; `request` is the
    /// allocation that filled the batch.
    pub(super) fn settle_allocated(&self, slot: &Slot, request: u64) {
        let bytes = slot.settle_allocated(self.clock.batch());
        self.tick(bytes, request);
    }

    /// Takes over what a thread has freed.
    pub(super) fn settle_freed(&self, slot: &Slot) {
        let bytes = slot.settle_freed(self.clock.batch());
        self.change(0_u64.wrapping_sub(bytes));
    }

    /// Takes over the rest of a thread that ends. No hook runs: its own thread-locals may be gone.
    pub(super) fn leave(&self, slot: &Slot) {
        let bytes = slot.settle_allocated(self.clock.batch());
        self.change(bytes);
        self.clock.tell(bytes);
        self.settle_freed(slot);
        slot.release();
    }

    /// Counts an allocation of a thread without a slot.
    pub(super) fn add_shared(&self, bytes: u64, may_tick: bool) {
        self.table.shared().add_shared(bytes);
        if may_tick {
            self.tick(bytes, bytes);
        } else {
            self.change(bytes);
            self.clock.tell(bytes);
        }
    }

    /// Counts a release by a thread without a slot.
    pub(super) fn sub_shared(&self, bytes: u64) {
        self.table.shared().sub_shared(bytes);
        self.change(0_u64.wrapping_sub(bytes));
    }

    /// Adds to the settled bytes, modulo 2^64.
    fn change(&self, bytes: u64) {
        let change = bytes.cast_signed();
        let settled = self.settled.fetch_add(change, Relaxed).wrapping_add(change);
        self.peak.fetch_max(settled.max(0).cast_unsigned(), Relaxed);
    }

    fn tick(&self, bytes: u64, request_bytes: u64) {
        self.change(bytes);
        let Some(allocated_bytes) = self.clock.advance(bytes) else {
            return;
        };
        let tick = Tick {
            allocated_bytes,
            request_bytes,
        };
        local::within_hook(|| self.hook.run(&tick));
    }
}

fn refuse_within_hook() -> Result<(), ClockError> {
    if local::is_within_hook() {
        return Err(ClockError::WithinHook);
    }
    Ok(())
}
