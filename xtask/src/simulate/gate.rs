//! The gate of the model: what of an arrival may come in, by the rules of relay-event's.

use std::time::Duration;

use super::variant::Gate as Kind;

/// The share of every bound that a class may fill, low to control.
const WATERMARKS: [f64; 4] = [0.60, 0.80, 0.95, 1.00];
/// How far ahead of now admission by rate may run.
const ALLOWANCE_S: f64 = 0.1;
/// The most that one event puts on the account.
const DEBT_MAX_S: f64 = 1.0;
/// What would wait longer than this is refused.
const QUEUE_DELAY_S: f64 = 5.0;

/// The knobs, and what has been let in ahead of its time.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) kind: Kind,
    /// Under [`Kind::Threshold`]: shut.
    pub(super) shut: bool,
    /// Under [`Kind::ShareOfOffered`]: what passes.
    pub(super) share: f64,
    /// Bytes a second.
    pub(super) rate: Option<f64>,
    /// What of the rate the lowest class may use.
    pub(super) lowest: f64,
    pub(super) floor: u8,
    pub(super) ledger_bytes: f64,
    pub(super) drain: Option<f64>,
    /// Events that the queue may hold, where that is bounded.
    pub(super) events_max: Option<usize>,
    paid_until_s: f64,
    lowest_paid_until_s: f64,
}

/// What happened to an arrival.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Verdict {
    pub(super) admitted: u64,
    /// A lower class would have been let in where this one was not.
    pub(super) inverted: bool,
}

impl Gate {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            shut: false,
            share: 1.0,
            rate: None,
            lowest: 1.0,
            floor: 0,
            ledger_bytes: f64::INFINITY,
            drain: None,
            events_max: None,
            paid_until_s: 0.0,
            lowest_paid_until_s: 0.0,
        }
    }

    /// Lets in what of `events` of this size may come in. `chance` rounds shares of events.
    pub(super) fn admit(
        &mut self,
        (events, size): (u64, f64),
        class: u8,
        (queued_events, queued_bytes): (u64, f64),
        now: Duration,
        chance: f64,
    ) -> Verdict {
        let now_s = now.as_secs_f64();
        let admitted = match self.kind {
            Kind::Threshold(_) if self.shut => 0,
            Kind::Open | Kind::Threshold(_) => events,
            Kind::ShareOfOffered => ((events as f64 * self.share + chance) as u64).min(events),
            Kind::RateOnly => events.min(self.by_rate(size, class, now_s)),
            Kind::Whole => events.min(self.room(size, class, queued_bytes, now_s)),
        };
        let admitted = match self.events_max {
            Some(most) => admitted.min((most as u64).saturating_sub(queued_events)),
            None => admitted,
        };
        self.pay(admitted as f64 * size, class, now_s);
        let queued_bytes = queued_bytes + admitted as f64 * size;
        let inverted = admitted < events
            && self.kind == Kind::Whole
            && self.events_max.is_none()
            && self.room(size, class, queued_bytes, now_s) == 0
            && (0..class).any(|lower| self.room(size, lower, queued_bytes, now_s) > 0);
        Verdict { admitted, inverted }
    }

    /// How many events of this size and class may come in now.
    fn room(&self, size: f64, class: u8, queued_bytes: f64, now_s: f64) -> u64 {
        if class < self.floor {
            return 0;
        }
        let watermark = WATERMARKS[usize::from(class)];
        let mut bytes = self.ledger_bytes * watermark - queued_bytes;
        if let Some(drain) = self.drain.filter(|_| class < 3) {
            bytes = bytes.min(drain.max(1.0) * QUEUE_DELAY_S * watermark - queued_bytes);
        }
        let by_bytes = (bytes / size).max(0.0) as u64;
        by_bytes.min(self.by_rate(size, class, now_s))
    }

    /// An event passes while what is paid for lies within the allowance, and pays afterwards.
    fn by_rate(&self, size: f64, class: u8, now_s: f64) -> u64 {
        let Some(rate) = self.rate.filter(|_| class < 3) else {
            return u64::MAX;
        };
        let passes = |rate: f64, paid_until_s: f64| {
            if rate <= 0.0 {
                return 0;
            }
            let left_s = now_s + ALLOWANCE_S * WATERMARKS[usize::from(class)] - paid_until_s;
            if left_s < 0.0 {
                0
            } else {
                (left_s / (size / rate)) as u64 + 1
            }
        };
        let all = passes(rate, self.paid_until_s);
        if class == 0 && self.lowest < 1.0 {
            all.min(passes(rate * self.lowest, self.lowest_paid_until_s))
        } else {
            all
        }
    }

    fn pay(&mut self, bytes: f64, class: u8, now_s: f64) {
        let Some(rate) = self.rate.filter(|_| class < 3 && bytes > 0.0) else {
            return;
        };
        let price = |rate: f64| (bytes / rate.max(1e-9)).min(DEBT_MAX_S);
        self.paid_until_s = self.paid_until_s.max(now_s) + price(rate);
        if class == 0 {
            self.lowest_paid_until_s =
                self.lowest_paid_until_s.max(now_s) + price(rate * self.lowest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn admitted_per_second(gate: &mut Gate, class: u8, events_per_ms: u64) -> f64 {
        let sum: u64 = (1..=10_000_u32)
            .map(|ms| {
                gate.admit((events_per_ms, 100.0), class, (0, 0.0), MS * ms, 0.5)
                    .admitted
            })
            .sum();
        sum as f64 / 10.0
    }

    #[test]
    fn the_rate_is_kept_and_a_share_of_it_for_the_lowest_class() {
        let mut gate = Gate::new(Kind::Whole);
        gate.rate = Some(100_000.0);
        let normal = admitted_per_second(&mut gate, 1, 10);
        assert!((normal / 1000.0 - 1.0).abs() < 0.02, "{normal}");
        let mut gate = Gate::new(Kind::Whole);
        (gate.rate, gate.lowest) = (Some(100_000.0), 0.5);
        let low = admitted_per_second(&mut gate, 0, 10);
        assert!((low / 500.0 - 1.0).abs() < 0.02, "{low}");
        gate.lowest = 0.0;
        assert_eq!(admitted_per_second(&mut gate, 0, 10), 0.0);
    }

    #[test]
    fn the_ledger_and_the_floor_hold_back_lower_classes_first() {
        let mut gate = Gate::new(Kind::Whole);
        gate.ledger_bytes = 1000.0;
        let admits = |gate: &mut Gate, class, queued| {
            let verdict = gate.admit((100, 1.0), class, (0, queued), MS, 0.5);
            assert!(!verdict.inverted);
            verdict.admitted
        };
        assert_eq!(
            [0, 1, 2, 3].map(|class| admits(&mut gate, class, 550.0)),
            [50, 100, 100, 100]
        );
        assert_eq!(
            [0, 1, 2, 3].map(|class| admits(&mut gate, class, 930.0)),
            [0, 0, 20, 70]
        );
        gate.floor = 2;
        assert_eq!(
            [0, 1, 2, 3].map(|class| admits(&mut gate, class, 0.0)),
            [0, 0, 100, 100]
        );
    }
}
