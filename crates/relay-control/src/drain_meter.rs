//! How fast what is queued goes out, measured only while something is queued.
//!
//! **Problem.** The rate at which events leave is the capacity of whoever consumes them only while
//! they have something to consume. Measured over idle time it is merely the offered load, and a
//! limit taken from it would hold the load where it happens to be.
//!
//! **Law.** Over gaps with a backlog `i`, each from one delivery to the next, of length Δtᵢ and with
//! bᵢ bytes at its end, both weighted by how long ago they were:
//!
//! ```text
//! estimate = Σ wᵢ·bᵢ/Δtᵢ ÷ Σ wᵢ,    wᵢ = (1 − exp(−Δtᵢ/τ)) · Π later (1 − wⱼ)
//! gap      = Σ wᵢ·Δtᵢ ÷ Σ wᵢ
//! drain    = estimate · min(1, 3 · gap ÷ time since the last delivery)
//! ```
//!
//! Dividing by the sum of the weights makes it the plain mean at first and an exponentially
//! weighted one later (the bias correction of Kingma and Ba, *Adam*, 2015, §3), so that the
//! estimate is of use from the first delivery on.
//!
//! A gap in which the queue ran empty shows only that the consumer takes this much at least. It counts
//! where that is more than the estimate: otherwise an estimate from a slow minute would admit so
//! little that the queue never stands, nothing is measured, and the estimate never changes.
//!
//! Gaps and not ticks, because many consumers answer in lumps: to one that confirms a batch every two
//! seconds, forty ticks without a byte are nothing special, and a law that took them for a stop would
//! starve it. Only when a gap is three times as long as usual does the drain fall, and then to what a
//! delivery now would make of it.
//!
//! - **Known** after [`KNOWN_AFTER`] of backlog and one delivery, or as soon as [`GAPS_ENOUGH`] gaps have been seen in
//!   [`KNOWN_EARLIEST`] of it. Until then it is provisional.
//! - **Lasting** is the same with five times the time constant, or the estimate itself where that is more: what a wait of seconds
//!   is foretold from. A consumer that was held up for a tenth of a second does not refuse a whole second of senders.
//! - **In force** while there is a backlog and for [`RELEASE_AFTER`] after it.
//! - **Forgotten** after `expiry` without a backlog: a burst after an idle stretch meets an unknown
//!   drain, not the low one of some slow minute in the past. A burst before that starts from the
//!   old estimate and replaces it within a time constant.

use std::time::Duration;

use crate::ewma::weight;

/// Four ticks of 50 ms: at 64 KiB an event and 1 MiB/s, three deliveries.
const KNOWN_AFTER: Duration = Duration::from_millis(200);

/// A consumer that answers often is known sooner: the first gap begins anywhere, the other two are whole.
const GAPS_ENOUGH: u32 = 3;

/// Less says more of the scheduler than of the consumer.
const KNOWN_EARLIEST: Duration = Duration::from_millis(15);

/// A wait of seconds is as long as the drain of seconds makes it.
const LASTING: u32 = 5;

/// Gaps are spread like waiting times: one in twenty is three times as long as the mean.
const GAP_SLACK: f64 = 3.0;

/// Two ticks of 50 ms: one empty moment between two batches does not open the gate.
const RELEASE_AFTER: Duration = Duration::from_millis(100);

/// The estimate and what it is made of.
#[derive(Debug, Clone)]
pub(crate) struct DrainMeter {
    time_constant: Duration,
    expiry: Duration,
    last: Option<(u64, Duration)>,
    weighted_rate: f64,
    weighted_gap: f64,
    weights: f64,
    gaps: u32,
    observed: Duration,
    /// Time with a backlog since the last delivery.
    waiting: Duration,
    last_backlog: Option<Duration>,
    last_known: Option<f64>,
    lasting: Option<f64>,
}

impl DrainMeter {
    pub(crate) const fn new(time_constant: Duration, expiry: Duration) -> Self {
        Self {
            time_constant,
            expiry,
            last: None,
            weighted_rate: 0.0,
            weighted_gap: 0.0,
            weights: 0.0,
            gaps: 0,
            observed: Duration::ZERO,
            waiting: Duration::ZERO,
            last_backlog: None,
            last_known: None,
            lasting: None,
        }
    }

    /// Takes the total delivered so far and whether something was queued ever since the last step.
    pub(crate) fn update(&mut self, delivered_bytes: u64, backlog: bool, now: Duration) {
        let Some((before_bytes, at)) = self.last else {
            self.last = Some((delivered_bytes, now));
            return;
        };
        let elapsed = now.saturating_sub(at);
        if elapsed.is_zero() {
            return;
        }
        self.last = Some((delivered_bytes, now));
        let bytes = delivered_bytes.checked_sub(before_bytes);
        if backlog {
            self.last_backlog = Some(now);
        }
        match bytes {
            Some(bytes) if backlog => self.add(bytes, elapsed),
            Some(bytes) => self.add_lower_bound(bytes, elapsed),
            // A total that went down was started anew: this gap says nothing.
            None => self.waiting = Duration::ZERO,
        }
        self.follow(elapsed);
        let idle = self.since_backlog(now);
        if idle.is_none_or(|idle| idle >= self.expiry) {
            self.forget();
        }
    }

    /// Bytes a second, once known and until it expires.
    pub(crate) fn known(&self) -> Option<f64> {
        let soon = self.gaps >= GAPS_ENOUGH && self.observed >= KNOWN_EARLIEST;
        (soon || self.observed >= KNOWN_AFTER)
            .then(|| self.present())
            .flatten()
    }

    /// Something waits, and a few looks more will tell how fast it drains.
    pub(crate) fn is_learning(&self, now: Duration) -> bool {
        self.in_force(now) && self.observed < KNOWN_AFTER && self.known().is_none()
    }

    /// Bytes a second over the last few seconds, once known: dips in it are shallow, and it rises at once.
    pub(crate) fn lasting(&self) -> Option<f64> {
        let known = self.known()?;
        Some(self.lasting.map_or(known, |lasting| lasting.max(known)))
    }

    /// Bytes a second, from whatever has been seen: nothing, where something waits and nothing was
    /// ever delivered.
    pub(crate) fn provisional(&self) -> Option<f64> {
        let waiting = (!self.observed.is_zero()).then_some(0.0);
        self.present().or(waiting)
    }

    /// The last known estimate, kept when it expires.
    pub(crate) fn last_known(&self) -> Option<f64> {
        self.last_known
    }

    /// Is there a backlog, or was there a moment ago?
    pub(crate) fn in_force(&self, now: Duration) -> bool {
        self.since_backlog(now)
            .is_some_and(|idle| idle < RELEASE_AFTER)
    }

    fn follow(&mut self, elapsed: Duration) {
        self.lasting = self.known().map(|known| {
            let lasting = self.lasting.unwrap_or(known);
            lasting + weight(elapsed, self.time_constant * LASTING) * (known - lasting)
        });
    }

    fn add(&mut self, bytes: u64, elapsed: Duration) {
        self.observed = self.observed.saturating_add(elapsed);
        self.waiting = self.waiting.saturating_add(elapsed);
        if bytes == 0 {
            return;
        }
        self.sample(bytes);
        self.last_known = self.known().or(self.last_known);
    }

    /// The queue ran empty: the consumer may have had to wait, and takes this much at least.
    fn add_lower_bound(&mut self, bytes: u64, elapsed: Duration) {
        self.waiting = self.waiting.saturating_add(elapsed);
        let rate = bytes as f64 / self.waiting.as_secs_f64();
        if self.weights > 0.0 && rate > self.weighted_rate / self.weights {
            self.sample(bytes);
        }
        self.waiting = Duration::ZERO;
    }

    /// One gap, just over, with these bytes at its end.
    fn sample(&mut self, bytes: u64) {
        let gap = std::mem::take(&mut self.waiting);
        let weight = weight(gap, self.time_constant);
        let rate = bytes as f64 / gap.as_secs_f64();
        self.weighted_rate += weight * (rate - self.weighted_rate);
        self.weighted_gap += weight * (gap.as_secs_f64() - self.weighted_gap);
        self.weights += weight * (1.0 - self.weights);
        self.gaps = self.gaps.saturating_add(1);
    }

    /// The estimate, less what a gap that is longer than usual says.
    fn present(&self) -> Option<f64> {
        if self.weights <= 0.0 {
            return None;
        }
        let usual = GAP_SLACK * self.weighted_gap / self.weights;
        let waiting = self.waiting.as_secs_f64();
        let share = if waiting > usual {
            usual / waiting
        } else {
            1.0
        };
        Some(self.weighted_rate / self.weights * share)
    }

    fn forget(&mut self) {
        self.weighted_rate = 0.0;
        self.weighted_gap = 0.0;
        self.weights = 0.0;
        self.gaps = 0;
        self.observed = Duration::ZERO;
        self.lasting = None;
    }

    fn since_backlog(&self, now: Duration) -> Option<Duration> {
        self.last_backlog.map(|at| now.saturating_sub(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(50);
    const MIB: u64 = 1 << 20;

    struct Run {
        meter: DrainMeter,
        tick: u32,
        delivered_bytes: u64,
    }

    impl Run {
        fn new() -> Self {
            let mut meter = DrainMeter::new(Duration::from_secs(1), Duration::from_secs(10));
            meter.update(0, false, Duration::ZERO);
            Self {
                meter,
                tick: 0,
                delivered_bytes: 0,
            }
        }

        fn ticks(&mut self, ticks: u32, bytes_per_tick: u64, backlog: bool) {
            for _ in 0..ticks {
                self.tick += 1;
                self.delivered_bytes += bytes_per_tick;
                self.meter
                    .update(self.delivered_bytes, backlog, TICK * self.tick);
            }
        }

        fn in_force(&self) -> bool {
            self.meter.in_force(TICK * self.tick)
        }
    }

    #[test]
    fn the_rate_is_right_from_the_first_interval_and_known_after_three() {
        let mut run = Run::new();
        run.ticks(2, MIB / 20, true);
        assert_eq!(run.meter.known(), None);
        assert!(run.meter.is_learning(TICK * 2));
        let provisional = run.meter.provisional().unwrap();
        assert!((provisional / MIB as f64 - 1.0).abs() < 1e-3);
        run.ticks(1, MIB / 20, true);
        assert_eq!(run.meter.known(), run.meter.provisional());
        assert!(!run.meter.is_learning(TICK * 3));
    }

    #[test]
    fn looks_in_quick_succession_know_it_after_15_ms_and_nothing_delivered_is_waited_for_200_ms() {
        let known_after = |bytes| {
            let mut meter = DrainMeter::new(Duration::from_secs(1), Duration::from_secs(10));
            meter.update(0, false, Duration::ZERO);
            let mut looks = (1..200_u32).take_while(|look| {
                let now = Duration::from_millis(5) * *look;
                meter.update(u64::from(*look) * bytes, true, now);
                meter.is_learning(now)
            });
            looks.by_ref().count()
        };
        assert_eq!(known_after(40_000), 2, "the third look knows");
        assert_eq!(known_after(0), 39, "the fortieth gives up");
    }

    #[test]
    fn what_is_delivered_without_a_backlog_does_not_count() {
        let mut run = Run::new();
        run.ticks(40, MIB, true);
        let saturated = run.meter.known();
        run.ticks(40, MIB / 100, false);
        assert_eq!(run.meter.known(), saturated);
        assert!(!run.in_force());
    }

    #[test]
    fn one_empty_interval_keeps_the_limit_in_force_and_two_release_it() {
        let mut run = Run::new();
        assert!(!run.in_force());
        run.ticks(10, MIB, true);
        run.ticks(1, MIB, false);
        assert!(run.in_force());
        run.ticks(1, MIB, false);
        assert!(!run.in_force());
    }

    #[test]
    fn an_estimate_expires_without_backlog_but_the_last_one_is_remembered() {
        let mut run = Run::new();
        run.ticks(40, MIB, true);
        run.ticks(199, 0, false);
        assert!(run.meter.known().is_some());
        run.ticks(1, 0, false);
        assert_eq!(run.meter.known(), None);
        assert_eq!(run.meter.provisional(), None);
        assert!((run.meter.last_known().unwrap() / MIB as f64 - 20.0).abs() < 1e-6);
    }

    /// A batch confirmed every two seconds: forty ticks of nothing are no stop.
    #[test]
    fn a_consumer_that_answers_every_two_seconds_is_as_fast_as_its_answers_say() {
        let mut run = Run::new();
        for answer in 0..10 {
            run.ticks(39, 0, true);
            if answer > 0 {
                let rate = run.meter.known().unwrap() / MIB as f64;
                assert!((rate - 20.0).abs() < 0.1, "{rate} before answer {answer}");
            } else {
                assert_eq!(run.meter.known(), None, "nothing was ever delivered");
                assert_eq!(run.meter.provisional(), Some(0.0));
            }
            run.ticks(1, 40 * MIB, true);
        }
    }

    /// After a slow minute: so little is admitted that each answer empties the queue.
    #[test]
    fn an_estimate_that_is_too_low_finds_its_way_up_though_the_queue_never_stands() {
        let mut run = Run::new();
        run.ticks(40, MIB / 10, true);
        let mut estimates = vec![run.meter.known().unwrap()];
        for _ in 0..20 {
            let admitted = (1.5 * estimates.last().unwrap() * 0.3) as u64;
            run.ticks(5, 0, true);
            run.ticks(1, admitted, false);
            assert!(run.in_force());
            estimates.push(run.meter.known().unwrap());
        }
        assert!(
            estimates.windows(2).all(|pair| pair[1] > 1.05 * pair[0]),
            "{estimates:?}"
        );
        let high = *estimates.last().unwrap();
        run.ticks(40, 1, false);
        assert_eq!(
            run.meter.known(),
            Some(high),
            "a lower bound is no upper one"
        );
    }

    #[test]
    fn a_gap_much_longer_than_usual_is_a_stop() {
        let mut run = Run::new();
        run.ticks(40, MIB, true);
        let after = |run: &mut Run, ticks| {
            run.ticks(ticks, 0, true);
            run.meter.known().unwrap() / MIB as f64
        };
        assert!((after(&mut run, 3) - 20.0).abs() < 1e-6);
        assert!(
            (after(&mut run, 3) - 10.0).abs() < 1e-6,
            "6 instead of 3 ticks"
        );
        assert!(after(&mut run, 54) < 1.01, "three seconds");
        assert!((run.meter.last_known().unwrap() / MIB as f64 - 20.0).abs() < 1e-6);
        run.ticks(60, MIB, true);
        assert!(run.meter.known().unwrap() / MIB as f64 > 18.0, "and back");
    }

    /// Recovery: what is at its longest wait when a dip comes is not refused for it.
    #[test]
    fn a_dip_of_a_moment_hardly_shows_in_what_lasts_and_a_slow_spell_does() {
        let mut run = Run::new();
        run.ticks(200, MIB / 20, true);
        run.ticks(3, 0, true);
        run.ticks(1, MIB / 20, true);
        let mib = |rate: Option<f64>| rate.unwrap() / MIB as f64;
        assert!(mib(run.meter.known()) < 0.9);
        assert!(mib(run.meter.lasting()) > 0.97);
        run.ticks(300, MIB / 200, true);
        assert!(mib(run.meter.lasting()) < 0.2, "after 15 s at a tenth");
        run.ticks(40, MIB / 10, true);
        assert_eq!(run.meter.lasting(), run.meter.known(), "up at once");
        run.ticks(200, 0, false);
        assert_eq!(run.meter.lasting(), None);
    }

    #[test]
    fn a_total_that_starts_anew_is_no_delivery() {
        let mut run = Run::new();
        run.ticks(10, MIB, true);
        let before = run.meter.known();
        run.delivered_bytes = 0;
        run.ticks(1, 0, true);
        assert_eq!(run.meter.known(), before);
    }

    #[test]
    fn lumps_of_64_kib_at_one_mib_a_second_are_levelled_out() {
        let mut run = Run::new();
        for tick in 0..200_u64 {
            let events = (tick + 1) * 16 / 20 - tick * 16 / 20;
            run.ticks(1, events * 64 * 1024, true);
            if tick > 20 {
                let rate = run.meter.known().unwrap() / MIB as f64;
                assert!((rate - 1.0).abs() < 0.10, "{rate} at tick {tick}");
            }
        }
    }
}
