//! The pulse: one thread that samples, decides, turns the knobs, records and reports. It allocates nothing after
//! start and waits for nobody.

use crate::congestion::Watch;
use crate::report::Reporter;
use crate::share::Shares;
use crate::tuning::{Mailbox, Settings};
use relay_control::{Decision, Input, Memory, Reading};
use relay_event::{Bus, ByteBudget, ErrorBus, Gate, Priority};
use relay_forensics::{Record, Ring};
use relay_sense::{Bound, Sample, Sampler};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// Whether decisions are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Decide, record, and turn the knobs.
    #[default]
    Enforce,
    /// Decide and record; turn nothing.
    Observe,
    /// The naive pipeline, for comparison: the gate admits everything, the ledger counts without bound, queues hold
    /// 1,048,576 events.
    Off,
}

impl Mode {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Enforce, Self::Observe, Self::Off]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no mode: expected enforce, observe or off"))
    }
}

/// What the last tick saw and decided.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    /// What the kernel said.
    pub sample: Sample,
    /// What the laws made of it.
    pub decision: Decision,
}

/// What is shared with whoever looks on.
#[derive(Debug, Default)]
pub(crate) struct View {
    last: Mutex<Option<Observation>>,
    stop: AtomicBool,
}

impl View {
    pub(crate) fn last(&self) -> Option<Observation> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Skips the update while somebody reads: the next tick is 50 ms away, and the pulse waits for nobody.
    fn publish(&self, observation: &Observation) {
        match self.last.try_lock() {
            Ok(mut last) => *last = Some(*observation),
            Err(TryLockError::Poisoned(poisoned)) => *poisoned.into_inner() = Some(*observation),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

/// The knobs that the pulse turns. They belong to the data path.
#[derive(Debug)]
pub(crate) struct Knobs {
    pub(crate) gate: Gate,
    pub(crate) budget: ByteBudget,
    pub(crate) external: Bus,
}

impl Knobs {
    fn turn(&self, decision: &Decision) {
        self.budget.resize(Some(decision.ledger_bytes));
        self.gate.set_drain(decision.drain_bytes_per_second);
        self.gate.set_rate(decision.admitted_bytes_per_second());
        self.gate.set_floor(Priority::from_rank(decision.floor));
        self.external.set_shedding(decision.shed);
    }
}

pub(crate) struct Pulse {
    pub(crate) sampler: Sampler,
    pub(crate) settings: Settings,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) knobs: Knobs,
    pub(crate) reporter: Reporter,
    pub(crate) errors: ErrorBus,
    pub(crate) watches: Arc<Mutex<Vec<Watch>>>,
    pub(crate) shares: Shares,
    pub(crate) ring: Arc<Ring>,
    pub(crate) view: Arc<View>,
    pub(crate) mode: Mode,
    pub(crate) started: Instant,
    pub(crate) delivered_bytes: u64,
    /// Called once when memory stays in emergency.
    pub(crate) on_emergency: Option<Box<dyn FnOnce() + Send>>,
}

impl Pulse {
    /// Runs until the view says stop; unparking the thread ends a wait early.
    pub(crate) fn run(mut self) {
        let mut next = Instant::now();
        while !self.view.stop.load(Relaxed) {
            let now = Instant::now();
            self.tick(now);
            // A late tick does not make the following ones come in a burst.
            next = (next + self.settings.interval).max(now);
            thread::park_timeout(next.saturating_duration_since(Instant::now()));
        }
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        self.mailbox.collect(&mut self.settings);
        let sample = self.sampler.sample(now);
        let input = self.input(&sample);
        let decision = self
            .settings
            .controller
            .step(&input, now.saturating_duration_since(self.started));
        if self.mode == Mode::Enforce {
            self.knobs.turn(&decision);
        }
        self.ring.record(&record(
            now.saturating_duration_since(self.started),
            &sample,
            &decision,
            &self.knobs,
        ));
        self.reporter.report(&sample, &decision);
        self.watch_queues(now, &decision);
        self.view.publish(&Observation { sample, decision });
        if decision.shutdown
            && self.mode == Mode::Enforce
            && let Some(shut_down) = self.on_emergency.take()
        {
            shut_down();
        }
    }

    /// Skips the look while an emitter is being added: the pulse waits for nobody.
    fn watch_queues(&mut self, now: Instant, decision: &Decision) {
        if let Ok(mut watches) = self.watches.try_lock() {
            if self.mode == Mode::Enforce {
                self.shares
                    .give(decision.ledger_bytes, &self.knobs.external, &watches);
            }
            for watch in watches.iter_mut() {
                watch.look(now, &self.errors);
            }
        }
    }

    fn input(&mut self, sample: &Sample) -> Input {
        let progress = self.knobs.external.progress();
        self.delivered_bytes += progress.delivered_bytes;
        Input {
            memory: memory(sample, self.settings.soft_limit_bytes),
            ledger_used_bytes: self.knobs.budget.used_bytes(),
            live_bytes: None,
            delivered_bytes: self.delivered_bytes,
            backlog: progress.backlog,
        }
    }
}

/// The tightest level of the hierarchy is what the laws steer by. A limit that is known with a usage that is not is
/// unknown, never calm.
fn memory(sample: &Sample, soft_limit_bytes: Option<u64>) -> Reading<Memory> {
    let soft = [sample.soft_limit_bytes, soft_limit_bytes]
        .into_iter()
        .flatten()
        .min();
    match (sample.binding, sample.limit_bytes) {
        (Some(binding), _) => Reading::Known(Memory {
            unreclaimable_bytes: binding.unreclaimable_bytes,
            limit_bytes: binding.limit_bytes,
            soft_limit_bytes: soft,
        }),
        (None, Bound::Unlimited) => Reading::NoLimit,
        (None, _) => Reading::Unknown,
    }
}

/// The kind of a [`Record`] that holds one tick of the pulse. Its detail is the level (0 normal to 4 emergency); its
/// values are, in order: unreclaimable, limit, ledger used, ledger size, drain, rate (all bytes or bytes a second,
/// zero while unknown or without a bound), the bits of the governor's scale, and the lowest admitted priority.
pub const TICK_RECORD: u16 = 1;

fn record(at: Duration, sample: &Sample, decision: &Decision, knobs: &Knobs) -> Record {
    let rate = |rate: Option<f64>| rate.map_or(0, |rate| rate as u64);
    Record::new(TICK_RECORD, at)
        .with_detail(decision.level as u32)
        .with_values(&[
            sample.unreclaimable_bytes.unwrap_or(0),
            sample.limit_bytes.bytes().unwrap_or(0),
            knobs.budget.used_bytes(),
            decision.ledger_bytes,
            rate(decision.drain_bytes_per_second),
            rate(decision.rate_bytes_per_second),
            decision.governor.scale.to_bits(),
            u64::from(decision.floor),
        ])
}

#[cfg(test)]
#[path = "pulse/tests.rs"]
mod tests;
