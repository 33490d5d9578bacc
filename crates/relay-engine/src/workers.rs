//! The workers of an adapter: the right to work on what has arrived, given to so many at a time.
//!
//! A task is no worker: a runtime serves ten thousand of them with two threads, and each costs little while it waits. What
//! costs is working on an event that is there as a whole: to decode and to publish it. So that is what a worker is here.
//! With as many as there are processors they never wait; with fewer, ingest leaves processors to the emitters, which is
//! what helps when memory is short. Reading from a sender needs no worker: two slow senders would stop an adapter of
//! two. What has arrived and waits for a worker is in the ledger all the while, as arriving.

use crate::elastic::{Busy, Elastic, PoolBounds};
use crate::pool::{Pool, PoolReading};
use relay_event::{Component, ErrorBus};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The workers of an adapter, whose number moves while they work. Cloning gives another handle to the same pool.
///
/// Made with [`Ingest::workers`](crate::Ingest::workers); an adapter hands it to the engine with
/// [`Adapter::pool`](crate::Adapter::pool).
///
/// ```
/// use relay_engine::{Pool, PoolBounds};
/// # use relay_engine::Ingest;
/// # use relay_event::{Bus, ByteBudget, ErrorBus, Gate};
/// # let ingest = Ingest::new("in", Gate::new(ByteBudget::unbounded()), Bus::new("b"), ErrorBus::new());
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let workers = ingest.workers(PoolBounds::new(1, 4));
/// let worker = workers.acquire().await;
/// // … decode, publish …
/// worker.finish(1, 0);
/// assert_eq!(workers.reading().done, 1);
/// workers.set_workers(1);
/// assert_eq!(workers.reading().workers, 1);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Workers(Arc<Inner>);

struct Inner {
    elastic: Elastic,
    places: Semaphore,
    /// Places that are taken and are to go when they come back: what shrinking could not take at once.
    excess: AtomicUsize,
    waiting: AtomicUsize,
}

/// A worker at work; dropping it frees its place.
#[derive(Debug)]
#[must_use = "dropping it frees its place"]
pub struct Worker<'a> {
    inner: &'a Inner,
    place: Option<SemaphorePermit<'a>>,
    _busy: Busy<'a>,
}

/// Counts somebody who waits, also when the wait is cancelled.
struct Waiting<'a>(&'a AtomicUsize);

// === impl Workers ===

impl Workers {
    pub(crate) fn new(owner: &Component, bounds: PoolBounds, errors: ErrorBus) -> Self {
        Self(Arc::new(Inner {
            elastic: Elastic::new(owner, bounds, errors),
            places: Semaphore::new(bounds.max()),
            excess: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// Waits for a worker, in the order of asking.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing but the place in the line.
    pub async fn acquire(&self) -> Worker<'_> {
        let inner = &*self.0;
        let place = if let Ok(place) = inner.places.try_acquire() {
            Some(place)
        } else {
            let _waiting = Waiting::new(&inner.waiting);
            // Never closed; without a place it would only be one too many.
            inner.places.acquire().await.ok()
        };
        Worker {
            inner,
            place,
            _busy: inner.elastic.work(),
        }
    }

    /// How few and how many there may be.
    pub fn bounds(&self) -> PoolBounds {
        self.0.elastic.bounds()
    }
}

impl Pool for Workers {
    fn id(&self) -> &str {
        self.0.elastic.id()
    }

    fn reading(&self) -> PoolReading {
        self.0.elastic.reading(self.0.waiting.load(Relaxed))
    }

    fn set_workers(&self, n: usize) {
        let inner = &*self.0;
        let workers = inner.elastic.bounds().clamp(n);
        let before = inner.elastic.resized(workers, inner.waiting.load(Relaxed));
        if workers >= before {
            let grown = workers - before;
            let kept = inner.pay_excess(grown);
            inner.places.add_permits(grown - kept);
        } else {
            let shrunk = before - workers;
            inner.excess.fetch_add(shrunk, AcqRel);
            // What is free goes now; a worker that is just coming back may be quicker, and pays itself.
            while inner.pay_excess(1) == 1 {
                if inner.places.forget_permits(1) == 0 {
                    inner.excess.fetch_add(1, AcqRel);
                    if inner.places.available_permits() == 0 {
                        break;
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("id", &self.id())
            .field("reading", &self.reading())
            .finish()
    }
}

// === impl Inner ===

impl Inner {
    /// Takes up to `most` from the excess, and says how many that was.
    fn pay_excess(&self, most: usize) -> usize {
        // Nearly always there is none, and a look costs the other workers nothing.
        if self.excess.load(Acquire) == 0 {
            return 0;
        }
        let paid = self
            .excess
            .fetch_update(AcqRel, Acquire, |excess| Some(excess.saturating_sub(most)));
        paid.unwrap_or(0).min(most)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.elastic.fmt(f)
    }
}

// === impl Worker ===

impl Worker<'_> {
    /// It has worked: so many events are done with, so many could not be published.
    pub fn finish(self, done: u64, failed: u64) {
        self.inner.elastic.count(done, failed);
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take()
            && self.inner.pay_excess(1) == 1
        {
            place.forget();
        }
    }
}

// === impl Waiting ===

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
