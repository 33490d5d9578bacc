//! A rate in bytes per second: the generic cell rate algorithm (ITU-T I.371, annex A), on one atomic word.
//!
//! The word holds the *theoretical arrival time*: the instant at which everything admitted so far will have been
//! paid for at the present rate. An event is admitted while that lies at most the allowance of its priority ahead
//! of now, and moves it on by its own cost. Paying afterwards lets an event that is larger than the allowance pass.

use crate::priority::Priority;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const NANOS: f64 = 1e9;

/// How far ahead of now admission may run. Two periods of the default control loop, so that a burst between two
/// ticks is not refused, and short enough that the rate is the rate.
const ALLOWANCE_NS: u64 = 100_000_000;

/// The most that one event may put on the account: with a tiny rate a single event would block for hours.
const MAX_DEBT_NS: u64 = 1_000_000_000;

/// Admission by rate. Unlimited until a rate is set.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// Bytes per second as the bits of an `f64`; infinity when unlimited.
    rate: AtomicU64,
    arrival_ns: AtomicU64,
}

impl Tokens {
    pub(crate) fn unlimited() -> Self {
        Self {
            rate: AtomicU64::new(f64::INFINITY.to_bits()),
            arrival_ns: AtomicU64::new(0),
        }
    }

    /// Bytes per second, infinite when unlimited.
    pub(crate) fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Relaxed))
    }

    /// Whether there is a rate at all, and so a reason to read the clock.
    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.rate.load(Relaxed) != f64::INFINITY.to_bits()
    }

    /// Moves the rate; what is still to be paid for is the same number of bytes as before.
    pub(crate) fn set_rate(&self, bytes_per_second: f64, now_ns: u64) {
        let rate = if bytes_per_second.is_nan() {
            f64::INFINITY
        } else {
            bytes_per_second.max(0.0)
        };
        let old = f64::from_bits(self.rate.swap(rate.to_bits(), Relaxed));
        let factor = old / rate;
        // Racing with an admission may leave that one event at its old price: harmless, and paid within a second.
        let _ = self.arrival_ns.fetch_update(Relaxed, Relaxed, |arrival| {
            let debt = arrival.saturating_sub(now_ns) as f64;
            let scaled = if factor.is_finite() {
                debt * factor
            } else {
                0.0
            };
            Some(now_ns.saturating_add((scaled as u64).min(MAX_DEBT_NS)))
        });
    }

    /// Whether admission has run ahead of now by more than `percent` of what the highest priority may use.
    #[inline]
    pub(crate) fn is_ahead_by(&self, percent: u64, now_ns: u64) -> bool {
        let ahead_ns = self.arrival_ns.load(Relaxed).saturating_sub(now_ns);
        ahead_ns > ALLOWANCE_NS / 100 * percent
    }

    /// How long until anything of this priority can be had; zero when it can.
    pub(crate) fn wait(&self, priority: Priority, now_ns: u64) -> Duration {
        if self.rate() <= 0.0 {
            return Duration::from_secs(1);
        }
        let latest_ns = now_ns.saturating_add(priority.share_of(ALLOWANCE_NS));
        Duration::from_nanos(self.arrival_ns.load(Relaxed).saturating_sub(latest_ns))
    }

    /// Takes `bytes`, or says how long until they can be had.
    pub(crate) fn take(&self, bytes: u64, priority: Priority, now_ns: u64) -> Result<(), Duration> {
        let rate = self.rate();
        if rate == f64::INFINITY {
            return Ok(());
        }
        if rate <= 0.0 {
            return Err(Duration::from_secs(1));
        }
        let cost_ns = ((bytes as f64 / rate * NANOS) as u64).min(MAX_DEBT_NS);
        let latest_ns = now_ns.saturating_add(priority.share_of(ALLOWANCE_NS));
        self.arrival_ns
            .fetch_update(Relaxed, Relaxed, |arrival| {
                (arrival <= latest_ns).then(|| arrival.max(now_ns).saturating_add(cost_ns))
            })
            .map(drop)
            .map_err(|arrival| Duration::from_nanos(arrival - latest_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Offers `offered` bytes a second for ten seconds in events of `size`; returns what was admitted, per second.
    fn admitted(tokens: &Tokens, size: u64, offered: u64, priority: Priority, start: u64) -> f64 {
        let count = offered * 10 / size;
        let step = 10 * SECOND / count;
        let taken = (0..count)
            .filter(|i| tokens.take(size, priority, start + i * step).is_ok())
            .count();
        (taken as u64 * size) as f64 / 10.0
    }

    #[test]
    fn admits_at_the_rate_whatever_the_load_and_size() {
        for (size, offered) in [(1024, 2 << 20), (1024, 20 << 20), (65_536, 5 << 20)] {
            let tokens = Tokens::unlimited();
            tokens.set_rate(f64::from(1 << 20), SECOND);
            let got = admitted(&tokens, size, offered, Priority::Normal, SECOND);
            let ratio = got / f64::from(1 << 20);
            assert!(
                (0.98..1.03).contains(&ratio),
                "{size} at {offered}: {ratio}"
            );
        }
    }

    #[test]
    fn a_higher_priority_is_never_refused_while_a_lower_passes() {
        let tokens = Tokens::unlimited();
        tokens.set_rate(1e6, SECOND);
        for i in 0..100_000_u64 {
            let now = SECOND + i * 10_000;
            let low = tokens.take(100, Priority::Low, now).is_ok();
            let high = tokens.take(100, Priority::High, now).is_ok();
            assert!(high || !low);
        }
    }

    #[test]
    fn a_raised_rate_forgives_no_bytes_and_does_not_block() {
        let tokens = Tokens::unlimited();
        tokens.set_rate(1.0, SECOND);
        assert!(tokens.take(65_536, Priority::Normal, SECOND).is_ok());
        tokens.set_rate(1e9, SECOND);
        assert!(
            tokens.take(1, Priority::Normal, SECOND + 1).is_ok(),
            "one second of debt at 1 B/s is one byte"
        );
        tokens.set_rate(1e6, SECOND);
        for _ in 0..200 {
            let _ = tokens.take(1000, Priority::Normal, SECOND);
        }
        let wait = tokens.take(1000, Priority::Normal, SECOND).unwrap_err();
        assert!(
            wait > Duration::ZERO && wait < Duration::from_millis(30),
            "{wait:?}"
        );
    }

    #[test]
    fn no_rate_refuses_nothing_and_rate_zero_everything() {
        let tokens = Tokens::unlimited();
        assert!(tokens.take(u64::MAX, Priority::Low, 0).is_ok());
        tokens.set_rate(0.0, 0);
        assert!(tokens.take(0, Priority::High, 0).is_err());
        tokens.set_rate(f64::INFINITY, 0);
        assert!(tokens.take(1, Priority::Low, 0).is_ok());
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    use super::*;
    use loom::{sync::Arc, thread};

    #[test]
    fn one_allowance_is_not_spent_twice() {
        loom::model(|| {
            let now = MAX_DEBT_NS;
            let tokens = Arc::new(Tokens::unlimited());
            tokens.set_rate(1e9, now);
            let more_than_allowed = ALLOWANCE_NS + 1;
            let take = move |tokens: &Tokens| tokens.take(more_than_allowed, Priority::High, now);
            let copy = Arc::clone(&tokens);
            let other = thread::spawn(move || take(&copy).is_ok());
            let mine = take(&tokens).is_ok();
            assert!(mine != other.join().unwrap());
        });
    }

    #[test]
    fn a_rate_that_moves_leaves_a_debt_that_is_paid() {
        loom::model(|| {
            let now = MAX_DEBT_NS;
            let tokens = Arc::new(Tokens::unlimited());
            tokens.set_rate(1e3, now);
            let copy = Arc::clone(&tokens);
            let other = thread::spawn(move || copy.take(1000, Priority::Normal, now).is_ok());
            tokens.set_rate(1e6, now);
            assert!(other.join().unwrap());
            // At worst at the old price: a second, and never more.
            assert!(tokens.take(1, Priority::Low, now + MAX_DEBT_NS).is_ok());
        });
    }
}
