//! What a control loop turns at the gate, and what can be seen of it.

use super::{Gate, UNBOUNDED, stamp_once};
use crate::clock;
use crate::priority::Priority;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

impl Gate {
    /// Admits at most so many bytes per second; `None` takes the limit away.
    pub fn set_rate(&self, bytes_per_second: Option<f64>) {
        let rate = bytes_per_second.unwrap_or(f64::INFINITY);
        let now_ns = clock::coarse_nanos();
        self.0.tokens.set_rate(rate, now_ns);
        let share = self.lowest_share();
        // The whole of a rate needs no second account.
        let lowest = if share < 1.0 {
            rate * share
        } else {
            f64::INFINITY
        };
        self.0.lowest_tokens.set_rate(lowest, now_ns);
    }

    /// What of the rate [`Priority::Low`] may use, from 0 to 1, from the next [`set_rate`](Self::set_rate) on; with 0 none
    /// of it passes while there is a rate. Anything that is not a number is 1.
    ///
    /// ```
    /// use relay_event::{ByteBudget, Gate, Priority, Reason};
    ///
    /// let gate = Gate::new(ByteBudget::new(1 << 20));
    /// gate.set_lowest_share(0.0);
    /// gate.set_rate(Some(1e6));
    /// assert_eq!(gate.admit(100, Priority::Low).unwrap_err().reason, Reason::Priority);
    /// assert!(gate.admit(100, Priority::Normal).is_ok());
    /// ```
    pub fn set_lowest_share(&self, share: f64) {
        let share = if share.is_nan() {
            1.0
        } else {
            share.clamp(0.0, 1.0)
        };
        self.0.lowest_share.store(share.to_bits(), Relaxed);
    }

    /// What of the rate [`Priority::Low`] may use.
    pub fn lowest_share(&self) -> f64 {
        f64::from_bits(self.0.lowest_share.load(Relaxed))
    }

    /// Whether what comes [from a source](Self::admit_from) is limited to its share while room is scarce: while the
    /// ledger, the queue delay or the rate is used beyond the mark of the next lower priority. Shares are max-min fair: a
    /// source that wants less than the others gets what it wants, and those who want more get the same. Off at first.
    ///
    /// While nothing is scarce it costs a look at the three bounds. While something is, 48 KiB of counters are kept up to
    /// date; that memory is taken when it is first switched on.
    ///
    /// ```
    /// use relay_event::{ByteBudget, Gate, Priority};
    ///
    /// let gate = Gate::new(ByteBudget::new(1 << 20));
    /// gate.set_source_fairness(true);
    /// let permit = gate.admit_from(b"tenant-7", 512, Priority::Normal)?;
    /// # Ok::<(), relay_event::Rejection>(())
    /// ```
    pub fn set_source_fairness(&self, on: bool) {
        self.0.shares.switch(on);
    }

    /// Whether sources are limited to their shares while room is scarce.
    pub fn source_fairness(&self) -> bool {
        self.0.shares.is_on()
    }

    /// The bytes a second that one source may have now at this priority; `None` while there is enough for all.
    pub fn source_share(&self, priority: Priority) -> Option<f64> {
        self.0.shares.bytes_per_second(priority)
    }

    /// The rate in force, in bytes per second; `None` when there is none.
    pub fn rate(&self) -> Option<f64> {
        Some(self.0.tokens.rate()).filter(|rate| rate.is_finite())
    }

    /// Refuses everything below `floor`. [`Priority::Control`] always passes within the ledger.
    pub fn set_floor(&self, floor: Priority) {
        if floor > Priority::Low {
            stamp_once(&self.0.first_pressure_ms);
        }
        self.0.floor.store(floor as u8, Relaxed);
    }

    /// The lowest priority that is admitted.
    pub fn floor(&self) -> Priority {
        Priority::from_rank(self.0.floor.load(Relaxed))
    }

    /// Says how many bytes leave per second, for `retry_after` and the queue delay; `None` while unknown. Less than one
    /// byte is none: then one event is admitted into an empty queue, and others wait.
    pub fn set_drain(&self, bytes_per_second: Option<f64>) {
        let drain = match bytes_per_second {
            Some(rate) if !rate.is_nan() => (rate.max(0.0) as u64).min(UNBOUNDED - 1),
            _ => UNBOUNDED,
        };
        self.0.drain.store(drain, SeqCst);
        self.find_max_queued_bytes();
    }

    /// Refuses what would wait longer than this in queues, at the present drain; `None` takes the limit away. What is
    /// queued before an event decides, not its own size: an empty queue takes any event that fits into the ledger.
    pub fn set_max_queue_delay(&self, delay: Option<Duration>) {
        let nanos = delay.map_or(UNBOUNDED, |delay| {
            delay.as_nanos().min(u128::from(UNBOUNDED - 1)) as u64
        });
        self.0.max_queue_delay_ns.store(nanos, SeqCst);
        self.find_max_queued_bytes();
    }

    /// Looked at again after it is stored, so that of two threads that turn one knob each, the last store has seen both.
    fn find_max_queued_bytes(&self) {
        let knobs = || {
            let drain = self.0.drain.load(SeqCst);
            (drain, self.0.max_queue_delay_ns.load(SeqCst))
        };
        let mut seen = knobs();
        loop {
            let bytes = match seen {
                (UNBOUNDED, _) | (_, UNBOUNDED) => UNBOUNDED,
                (drain, delay_ns) => {
                    let bytes = u128::from(drain) * u128::from(delay_ns) / 1_000_000_000;
                    bytes.min(u128::from(UNBOUNDED - 1)) as u64
                }
            };
            self.0.max_queued_bytes.store(bytes, SeqCst);
            let now = knobs();
            if now == seen {
                return;
            }
            seen = now;
        }
    }

    /// Refuses everything from now on, [`Priority::Control`] excepted.
    pub fn close(&self) {
        self.0.closed.store(true, Relaxed);
    }

    /// Whether the gate was closed.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Relaxed)
    }

    /// When a bound was first reached or a level first shut a priority out, in Unix milliseconds.
    pub fn first_pressure_unix_ms(&self) -> Option<u64> {
        Some(self.0.first_pressure_ms.load(Relaxed)).filter(|ms| *ms > 0)
    }

    /// When something was first refused, in Unix milliseconds.
    pub fn first_refusal_unix_ms(&self) -> Option<u64> {
        Some(self.0.first_refusal_ms.load(Relaxed)).filter(|ms| *ms > 0)
    }
}
