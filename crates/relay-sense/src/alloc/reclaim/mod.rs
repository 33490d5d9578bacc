//! Giving back to the kernel what the allocator keeps unused, with a cap on the effort.
//!
//! There is no collector to run, but an allocator holds on to pages it was given back, and they count against the limit.
//! Purging them takes about as long as the pages are many (60 to 70 ms for 256 MiB in 1 KiB blocks, with glibc and with
//! jemalloc alike) and takes locks that allocating threads want. So the effort is capped, as Go caps its collector at
//! half of the CPU (golang/go#58106): by an interval, by a share of the time, and by a look at what is to be gained.
//! Never call it from a thread that has to be quick.

mod allocator;
mod effort;
#[cfg(all(target_os = "linux", target_env = "gnu", not(relay_portable)))]
mod glibc;
#[cfg(feature = "jemalloc")]
mod jemalloc;
#[cfg(feature = "mimalloc")]
mod mimalloc;

pub use allocator::{Allocator, AllocatorStats};
pub use effort::Effort;
#[cfg(all(target_os = "linux", target_env = "gnu", not(relay_portable)))]
pub use glibc::Glibc;
#[cfg(feature = "jemalloc")]
pub use jemalloc::Jemalloc;
#[cfg(feature = "mimalloc")]
pub use mimalloc::Mimalloc;

use std::time::{Duration, Instant};

use super::{Heap, heap};
use crate::Root;
use crate::resident::Resident;

/// No purge takes that long.
const FAR: Duration = Duration::from_hours(24);

/// Purges allocators, not too often, and tells what came of it.
///
/// ```
/// use relay_sense::Root;
/// use relay_sense::alloc::{Effort, Reclaim, Reclaimer};
///
/// let mut reclaimer = Reclaimer::new(&Root::system());
/// match reclaimer.reclaim(&Effort::default()) {
///     Reclaim::Done(done) => println!("{:?} bytes given back in {:?}", done.given_back(), done.took),
///     Reclaim::TooSoon { wait } => println!("again in {wait:?}"),
///     Reclaim::NothingToGain => println!("the allocator keeps next to nothing"),
/// }
/// ```
#[derive(Debug)]
pub struct Reclaimer {
    allocators: Vec<Box<dyn Allocator>>,
    resident: Resident,
    /// When the last purge ended, and how long it took.
    last: Option<(Instant, Duration)>,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    /// Allocators were purged.
    Done(Reclaimed),
    /// The effort of the last purge is not paid off yet.
    TooSoon {
        /// How long it still takes.
        wait: Duration,
    },
    /// The allocator keeps less than is worth the effort.
    NothingToGain,
}

/// A purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reclaimed {
    /// The resident size of the process before; `None` where it could not be read.
    pub resident_before: Option<u64>,
    /// The same afterwards.
    pub resident_after: Option<u64>,
    /// How long it took.
    pub took: Duration,
    /// Whether every allocator was purged whole; otherwise the budget ended first, and the next call
    /// goes on from there.
    pub is_complete: bool,
}

// === impl Reclaimer ===

impl Reclaimer {
    /// Purges every allocator this crate was built for: jemalloc and mimalloc by feature, and the C
    /// library's where it is glibc, since C code in the process allocates there whatever the Rust
    /// side uses.
    ///
    /// With musl and without a feature there is nothing to purge.
    pub fn new(root: &Root) -> Self {
        let allocators: Vec<Box<dyn Allocator>> = vec![
            #[cfg(feature = "jemalloc")]
            Box::new(Jemalloc::new()),
            #[cfg(feature = "mimalloc")]
            Box::new(Mimalloc::new()),
            #[cfg(all(target_os = "linux", target_env = "gnu", not(relay_portable)))]
            Box::new(Glibc::new()),
        ];
        Self::of(root, allocators)
    }

    /// Purges exactly these, in this order.
    pub fn of(root: &Root, allocators: Vec<Box<dyn Allocator>>) -> Self {
        Self {
            allocators,
            resident: Resident::open(root),
            last: None,
        }
    }

    /// The name of each allocator and what it says of itself. Takes locks and up to a millisecond.
    pub fn stats(&mut self) -> impl Iterator<Item = (&'static str, AllocatorStats)> {
        let allocators = self.allocators.iter_mut();
        allocators.map(|allocator| (allocator.name(), allocator.stats()))
    }

    /// Purges, unless that would be more than `effort` allows.
    pub fn reclaim(&mut self, effort: &Effort) -> Reclaim {
        let start = Instant::now();
        if let Some((end, took)) = self.last {
            let wait = effort.pause(took).saturating_sub(start - end);
            if !wait.is_zero() {
                return Reclaim::TooSoon { wait };
            }
        }
        let resident_before = self.resident.bytes().ok();
        let live = heap().map(Heap::live_bytes);
        if let (Some(resident), Some(live)) = (resident_before, live)
            && !effort.is_worth(resident.saturating_sub(live), resident)
        {
            return Reclaim::NothingToGain;
        }
        // An instant cannot be as far away as a duration is long.
        let deadline = start + effort.budget.min(FAR);
        let mut is_complete = true;
        for allocator in &mut self.allocators {
            is_complete &= Instant::now() < deadline && allocator.purge(deadline);
        }
        let end = Instant::now();
        self.last = Some((end, end - start));
        Reclaim::Done(Reclaimed {
            resident_before,
            resident_after: self.resident.bytes().ok(),
            took: end - start,
            is_complete,
        })
    }
}

// === impl Reclaimed ===

impl Reclaimed {
    /// By how many bytes the process shrank; zero when others of its threads grew more. `None` where
    /// the resident size could not be read.
    pub fn given_back(&self) -> Option<u64> {
        Some(self.resident_before?.saturating_sub(self.resident_after?))
    }
}

#[cfg(test)]
mod tests;
