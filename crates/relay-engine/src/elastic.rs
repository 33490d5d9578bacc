//! What every pool of an engine has: its bounds, its counts, and the report of each change of its size.

use crate::pool::PoolReading;
use relay_event::{Code, Component, ErrorBus, ErrorEvent, Severity};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The most workers that any pool can have.
pub const WORKERS_MAX: usize = 1024;

/// How few and how many workers a pool may have. It begins with the most: what it cannot use is taken away within
/// minutes, what it lacks would be missed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolBounds {
    min: usize,
    max: usize,
}

/// The counts of a pool, and what it is called. Each number is exact by itself; nothing else rests on it.
#[derive(Debug)]
pub(crate) struct Elastic {
    id: String,
    component: Component,
    errors: ErrorBus,
    bounds: PoolBounds,
    workers: AtomicUsize,
    busy: AtomicUsize,
    done: AtomicU64,
    failed: AtomicU64,
}

/// A worker that has something to do.
#[derive(Debug)]
pub(crate) struct Busy<'a>(&'a Elastic);

// === impl PoolBounds ===

impl PoolBounds {
    /// From `min` to `max` workers, each clamped to 1 … 1024, and `max` to at least `min`.
    ///
    /// ```
    /// use relay_engine::PoolBounds;
    ///
    /// assert_eq!(PoolBounds::new(0, 0), PoolBounds::fixed(1));
    /// assert_eq!(PoolBounds::new(4, 2).max(), 4);
    /// ```
    pub fn new(min: usize, max: usize) -> Self {
        let min = min.clamp(1, WORKERS_MAX);
        Self {
            min,
            max: max.clamp(min, WORKERS_MAX),
        }
    }

    /// Always so many.
    pub fn fixed(workers: usize) -> Self {
        Self::new(workers, workers)
    }

    /// Fewest.
    pub fn min(self) -> usize {
        self.min
    }

    /// Most.
    pub fn max(self) -> usize {
        self.max
    }

    /// `workers`, or the bound that is nearest to it.
    pub fn clamp(self, workers: usize) -> usize {
        workers.clamp(self.min, self.max)
    }
}

impl Default for PoolBounds {
    /// 2 to 8.
    fn default() -> Self {
        Self::new(2, 8)
    }
}

// === impl Elastic ===

impl Elastic {
    pub(crate) fn new(owner: &Component, bounds: PoolBounds, errors: ErrorBus) -> Self {
        let id = owner.to_string();
        Self {
            component: Component::Pool(id.as_str().into()),
            id,
            errors,
            bounds,
            workers: AtomicUsize::new(bounds.max),
            busy: AtomicUsize::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn bounds(&self) -> PoolBounds {
        self.bounds
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.load(Relaxed)
    }

    pub(crate) fn reading(&self, queue: usize) -> PoolReading {
        PoolReading {
            workers: self.workers(),
            min: self.bounds.min,
            max: self.bounds.max,
            busy: self.busy.load(Relaxed),
            queue,
            errors: self.failed.load(Relaxed),
            done: self.done.load(Relaxed),
        }
    }

    /// The number of workers is another one from now on; tells it, and answers what it was.
    pub(crate) fn resized(&self, workers: usize, queue: usize) -> usize {
        let before = self.workers.swap(workers, Relaxed);
        let code = match workers.cmp(&before) {
            std::cmp::Ordering::Greater => Code::AdapterScaledUp,
            std::cmp::Ordering::Less => Code::AdapterScaledDown,
            std::cmp::Ordering::Equal => return before,
        };
        let busy = self.busy.load(Relaxed);
        let event = ErrorEvent::new(code, Severity::Info, self.component.clone())
            .with("from", before as u64)
            .with("to", workers as u64)
            .with("utilisation", busy as f64 / before as f64)
            .with("queue", queue as u64);
        self.errors.publish(event);
        before
    }

    pub(crate) fn work(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Relaxed);
        Busy(self)
    }

    pub(crate) fn count(&self, done: u64, failed: u64) {
        self.done.fetch_add(done, Relaxed);
        self.failed.fetch_add(failed, Relaxed);
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}
