//! How long publishers waited for room: a histogram in powers of four.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Waits of up to 1 µs, 4 µs, 16 µs … 16.8 s, and longer ones.
const BUCKETS: usize = 14;

/// How many publishers waited how long, since the bus was made. One that gave up counts with the time it had waited.
///
/// ```
/// use relay_event::{block_on, Bus, Event, SubscribeOptions};
/// use std::time::Duration;
///
/// let bus = Bus::new("work");
/// let mut worker = bus.subscribe(SubscribeOptions::new("worker").limit_events(1))?;
/// bus.try_publish(Event::builder("job").build()?)?;
/// std::thread::scope(|scope| {
///     // Full: this one waits until the worker has taken the first.
///     let waiting = scope.spawn(|| block_on(bus.publish(Event::builder("job").build().unwrap())));
///     while worker.monitor().pressure().waiting_publishers == 0 {
///         std::thread::yield_now();
///     }
///     worker.try_recv().unwrap();
///     waiting.join().unwrap().unwrap();
/// });
/// let waits = bus.wait_times();
/// assert_eq!(waits.count(), 1);
/// assert!(waits.iter().any(|(at_most, count)| at_most > Duration::ZERO && count == 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitTimes([u64; BUCKETS]);

/// The same while it grows. Only those who waited touch it, after their wait.
#[derive(Debug, Default)]
pub(crate) struct WaitClock([AtomicU64; BUCKETS]);

// === impl WaitTimes ===

impl WaitTimes {
    /// How many waited.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// How many waited at most so long and longer than the bucket before; the last one, [`Duration::MAX`], has no end.
    pub fn iter(&self) -> impl Iterator<Item = (Duration, u64)> {
        let bounds = (0..BUCKETS).map(bound);
        bounds.zip(self.0)
    }

    /// Those that are new since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self(std::array::from_fn(|index| {
            self.0[index].saturating_sub(before.0[index])
        }))
    }
}

// === impl WaitClock ===

impl WaitClock {
    pub(crate) fn note(&self, waited: Duration) {
        let index = (0..BUCKETS).find(|index| waited <= bound(*index));
        self.0[index.unwrap_or(BUCKETS - 1)].fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> WaitTimes {
        WaitTimes(std::array::from_fn(|index| self.0[index].load(Relaxed)))
    }
}

fn bound(index: usize) -> Duration {
    if index + 1 == BUCKETS {
        Duration::MAX
    } else {
        Duration::from_micros(1 << (2 * index))
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_in_the_first_bucket_that_covers_it() {
        let clock = WaitClock::default();
        for waited in [
            Duration::ZERO,
            Duration::from_micros(1),
            Duration::from_micros(2),
            Duration::from_millis(1),
            Duration::from_hours(1),
        ] {
            clock.note(waited);
        }
        let times = clock.read();
        let some: Vec<_> = times.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            some,
            [
                (Duration::from_micros(1), 2),
                (Duration::from_micros(4), 1),
                (Duration::from_micros(1024), 1),
                (Duration::MAX, 1),
            ]
        );
        assert_eq!(times.count(), 5);
        clock.note(Duration::from_micros(3));
        assert_eq!(clock.read().since(&times).count(), 1);
    }
}
