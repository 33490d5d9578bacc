//! Waking a reader that sleeps, at the price of one load a publish while nobody does.
//!
//! Each reader has a bell; the readers of a group share a count of those who sleep. A reader first says that it sleeps
//! and then looks once more; a publisher first makes its events visible and then looks at the count. That one of them sees
//! the other takes a barrier on both sides, and who pays for it changes with what happens:
//!
//! - **Watched**, when readers have slept of late: both sides *write* to the one word that holds the count. Of two such writes
//!   one comes after the other and sees it; on the common machines that is cheaper than a fence (6 ns).
//! - **Unwatched**, when nobody has slept for many publishes: a publisher only loads the word, which costs nothing and does
//!   not wait until its events have left the store buffer. The first reader that wants to sleep pays for both
//!   ([`heavy`], a microsecond or two), and from then on the word is watched.

use crate::fence::{heavy, light};
use crate::sync::atomic::{
    AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
};
use crate::sync::{Mutex, lock};
use crate::wait::contain;
use crossbeam_utils::CachePadded;
use std::sync::Arc;
use std::task::Waker;

#[cfg(not(relay_loom))]
use atomic_waker::AtomicWaker;
#[cfg(relay_loom)]
use loom::future::AtomicWaker;

/// How many readers of a group sleep, and whether publishers watch.
#[derive(Debug, Default)]
pub(crate) struct Sleepers {
    /// The count of readers, the two bits below, and above them how often it was told of events, of which only the change
    /// matters.
    word: CachePadded<AtomicU64>,
    /// Held by the reader that makes the word a watched one.
    arming: Mutex<()>,
}

const COUNT: u64 = (1 << 16) - 1;

/// Whoever publishes and sees this writes to the word.
const WANTED: u64 = 1 << 16;

/// Every publisher sees that: what one that did not has published can be seen by whoever sees this.
const WATCHED: u64 = 1 << 17;

/// One more that was told.
const TOLD: u64 = 1 << 18;

/// After so many publishes that found nobody asleep the word is no longer watched: a reader that sleeps once in a while
/// pays for one barrier in a thousand publishes.
const CALM: u32 = if cfg!(relay_loom) { 1 } else { 1024 };

impl Sleepers {
    /// Says that events are visible; whether somebody may have to be woken. Called under the lock of the bus, with the count
    /// of calls that found nobody asleep.
    #[inline]
    pub(crate) fn tell(&self, calm: &mut u32) -> bool {
        light();
        if self.word.load(Relaxed) & (COUNT | WANTED | WATCHED) == 0 {
            return false;
        }
        self.tell_watched(calm)
    }

    fn tell_watched(&self, calm: &mut u32) -> bool {
        let word = self.mark();
        if word & COUNT > 0 {
            *calm = 0;
            return true;
        }
        *calm += 1;
        if *calm >= CALM && word & WATCHED > 0 {
            *calm = 0;
            let unwatched = word & !(WANTED | WATCHED);
            // Whoever has begun to sleep meanwhile has changed the word, and it stays watched.
            let _ = self.word.compare_exchange(word, unwatched, AcqRel, Relaxed);
        }
        false
    }

    /// Writes to the word, so that a reader that writes to it later sees all that was made visible before, and returns what
    /// is there now.
    pub(crate) fn mark(&self) -> u64 {
        self.word.fetch_add(TOLD, AcqRel).wrapping_add(TOLD)
    }

    /// A reader that is counted says so, and has to look once more after this.
    fn say(&self) {
        if self.word.fetch_add(0, AcqRel) & WATCHED == 0 {
            self.arm();
        }
    }

    /// Makes publishers write to the word. One reader at a time: with two, what one says could come after a publisher has
    /// taken back what the other said.
    #[cold]
    fn arm(&self) {
        let _alone = lock(&self.arming);
        if self.word.load(Acquire) & WATCHED == 0 {
            self.word.fetch_or(WANTED, AcqRel);
            // A publisher that did not see it has made its events visible when this returns; any later one sees it.
            heavy();
            self.word.fetch_or(WATCHED, AcqRel);
        }
    }

    /// Whether somebody sleeps.
    pub(crate) fn any(&self) -> bool {
        self.word.load(Relaxed) & COUNT > 0
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
        // Counted before it can be rung, or another reader that sleeps could be counted out in its place.
        if !self.sleeps.load(Relaxed) {
            self.sleepers.word.fetch_add(1, AcqRel);
            self.sleeps.swap(true, AcqRel);
        }
        // Also when it is counted already: it is this write that makes the next look a new one.
        self.sleepers.say();
    }

    /// The reader found something after all, or goes away.
    pub(crate) fn stay_awake(&self) -> bool {
        let slept = self.sleeps.load(Relaxed) && self.sleeps.swap(false, AcqRel);
        if slept {
            self.sleepers.word.fetch_sub(1, AcqRel);
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
    use crate::sync::atomic::Ordering::Release;
    use loom::future::block_on;
    use loom::thread;
    use std::future::poll_fn;
    use std::task::Poll;

    struct Pair {
        bells: Vec<Bell>,
        tail: AtomicU64,
        sleepers: Arc<Sleepers>,
    }

    impl Pair {
        fn new(readers: usize) -> Arc<Self> {
            let sleepers = Arc::new(Sleepers::default());
            let bell = |_| Bell::new(Arc::clone(&sleepers));
            Arc::new(Self {
                bells: (0..readers).map(bell).collect(),
                tail: AtomicU64::new(0),
                sleepers,
            })
        }

        /// As publishers do, one at a time.
        fn publish(&self, count: u64) {
            let mut calm = 0;
            for position in 1..=count {
                self.tail.store(position, Release);
                if self.sleepers.tell(&mut calm) {
                    self.bells.iter().for_each(Bell::ring);
                }
            }
        }

        fn wait_for(&self, reader: usize, position: u64) {
            let bell = &self.bells[reader];
            block_on(poll_fn(|cx| {
                if self.tail.load(Acquire) >= position {
                    return Poll::Ready(());
                }
                bell.sleep(cx.waker());
                if self.tail.load(Acquire) >= position {
                    return Poll::Ready(());
                }
                Poll::Pending
            }));
            bell.stay_awake();
        }
    }

    // If a wake-up could be lost, the reader would sleep for ever and the model would report a deadlock.

    #[test]
    fn no_wake_up_is_lost() {
        loom::model(|| {
            let pair = Pair::new(1);
            let publisher = {
                let pair = Arc::clone(&pair);
                thread::spawn(move || pair.publish(1))
            };
            pair.wait_for(0, 1);
            publisher.join().unwrap();
            assert!(!pair.sleepers.any());
        });
    }

    /// The word is watched, is calm, is no longer watched, and somebody sleeps again.
    #[test]
    fn no_wake_up_is_lost_when_publishers_stop_watching() {
        let mut bounded = loom::model::Builder::new();
        bounded.preemption_bound = Some(2);
        bounded.check(|| {
            let pair = Pair::new(1);
            let publisher = {
                let pair = Arc::clone(&pair);
                thread::spawn(move || pair.publish(3))
            };
            pair.wait_for(0, 1);
            pair.wait_for(0, 3);
            publisher.join().unwrap();
            assert!(!pair.sleepers.any());
        });
    }

    /// One pays for the barrier while the other goes to sleep beside it.
    #[test]
    fn no_wake_up_is_lost_of_two() {
        let mut bounded = loom::model::Builder::new();
        bounded.preemption_bound = Some(2);
        bounded.check(|| {
            let pair = Pair::new(2);
            let other = {
                let pair = Arc::clone(&pair);
                thread::spawn(move || pair.wait_for(1, 1))
            };
            let publisher = {
                let pair = Arc::clone(&pair);
                thread::spawn(move || pair.publish(2))
            };
            pair.wait_for(0, 2);
            other.join().unwrap();
            publisher.join().unwrap();
            assert!(!pair.sleepers.any());
        });
    }
}
