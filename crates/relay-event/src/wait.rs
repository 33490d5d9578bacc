//! Waiting without a runtime: a first-come list of wakers, and a way to block a plain thread on a future.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Locks, also after a panic elsewhere: what these mutexes guard is valid at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those who wait for room, first come first woken. As long as the callers' own number of tasks.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    /// Read without the lock by whoever made room, so that nobody waiting costs nothing.
    len: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    next_key: u64,
    waiting: VecDeque<(u64, Waker)>,
}

impl WaitList {
    /// Joins at the end; returns the key of the place.
    pub(crate) fn join(&self, waker: &Waker) -> u64 {
        let mut list = lock(&self.list);
        list.next_key += 1;
        let key = list.next_key;
        list.waiting.push_back((key, waker.clone()));
        self.len.store(list.waiting.len(), Relaxed);
        key
    }

    /// Whether `key` has the first place; its waker is renewed.
    pub(crate) fn is_first(&self, key: u64, waker: &Waker) -> bool {
        let mut list = lock(&self.list);
        if let Some(entry) = list.waiting.iter_mut().find(|entry| entry.0 == key) {
            entry.1.clone_from(waker);
        }
        // After `wake_all` nobody is listed, and everybody may try.
        list.waiting.front().is_none_or(|first| first.0 >= key)
    }

    /// Leaves.
    pub(crate) fn leave(&self, key: u64) {
        let mut list = lock(&self.list);
        list.waiting.retain(|entry| entry.0 != key);
        self.len.store(list.waiting.len(), Relaxed);
    }

    /// Wakes the first, which keeps its place until it leaves: so nobody overtakes it while it wakes up.
    pub(crate) fn wake_first(&self) {
        if self.len.load(Relaxed) > 0 {
            let first = lock(&self.list)
                .waiting
                .front()
                .map(|entry| entry.1.clone());
            if let Some(waker) = first {
                waker.wake();
            }
        }
    }

    /// Wakes all.
    pub(crate) fn wake_all(&self) {
        let waiting = {
            let mut list = lock(&self.list);
            self.len.store(0, Relaxed);
            std::mem::take(&mut list.waiting)
        };
        for (_, waker) in waiting {
            waker.wake();
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks this thread until `future` is done: for using a bus from a thread without a runtime.
///
/// ```
/// use relay_event::{block_on, Bus, SubscribeOptions};
///
/// let bus = Bus::new("work");
/// let mut subscription = bus.subscribe(SubscribeOptions::new("worker"))?;
/// bus.close();
/// assert!(block_on(subscription.recv()).is_none());
/// # Ok::<(), relay_event::SubscribeError>(())
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
