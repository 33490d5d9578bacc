//! The listeners as a pool: how many there should be is asked for here, and how many there are is said here.

use relay_engine::{Pool, PoolReading, Workers};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::Notify;

/// As many workers as there are listeners; the adapter makes the listeners, which can fail, and then the workers.
#[derive(Debug)]
pub(super) struct ListenerPool {
    workers: Workers,
    wanted: AtomicUsize,
    changed: Notify,
}

impl ListenerPool {
    pub(super) fn new(workers: Workers) -> Self {
        Self {
            wanted: AtomicUsize::new(workers.bounds().max()),
            workers,
            changed: Notify::new(),
        }
    }

    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// How many listeners there should be.
    pub(super) fn wanted(&self) -> usize {
        self.wanted.load(Relaxed)
    }

    /// So many there are. Where that is not what was `wanted`, no more can be had, and it is what is wanted now; unless
    /// somebody has changed that meanwhile.
    pub(super) fn there_are(&self, listeners: usize, wanted: usize) {
        if listeners != wanted {
            let _ = self
                .wanted
                .compare_exchange(wanted, listeners, Relaxed, Relaxed);
        }
        self.workers.set_workers(listeners);
    }

    /// Waits until another number is wanted.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Pool for ListenerPool {
    fn id(&self) -> &str {
        self.workers.id()
    }

    fn reading(&self) -> PoolReading {
        self.workers.reading()
    }

    fn set_workers(&self, n: usize) {
        self.wanted.store(self.workers.bounds().clamp(n), Relaxed);
        self.changed.notify_one();
    }
}
