//! What came of a run: its course in windows, and the figures taken from it.

use std::time::Duration;

use relay_control::{CLASSES, Level};

use super::model::{Books, STEP};
use super::pulse::Pulse;
use super::scenario::Scenario;
use crate::quantiles::swing;

/// Figures over time are gathered in windows of this length.
const WINDOW: Duration = Duration::from_millis(100);
/// Admission has recovered when it holds for this many windows.
const RECOVERED_FOR: usize = 5;
const RECOVERED_SHARE: f64 = 0.95;
/// How much of the end of an overload is its steady part.
const STEADY: Duration = Duration::from_secs(10);

/// One window of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) at: Duration,
    pub(super) offered: f64,
    pub(super) admitted: f64,
    pub(super) delivered: f64,
    /// Highest memory ÷ limit.
    pub(super) memory: f64,
    pub(super) level: Level,
}

/// A run as it goes on.
#[derive(Debug)]
pub(super) struct Course {
    windows: Vec<Window>,
    overload: Option<(Duration, Duration)>,
    /// What could be delivered during the overload, and what was there to be delivered.
    could_deliver: f64,
    offered: f64,
    delivered: f64,
    peak: f64,
    first_refusal: Option<Duration>,
    died_at: Option<Duration>,
    capacity: f64,
    service: Vec<(Duration, Duration, f64)>,
}

/// A run and what is to be known of it.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) windows: Vec<Window>,
    /// When the kernel killed it.
    pub(super) died_at: Option<Duration>,
    /// Highest memory ÷ limit.
    pub(super) peak: f64,
    /// Delivered ÷ what the consumer could take (or what was offered, where that is less), during the longest overload.
    pub(super) goodput: Option<f64>,
    /// From the begin of the overload to the first refusal.
    pub(super) first_refusal: Option<Duration>,
    /// From the end of the overload until 95 % are admitted again.
    pub(super) recovery: Option<Duration>,
    /// Could there be a recovery?
    pub(super) recovers: bool,
    /// p95 − p5 at the end of the overload, of memory ÷ limit and of admitted ÷ offered.
    pub(super) memory_swing: Option<f64>,
    pub(super) admission_swing: Option<f64>,
    pub(super) actions_per_hour: f64,
    pub(super) slow_actions: u64,
    pub(super) looks: u64,
    pub(super) shortest_wait: Duration,
    pub(super) latch_ups: u64,
    pub(super) inversions: u64,
    pub(super) unaccounted: f64,
    /// Delivered ÷ offered, by class.
    pub(super) passed: [Option<f64>; CLASSES],
}

// === impl Course ===

impl Course {
    pub(super) fn new(scenario: &Scenario, load: f64) -> Self {
        let service = scenario
            .service
            .iter()
            .map(|dip| (dip.from, dip.to, dip.share));
        Self {
            windows: Vec::new(),
            overload: scenario.overload(load),
            could_deliver: 0.0,
            offered: 0.0,
            delivered: 0.0,
            peak: 0.0,
            first_refusal: None,
            died_at: None,
            capacity: scenario.capacity.0 as f64,
            service: service.collect(),
        }
    }

    pub(super) fn note(
        &mut self,
        now: Duration,
        offered: f64,
        admitted: f64,
        delivered: f64,
        memory: f64,
        level: Level,
    ) {
        let at = WINDOW * (now.as_nanos() / WINDOW.as_nanos()) as u32;
        if self.windows.last().is_none_or(|window| window.at != at) {
            let (offered, admitted, delivered) = (0.0, 0.0, 0.0);
            self.windows.push(Window {
                at,
                offered,
                admitted,
                delivered,
                memory: 0.0,
                level,
            });
        }
        if let Some(window) = self.windows.last_mut() {
            window.offered += offered;
            window.admitted += admitted;
            window.delivered += delivered;
            window.memory = window.memory.max(memory);
            window.level = window.level.max(level);
        }
        self.peak = self.peak.max(memory);
        if memory > 1.0 {
            self.died_at = Some(now);
        }
        if let Some((from, to)) = self.overload
            && (from..to).contains(&now)
        {
            let dip = self
                .service
                .iter()
                .find(|(from, to, _)| (*from..*to).contains(&now));
            let share = dip.map_or(1.0, |(_, _, share)| *share);
            self.could_deliver += self.capacity * share * STEP.as_secs_f64();
            self.offered += offered;
            self.delivered += delivered;
            if admitted < offered && self.first_refusal.is_none() {
                self.first_refusal = Some(now.saturating_sub(from));
            }
        }
    }

    pub(super) fn end(self, books: &Books, pulse: &Pulse, queued: f64) -> Outcome {
        let lived = self
            .windows
            .last()
            .map_or(WINDOW, |window| window.at + WINDOW);
        let alive = self.died_at.is_none();
        let possible = self.could_deliver.min(self.offered);
        let recovery = self.recovery().filter(|_| alive);
        Outcome {
            died_at: self.died_at,
            peak: self.peak,
            goodput: (alive && possible > 0.0).then(|| self.delivered / possible),
            first_refusal: self.first_refusal,
            recovery,
            recovers: alive && self.after_overload().is_some(),
            memory_swing: self.memory_swing().filter(|_| alive),
            admission_swing: self.admission_swing().filter(|_| alive),
            actions_per_hour: pulse.actions.knobs as f64 / lived.as_secs_f64() * 3600.0,
            slow_actions: pulse.actions.slow,
            looks: pulse.actions.looks,
            shortest_wait: pulse.shortest_wait,
            latch_ups: pulse.actions.latch_ups,
            inversions: books.inversions,
            unaccounted: books.unaccounted(queued),
            passed: books.passed(),
            windows: self.windows,
        }
    }

    /// The windows after the overload, if less than the capacity is offered in them.
    fn after_overload(&self) -> Option<&[Window]> {
        let (_, to) = self.overload?;
        let first = self.windows.iter().position(|window| window.at >= to)?;
        let after = &self.windows[first..];
        let offered: f64 = after.iter().map(|window| window.offered).sum();
        let length = WINDOW.as_secs_f64() * after.len() as f64;
        (offered > 0.0 && offered / length <= self.capacity).then_some(after)
    }

    fn recovery(&self) -> Option<Duration> {
        let after = self.after_overload()?;
        let admits = |windows: &[Window]| {
            let sum = |part: fn(&Window) -> f64| windows.iter().map(part).sum::<f64>();
            sum(|window| window.admitted) >= RECOVERED_SHARE * sum(|window| window.offered)
        };
        let index = after.windows(RECOVERED_FOR).position(admits)?;
        Some(WINDOW * index as u32)
    }

    fn memory_swing(&self) -> Option<f64> {
        swing(self.steady()?.map(|window| window.memory).collect())
    }

    /// Over half seconds: in a tenth of one, the dice of the arrivals are most of it.
    fn admission_swing(&self) -> Option<f64> {
        let windows: Vec<&Window> = self.steady()?.collect();
        let sums = windows.chunks_exact(RECOVERED_FOR).map(|chunk| {
            let offered: f64 = chunk.iter().map(|window| window.offered).sum();
            let admitted: f64 = chunk.iter().map(|window| window.admitted).sum();
            (offered, admitted)
        });
        let offering = sums.filter(|(offered, _)| *offered > 0.0);
        swing(
            offering
                .map(|(offered, admitted)| admitted / offered)
                .collect(),
        )
    }

    /// The windows of the last part of the overload.
    fn steady(&self) -> Option<impl Iterator<Item = &Window>> {
        let (from, to) = self.overload?;
        let length = to.saturating_sub(from);
        let from = from + (length / 2).max(length.saturating_sub(STEADY));
        Some(
            self.windows
                .iter()
                .filter(move |window| (from..to).contains(&window.at)),
        )
    }
}
