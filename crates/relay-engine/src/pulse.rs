//! The pulse: one thread that samples, decides, turns the knobs, records and reports. It allocates nothing after
//! start and waits for nobody.

use crate::actuate::{Actuators, GovernorHistory, Orders, Situation};
use crate::blackbox::{Moment, Queues, Tape};
use crate::congestion::Watch;
use crate::knobs::Knobs;
use crate::levels::Levels;
use crate::reclaimer::Desk;
use crate::report::Reporter;
use crate::sentry::Sentry;
use crate::share::Shares;
use crate::sketch::Recent;
use crate::stall::StallMonitor;
use crate::try_lock;
use crate::tuning::{Mailbox, Settings};
use crate::wire;
use relay_control::{Decision, Input, Level, Memory, Outlook, PaceInput, Plan, Reading};
use relay_event::ErrorBus;
use relay_sense::{Bound, PressureSample, Sample, Sampler, alloc};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// The number of the decision, from 1: the field `decision` of every error event that follows from it.
    pub number: u64,
    /// What the kernel said.
    pub sample: Sample,
    /// What the laws made of it.
    pub decision: Decision,
    /// How long until a limit is met, if memory goes on as it does.
    pub outlook: Outlook,
    /// How long tasks waited for memory when that was read last, if it can be.
    pub stall: Option<PressureSample>,
    /// How long the pulse waits now, unless it is woken.
    pub wait: Duration,
    /// What the arbiter asked of the slow actuators: nothing, as a rule.
    pub plan: Plan,
    /// Defensive mode is on.
    pub defending: bool,
    /// By how much publishers that can wait stretch their pace, from 1.
    pub pace_factor: f64,
    /// What the governor has done so far.
    pub governor: GovernorHistory,
}

/// One tick: what everything that is decided and told in it refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tick {
    /// Its number, from 1.
    pub(crate) number: u64,
    pub(crate) now: Instant,
    /// Since the engine started: the clock of the laws.
    pub(crate) since: Duration,
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
        if let Some(mut last) = try_lock(&self.last) {
            *last = Some(*observation);
        }
    }
}

/// Two ticks are at least so far apart, however often the pulse is woken.
const MIN_PERIOD: Duration = Duration::from_millis(1);

pub(crate) struct Pulse {
    pub(crate) sampler: Sampler,
    pub(crate) settings: Settings,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) sentry: Arc<Sentry>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) knobs: Knobs,
    pub(crate) reporter: Reporter,
    pub(crate) errors: ErrorBus,
    pub(crate) watches: Arc<Mutex<Vec<Watch>>>,
    pub(crate) shares: Shares,
    pub(crate) tape: Tape,
    pub(crate) stalls: StallMonitor,
    pub(crate) actuators: Actuators,
    pub(crate) ticks: u64,
    pub(crate) view: Arc<View>,
    pub(crate) mode: Mode,
    pub(crate) started: Instant,
    pub(crate) seen: Seen,
    pub(crate) emitting: Recent,
    /// Called once when memory stays in emergency.
    pub(crate) on_emergency: Option<Box<dyn FnOnce() + Send>>,
}

/// What the last tick saw of things that move, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    delivered: u64,
    ledger_used: u64,
    levels: Levels,
}

impl Pulse {
    /// Runs until the view says stop; the waker ends a wait early, and so do a limit that is written and a stall.
    pub(crate) fn run(&mut self) {
        if let Err(error) = relay_sense::lock_stack() {
            tracing::debug!("the stack of the pulse is not locked in memory: {error}");
        }
        while !self.view.stop.load(Relaxed) {
            let began = Instant::now();
            let wait = self.tick(began);
            self.wait(wait);
            // Also a storm of wake-ups leaves the processor to others.
            thread::sleep(MIN_PERIOD.saturating_sub(began.elapsed()));
        }
    }

    fn wait(&mut self, timeout: Duration) {
        let ready = relay_sense::wait(
            self.sampler.watch(),
            self.stalls.trigger(),
            Some(self.sentry.waker()),
            Some(timeout),
        );
        let Ok(ready) = ready else {
            return thread::sleep(timeout);
        };
        if ready.wake {
            self.sentry.clear();
        }
        if ready.pressure {
            self.stalls.hurry();
        }
        if ready.wake || ready.pressure {
            self.settings.pace.wake();
        }
    }

    /// One look and what follows from it; how long to wait for the next.
    pub(crate) fn tick(&mut self, now: Instant) -> Duration {
        self.mailbox.collect(&mut self.settings);
        self.desk.collect(&mut self.sampler);
        self.ticks += 1;
        let since = now.saturating_duration_since(self.started);
        let tick = Tick {
            number: self.ticks,
            now,
            since,
        };
        let sample = self.sampler.sample(now);
        if sample.moved {
            self.desk.ask_refresh();
        }
        let stall = self.stalls.look(&tick, &self.errors);
        self.settings.controller.note_stall(self.stalls.level());
        let (input, moving) = self.input(&sample);
        let decision = self.settings.controller.step(&input, since);
        let outlook = self.forecast(&sample, &input, since);
        let wait = self.settings.pace.step(
            &PaceInput {
                level: decision.level,
                outlook,
                learning: decision.learning,
                moving,
            },
            since,
        );
        let due = self.tape.due(since, &sample, outlook);
        let rests = wait > self.settings.interval;
        let wait = self.tape.limit_wait(wait, outlook);
        // Skipped while an emitter is being added: the pulse waits for nobody.
        let watches = Arc::clone(&self.watches);
        let mut watches = try_lock(&watches);
        let sees_queues = watches.is_some();
        let queues = watches
            .as_deref_mut()
            .map_or(Default::default(), Vec::as_mut_slice);
        let situation = Situation {
            decision: &decision,
            memory: input.memory,
            stall: self.stalls.level(),
            delivered_bytes: input.delivered_bytes,
            ledger_used_bytes: input.ledger_used_bytes,
            live_bytes: input.live_bytes,
        };
        let (plan, purge) = self
            .actuators
            .plan(&mut self.settings, &situation, queues, &tick);
        let orders = self.actuators.orders(&decision);
        self.act(&decision, &orders, &sample, wait);
        if purge && self.mode == Mode::Enforce {
            self.desk.ask_purge();
        }
        self.reporter
            .report(&sample, &decision, &orders, self.stalls.level(), &tick);
        self.actuators.carry_out(
            &plan,
            &mut self.settings,
            &decision,
            (&self.knobs.external, queues),
            &tick,
        );
        self.watch_queues(&tick, &decision, queues);
        if due.is_some() {
            let emitting = self
                .emitting
                .look(since, queues.iter().filter_map(Watch::durations));
            self.tape.record(Moment {
                since,
                sample: &sample,
                decision: &decision,
                outlook,
                stall,
                knobs: &self.knobs,
                queues: sees_queues.then(|| Queues::of(since, queues)),
                emitting,
            });
            if self.tape.wants_vitals(since, rests) {
                self.desk.ask_vitals();
            }
        }
        self.view.publish(&Observation {
            number: tick.number,
            sample,
            decision,
            outlook,
            stall,
            wait,
            plan,
            defending: self.actuators.is_defending(),
            pace_factor: self.settings.throttle.factor(),
            governor: self.actuators.history,
        });
        // Only now: how much room there is for a report, the reclaimer takes from the view.
        if decision.level >= Level::Critical && decision.previous_level < Level::Critical {
            self.desk.ask_dump();
        }
        wait
    }

    fn act(&mut self, decision: &Decision, orders: &Orders, sample: &Sample, wait: Duration) {
        let rests = wait > self.settings.interval;
        if self.mode == Mode::Enforce {
            self.knobs.turn(decision, orders);
        }
        // Also who only observes is to see what happens between two ticks.
        if self.mode != Mode::Off {
            self.knobs.budget.lay_wire(wire::bytes(decision, rests));
        }
        let marks = sample
            .binding
            .map(|binding| self.settings.marks(binding.limit_bytes));
        self.sentry.post(marks.unwrap_or_default(), rests);
        if decision.shutdown
            && self.mode == Mode::Enforce
            && let Some(shut_down) = self.on_emergency.take()
        {
            shut_down();
        }
    }

    fn forecast(&mut self, sample: &Sample, input: &Input, since: Duration) -> Outlook {
        let forecast = &mut self.settings.forecast;
        match input.memory {
            Reading::Known(memory) => {
                let memory = (memory, self.settings.soft_limit_bytes);
                self.seen.levels.step(forecast, sample, memory, since)
            }
            Reading::NoLimit => forecast.step(&[], since),
            Reading::Unknown => forecast.lose(),
        }
    }

    fn watch_queues(&mut self, tick: &Tick, decision: &Decision, queues: &mut [Watch]) {
        if self.mode == Mode::Enforce {
            self.shares
                .give(decision.ledger_bytes, &self.knobs.external, queues);
        }
        for watch in queues {
            watch.look(tick, &self.errors);
        }
        self.actuators.pools.tell(tick, &self.errors);
    }

    /// What the laws are told, and whether anything has moved since the last tick.
    fn input(&mut self, sample: &Sample) -> (Input, bool) {
        let progress = self.knobs.external.progress();
        let ledger_used_bytes = self.knobs.budget.used_bytes();
        let moving = progress.backlog
            || progress.delivered_bytes > 0
            || ledger_used_bytes != self.seen.ledger_used;
        self.seen.delivered += progress.delivered_bytes;
        self.seen.ledger_used = ledger_used_bytes;
        let input = Input {
            memory: memory(sample, self.settings.soft_limit_bytes),
            ledger_used_bytes,
            live_bytes: alloc::heap().map(alloc::Heap::live_bytes),
            delivered_bytes: self.seen.delivered,
            backlog: progress.backlog,
        };
        (input, moving)
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

#[cfg(test)]
#[path = "pulse/tests.rs"]
mod tests;
