//! Waiting without a runtime: a first-come list of wakers, and a way to block a plain thread on a future.

use crate::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use crate::sync::{Mutex, lock};
use crossbeam_utils::Backoff;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

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
    /// Whether somebody waits.
    #[inline]
    pub(crate) fn is_waited_for(&self) -> bool {
        self.len.load(Relaxed) > 0
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

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
                contain(|| waker.wake());
            }
        }
    }

    /// Wakes all, who keep their places: bounds have moved, or it is over.
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<_> = {
            let list = lock(&self.list);
            list.waiting.iter().map(|entry| entry.1.clone()).collect()
        };
        for waker in wakers {
            contain(|| waker.wake());
        }
    }
}

/// Runs code of others where their panic must stay theirs: a destructor or a waker. The panic hook has told of it.
pub(crate) fn contain(action: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(action)) else {
        return;
    };
    // What was thrown may have a destructor that panics as well; then it is left alone.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}

/// Looking a few times before sleeping.
pub(crate) struct Spin(Backoff);

impl Spin {
    pub(crate) fn new() -> Self {
        Self(Backoff::new())
    }

    /// Waits a moment, longer each time; `false` when it is time to sleep.
    pub(crate) fn once(&mut self) -> bool {
        self.0.snooze();
        !self.0.is_completed()
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
