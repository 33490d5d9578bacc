//! The slow actuators: queues, pools, publishers and defensive mode, moved by the arbiter one at a time.
//!
//! ```text
//! queues, pools, memory ─▶ readings ─▶ Arbiter ─▶ plan ─▶ queue bounds, workers, pace, defences
//! ```
//!
//! What is decided here is decided in every [`Mode`](crate::Mode) from the same readings; only whether it is carried out
//! depends on the mode. Nothing is allocated after start, apart from the name of a pool when one is added.

mod defence;
mod governor;
mod intake;
mod pace;
mod pools;
mod queue;

use crate::congestion::Watch;
use crate::pulse::Tick;
use crate::tuning::Settings;
use relay_control::{Action, Decision, Defence, LatchUpState, Level, Plan, Reading};
use relay_event::{Bus, Code, Component, ErrorBus, ErrorEvent, Severity, Signal};
use std::sync::Arc;

pub(crate) use defence::{Defences, Orders};
pub use governor::GovernorHistory;
pub(crate) use intake::Intake;
pub(crate) use pace::Pace;
pub(crate) use pools::{Board, PoolTable};
pub(crate) use queue::{Peak, Sizer};

/// The actuators of one engine, and what they remember.
pub(crate) struct Actuators {
    pub(crate) errors: ErrorBus,
    pub(crate) defence: Component,
    pub(crate) memory: Component,
    pub(crate) intake: Intake,
    pub(crate) pools: PoolTable,
    pub(crate) pace: Arc<Pace>,
    pub(crate) history: GovernorHistory,
    defences: Defences,
    latched: bool,
    told_factor: f64,
    /// How full the fullest reliable queue is, and the pressure, as of the last plan.
    seen: (f64, Option<f64>),
    /// Decisions are carried out.
    enforces: bool,
}

/// What the plan of a tick is made from, besides the actuators themselves.
pub(crate) struct Situation<'a> {
    pub(crate) decision: &'a Decision,
    pub(crate) memory: Reading<relay_control::Memory>,
    /// How badly tasks wait for memory.
    pub(crate) stall: Level,
    pub(crate) delivered_bytes: u64,
    pub(crate) ledger_used_bytes: u64,
    pub(crate) live_bytes: Option<u64>,
}

impl Actuators {
    pub(crate) fn new(
        errors: ErrorBus,
        intake: Intake,
        pools: PoolTable,
        pace: Arc<Pace>,
        enforces: bool,
    ) -> Self {
        Self {
            errors,
            defence: Component::monitor("defence"),
            memory: Component::monitor("memory"),
            intake,
            pools,
            pace,
            history: GovernorHistory::default(),
            defences: Defences::default(),
            latched: false,
            told_factor: 1.0,
            seen: (0.0, None),
            enforces,
        }
    }

    /// Takes the readings and asks the arbiter. Whether memory that is not in use should be given back comes with it.
    pub(crate) fn plan(
        &mut self,
        settings: &mut Settings,
        situation: &Situation<'_>,
        queues: &[Watch],
        tick: &Tick,
    ) -> (Plan, bool) {
        self.history.count(&situation.decision.governor, tick.since);
        let pressure = slow_pressure(settings, situation);
        let arbiter = &mut settings.arbiter;
        // New settings bring a new arbiter, which knows of no defence that its predecessor engaged.
        if self.defences.any() && !arbiter.is_defending() {
            self.defences.release_all();
        }
        if let Some(pressure) = pressure {
            arbiter.note_memory(pressure, tick.since);
        }
        let mut fullest = 0.0_f64;
        for (index, watch) in queues.iter().enumerate() {
            let reading = watch.reading();
            // One that may be shed and is stuck harms nobody else.
            if reading.is_reliable {
                fullest = fullest.max(reading.occupancy);
            }
            if reading.held_back {
                arbiter.note_back_pressure(tick.since);
            }
            arbiter.note_subscription(index, watch.sizer.load(reading.occupancy), tick.since);
        }
        self.pools.read(arbiter, pressure, queues, tick);
        let plan = arbiter.step(tick.since);
        self.defences.take(&plan);
        self.seen = (fullest, pressure);
        let latched = self.watch_latch(settings, situation, pressure, tick);
        let purge = latched || plan.actions().contains(&Action::Purge);
        (plan, purge)
    }

    /// Where the knobs of the data path should stand, given what the laws say and which defences are engaged.
    pub(crate) fn orders(&mut self, decision: &Decision) -> Orders {
        self.defences.orders(decision)
    }

    /// Whether defensive mode is on.
    pub(crate) fn is_defending(&self) -> bool {
        self.defences.any()
    }

    /// Carries out `plan`, in order, and says what moved.
    pub(crate) fn carry_out(
        &mut self,
        plan: &Plan,
        settings: &mut Settings,
        decision: &Decision,
        (bus, queues): (&Bus, &mut [Watch]),
        tick: &Tick,
    ) {
        self.tell_mode(plan, decision, tick);
        for action in plan.actions() {
            match *action {
                Action::Engage(step) => {
                    self.tell_step(step, "on", tick);
                    self.engage(step, queues, tick);
                }
                Action::Release(step) => self.tell_step(step, "off", tick),
                Action::Grow { subscription } | Action::Shrink { subscription } => {
                    if let Some(watch) = queues.get_mut(subscription) {
                        let share = decision.ledger_bytes;
                        watch.resize(decision.pressure, share, tick, &self.errors);
                    }
                }
                Action::Throttle => {
                    settings.throttle.raise(tick.since);
                }
                Action::ScaleUp { pool } | Action::ScaleDown { pool } => {
                    self.pools.scale(pool, tick, &self.errors, self.enforces);
                }
                // Asked of the reclaimer when the plan was made.
                Action::Purge => {}
            }
        }
        self.restore(queues, tick);
        if self.enforces {
            for watch in queues.iter_mut() {
                watch.enforce(bus);
            }
        }
        self.set_pace(settings, decision, tick);
    }

    fn engage(&mut self, step: Defence, queues: &mut [Watch], tick: &Tick) {
        match step {
            Defence::Buffers => {
                for watch in queues {
                    watch.shrink(tick, &self.errors);
                }
            }
            Defence::Pools => self.pools.defend(tick, &self.errors, self.enforces),
            // Both are orders to the data path, see `Defences::orders`.
            Defence::Overflow | Defence::Ingest => {}
        }
    }

    /// By state and not by the action of a plan, so that a tick that could not look at the queues loses nothing.
    fn restore(&mut self, queues: &mut [Watch], tick: &Tick) {
        if !self.defences.is_on(Defence::Pools) {
            self.pools.restore(tick, &self.errors, self.enforces);
        }
        if !self.defences.is_on(Defence::Buffers) {
            for watch in queues {
                watch.restore(tick, &self.errors);
            }
        }
    }

    fn set_pace(&mut self, settings: &mut Settings, decision: &Decision, tick: &Tick) {
        let (fullest, pressure) = self.seen;
        let factor = settings.throttle.step(fullest, pressure, tick.since);
        if self.enforces {
            self.pace.set(settings.throttle.share(decision.scale));
        }
        let ends = factor == 1.0 || self.told_factor == 1.0;
        if factor != self.told_factor && (ends || doubled(self.told_factor, factor)) {
            let signal = if factor > self.told_factor {
                Signal::Throttle
            } else {
                Signal::Recovered
            };
            let event = ErrorEvent::new(Code::PublishPace, Severity::Info, self.defence.clone());
            self.errors.publish(
                event
                    .signal(signal)
                    .with("from", self.told_factor)
                    .with("to", factor)
                    .with("decision", tick.number),
            );
            self.told_factor = factor;
        }
    }

    fn watch_latch(
        &mut self,
        settings: &mut Settings,
        situation: &Situation<'_>,
        pressure: Option<f64>,
        tick: &Tick,
    ) -> bool {
        let input = self.intake.look(situation, pressure, tick.now);
        let latched = settings.latch_up.step(&input, tick.since) == LatchUpState::Latched;
        let begins = latched && !self.latched;
        self.latched = latched;
        if begins {
            let event = ErrorEvent::new(Code::LatchUp, Severity::Warning, self.memory.clone());
            self.errors.publish(
                event
                    .with("admitted_share", input.admitted_share.unwrap_or(0.0))
                    .with("live_share", input.live_share.unwrap_or(0.0))
                    .with("pressure", pressure.unwrap_or(0.0))
                    .with("decision", tick.number),
            );
        }
        begins
    }

    fn tell_mode(&self, plan: &Plan, decision: &Decision, tick: &Tick) {
        let event = match plan.actions().first() {
            // Further steps in the midst of it have no purge.
            Some(Action::Engage(_)) if plan.actions().contains(&Action::Purge) => {
                let event = self.mode(Severity::Warning).signal(Signal::Degraded);
                event.with("mode", "entered")
            }
            Some(Action::Purge) => {
                let event = self.mode(Severity::Info).signal(Signal::Recovered);
                event.with("mode", "left")
            }
            _ => return,
        };
        self.errors.publish(
            event
                .with("pressure", decision.pressure.unwrap_or(0.0))
                .with("decision", tick.number),
        );
    }

    fn tell_step(&self, step: Defence, turned: &'static str, tick: &Tick) {
        self.errors.publish(
            self.mode(Severity::Debug)
                .with("step", step.as_str())
                .with("turned", turned)
                .with("decision", tick.number),
        );
    }

    fn mode(&self, severity: Severity) -> ErrorEvent {
        ErrorEvent::new(Code::DefensiveMode, severity, self.defence.clone())
    }
}

/// The pressure that the slow laws go by: none without a limit, unknown while the sensor is silent. A stall that lasts is
/// reason enough for nothing to grow.
fn slow_pressure(settings: &Settings, situation: &Situation<'_>) -> Option<f64> {
    let pressure = match situation.memory {
        Reading::Known(memory) => memory.pressure(),
        Reading::NoLimit => 0.0,
        Reading::Unknown => return None,
    };
    let stalled = situation.stall > Level::Normal;
    Some(if stalled {
        pressure.max(settings.growth_below)
    } else {
        pressure
    })
}

/// Or halved.
fn doubled(from: f64, to: f64) -> bool {
    to >= 2.0 * from || from >= 2.0 * to
}

#[cfg(test)]
mod tests;
