//! Waking a reader that sleeps, at the price of one load a publish while nobody does.
//!
//! Each reader has a bell; the readers of a group share a count of those who sleep. A reader first says that it sleeps
//! and then looks once more; a publisher first makes its events visible and then looks at the count. Both do it by writing to
//! the one word that holds the count, so one of them sees the other.

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Relaxed};
use crate::wait::contain;
use crossbeam_utils::CachePadded;
use std::sync::Arc;
use std::task::Waker;

#[cfg(not(relay_loom))]
use atomic_waker::AtomicWaker;
#[cfg(relay_loom)]
use loom::future::AtomicWaker;

/// How many readers of a group sleep (the low 16 bits), and how often it was told of events (the others, of which only the
/// change matters).
#[derive(Debug, Default)]
pub(crate) struct Sleepers(CachePadded<AtomicU64>);

/// One more that was told.
const TOLD: u64 = 1 << 16;

impl Sleepers {
    /// Says that events are visible; whether somebody may have to be woken.
    #[inline]
    pub(crate) fn tell(&self) -> bool {
        // A write to the word the sleepers write to: of any two such writes one comes after the other and sees it, and what
        // was made visible before. On the common machines it is cheaper than a fence.
        !self.0.fetch_add(TOLD, AcqRel).is_multiple_of(TOLD)
    }

    /// Whether somebody sleeps.
    pub(crate) fn any(&self) -> bool {
        !self.0.load(Relaxed).is_multiple_of(TOLD)
    }
}

/// The bell of one reader.
#[derive(Debug)]
pub(crate) struct Bell {
    sleeps: AtomicBool,
    waker: AtomicWaker,
    sleepers: Arc<Sleepers>,
}

impl Bell {
    pub(crate) fn new(sleepers: Arc<Sleepers>) -> Self {
        Self {
            sleeps: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            sleepers,
        }
    }

    /// Says that the reader sleeps; it has to look once more after that.
    pub(crate) fn sleep(&self, waker: &Waker) {
        #[cfg(not(relay_loom))]
        self.waker.register(waker);
        #[cfg(relay_loom)]
        self.waker.register_by_ref(waker);
        let more = u64::from(!self.sleeps.swap(true, AcqRel));
        // Also when it is counted already: it is this write that makes the next look a new one.
        self.sleepers.0.fetch_add(more, AcqRel);
    }

    /// The reader found something after all, or goes away.
    pub(crate) fn stay_awake(&self) -> bool {
        let slept = self.sleeps.load(Relaxed) && self.sleeps.swap(false, AcqRel);
        if slept {
            self.sleepers.0.fetch_sub(1, AcqRel);
        }
        slept
    }

    /// Wakes the reader if it sleeps.
    pub(crate) fn ring(&self) {
        if self.stay_awake() {
            contain(|| self.waker.wake());
        }
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    use super::*;
    use crate::sync::atomic::{Ordering::Acquire, Ordering::Release};
    use loom::future::block_on;
    use loom::thread;
    use std::future::poll_fn;
    use std::task::Poll;

    /// If a wake-up could be lost, the reader would sleep for ever and the model would report a deadlock.
    #[test]
    fn no_wake_up_is_lost() {
        loom::model(|| {
            let sleepers = Arc::new(Sleepers::default());
            let bell = Arc::new(Bell::new(Arc::clone(&sleepers)));
            let tail = Arc::new(AtomicU64::new(0));
            let publisher = {
                let (bell, tail, sleepers) = (bell.clone(), tail.clone(), sleepers.clone());
                thread::spawn(move || {
                    tail.store(1, Release);
                    if sleepers.tell() {
                        bell.ring();
                    }
                })
            };
            block_on(poll_fn(|cx| {
                if tail.load(Acquire) == 1 {
                    return Poll::Ready(());
                }
                bell.sleep(cx.waker());
                if tail.load(Acquire) == 1 {
                    bell.stay_awake();
                    return Poll::Ready(());
                }
                Poll::Pending
            }));
            publisher.join().unwrap();
            assert!(!sleepers.any());
        });
    }
}
