//! The batches that an emitter may have under way at once: their memory, and the pool that says how many.
//!
//! Each has a number and memory of its own, all of it set aside at start. The free one with the lowest number is taken, as
//! long as fewer are under way than may be. So when there are to be fewer, those that end are not replaced until few
//! enough are left, none is interrupted, and it is the highest numbers that rest then: last in, first out.

use crate::elastic::{Busy, Elastic, PoolBounds};
use crate::emitter::EmitterOptions;
use crate::pool::{Pool, PoolReading};
use relay_event::{Batch, Component, ErrorBus, SubscriptionMonitor};
use std::sync::Arc;
use tokio::sync::Notify;

/// How many batches of an emitter may be under way, and how many are.
#[derive(Debug)]
pub(crate) struct EmitterPool {
    elastic: Elastic,
    queue: SubscriptionMonitor,
    grown: Notify,
}

/// The free ones.
#[derive(Debug)]
pub(crate) struct Slots {
    pool: Arc<EmitterPool>,
    free: Vec<Option<Batch>>,
    under_way: usize,
    options: EmitterOptions,
}

/// One that is taken.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) number: usize,
    pub(crate) batch: Batch,
}

// === impl EmitterPool ===

impl EmitterPool {
    pub(crate) fn new(
        owner: &Component,
        bounds: PoolBounds,
        errors: ErrorBus,
        queue: SubscriptionMonitor,
    ) -> Arc<Self> {
        Arc::new(Self {
            elastic: Elastic::new(owner, bounds, errors),
            queue,
            grown: Notify::new(),
        })
    }

    /// A batch is under way until this is dropped.
    pub(crate) fn work(&self) -> Busy<'_> {
        self.elastic.work()
    }

    /// So many events are done with; or the attempt with so many failed.
    pub(crate) fn count(&self, done: usize, failed: usize) {
        self.elastic.count(done as u64, failed as u64);
    }

    fn queued(&self) -> usize {
        self.queue.pressure().queued_events as usize
    }
}

impl Pool for EmitterPool {
    fn id(&self) -> &str {
        self.elastic.id()
    }

    fn reading(&self) -> PoolReading {
        self.elastic.reading(self.queued())
    }

    fn set_workers(&self, n: usize) {
        let workers = self.elastic.bounds().clamp(n);
        if self.elastic.resized(workers, self.queued()) < workers {
            self.grown.notify_one();
        }
    }
}

// === impl Slots ===

impl Slots {
    pub(crate) fn new(pool: Arc<EmitterPool>, options: EmitterOptions) -> Self {
        let mut slots = Self {
            free: Vec::new(),
            under_way: 0,
            pool,
            options,
        };
        let most = slots.pool.elastic.bounds().max();
        slots.free = (0..most).map(|_| Some(slots.batch())).collect();
        slots
    }

    /// The free one with the lowest number, if another one may be under way.
    pub(crate) fn take(&mut self) -> Option<Slot> {
        if self.under_way >= self.pool.elastic.workers() {
            return None;
        }
        let mut slots = self.free.iter_mut().enumerate();
        let (number, batch) = slots.find_map(|(number, slot)| Some((number, slot.take()?)))?;
        self.under_way += 1;
        Some(Slot { number, batch })
    }

    /// It is free again. After a panic there is no batch, and a new one takes its place.
    pub(crate) fn put_back(&mut self, number: usize, batch: Option<Batch>) {
        let batch = batch.unwrap_or_else(|| self.batch());
        if let Some(slot) = self.free.get_mut(number) {
            *slot = Some(batch);
            self.under_way -= 1;
        }
    }

    /// Waits until there are to be more.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing.
    pub(crate) async fn grown(&self) {
        self.pool.grown.notified().await;
    }

    fn batch(&self) -> Batch {
        Batch::with_capacity(self.options.batch_events, self.options.batch_bytes)
    }
}

#[cfg(test)]
mod tests;
