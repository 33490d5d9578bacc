//! The controlling side of the model: looks at memory, steps the real laws, turns the gate's knobs.

use std::time::Duration;

use relay_control::{
    Controller, Decision, Forecast, ForecastConfig, Headroom, Input, InvalidConfig, LatchUp,
    LatchUpConfig, LatchUpInput, LatchUpState, Level, Memory, Pace, PaceConfig, PaceInput, Reading,
};

use super::gate::Gate;
use super::slow::Slow;
use super::variant::{Gate as Kind, Pulse as Period, Variant};

/// In how many parts of the limit allocation is divided, each of which wakes a paced pulse.
const BYTE_CLOCK_PARTS: f64 = 64.0;

/// What a look at the node sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sensed {
    pub(super) resident_bytes: f64,
    pub(super) live_bytes: Option<f64>,
    pub(super) limit_bytes: f64,
    /// The sensor does not answer.
    pub(super) blind: bool,
    pub(super) queued_bytes: f64,
    pub(super) queued_events: u64,
    pub(super) delivered_bytes: f64,
}

/// What has happened since the last look.
#[derive(Debug, Default)]
struct Since {
    allocated_bytes: f64,
    offered_bytes: f64,
    admitted_bytes: f64,
    moved: bool,
    emptied: bool,
}

/// Counts of what was done.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Actions {
    /// Changes of level, floor, scale, shedding and ledger size.
    pub(super) knobs: u64,
    pub(super) looks: u64,
    pub(super) latch_ups: u64,
    /// Steps of buffers, pools and publishers.
    pub(super) slow: u64,
}

/// The pulse of a node.
#[derive(Debug)]
pub(super) struct Pulse {
    controller: Controller,
    forecast: Forecast,
    pace: Pace,
    latch_up: LatchUp,
    period: Period,
    next: Duration,
    looked_at: Duration,
    since: Since,
    last: Option<Decision>,
    latch_state: LatchUpState,
    pub(super) slow: Option<Slow>,
    pub(super) actions: Actions,
    pub(super) shortest_wait: Duration,
}

impl Pulse {
    pub(super) fn new(variant: &Variant) -> Result<Self, InvalidConfig> {
        let pace = match &variant.pulse {
            Period::Paced(pace) => pace.clone(),
            Period::Every(period) => PaceConfig::with_usual(*period),
        };
        Ok(Self {
            controller: Controller::try_new(variant.config.clone())?,
            forecast: Forecast::try_new(ForecastConfig::default())?,
            pace: Pace::try_new(pace)?,
            latch_up: LatchUp::try_new(LatchUpConfig::default())?,
            period: variant.pulse.clone(),
            next: Duration::ZERO,
            looked_at: Duration::ZERO,
            since: Since::default(),
            last: None,
            latch_state: LatchUpState::Clear,
            slow: variant.buffers.map(Slow::new).transpose()?,
            actions: Actions::default(),
            shortest_wait: Duration::MAX,
        })
    }

    /// Takes note of one step of the node.
    pub(super) fn note(&mut self, offered_bytes: f64, admitted_bytes: f64, cost: f64, queued: u64) {
        self.since.offered_bytes += offered_bytes;
        self.since.admitted_bytes += admitted_bytes;
        self.since.allocated_bytes += admitted_bytes * cost;
        self.since.moved |= offered_bytes > 0.0 || queued > 0;
        self.since.emptied |= queued == 0;
        if self.since.moved {
            self.pace.wake();
        }
    }

    /// Is it time to look?
    pub(super) fn is_due(&self, now: Duration, limit_bytes: f64) -> bool {
        let by_bytes = matches!(self.period, Period::Paced(_))
            && self.since.allocated_bytes >= limit_bytes / BYTE_CLOCK_PARTS;
        now >= self.next || by_bytes
    }

    /// One look. Answers whether the allocator is to be purged.
    pub(super) fn tick(&mut self, now: Duration, sensed: &Sensed, gate: &mut Gate) -> bool {
        let since = std::mem::take(&mut self.since);
        let memory = Memory {
            unreclaimable_bytes: sensed.resident_bytes as u64,
            limit_bytes: sensed.limit_bytes as u64,
            soft_limit_bytes: None,
        };
        let input = Input {
            memory: if sensed.blind {
                Reading::Unknown
            } else {
                Reading::Known(memory)
            },
            ledger_used_bytes: sensed.queued_bytes as u64,
            live_bytes: sensed.live_bytes.map(|live| live as u64),
            delivered_bytes: sensed.delivered_bytes as u64,
            backlog: !since.emptied && sensed.queued_events > 0,
        };
        let decision = self.controller.step(&input, now);
        turn(gate, &decision, sensed);
        let moved = self.count(&decision);
        let pressure = (!sensed.blind).then(|| memory.pressure());
        if let Some(slow) = &mut self.slow {
            gate.events_max = Some(slow.events());
            let stepped = slow.step(pressure, sensed, &decision, now);
            self.actions.slow += u64::from(stepped);
        }
        let latched = self.is_newly_latched(&since, sensed, &decision, pressure, now);
        self.plan(&decision, sensed, moved || since.moved, now);
        let crossed =
            (decision.level >= Level::Critical) != (decision.previous_level >= Level::Critical);
        crossed || latched
    }

    pub(super) fn level(&self) -> Level {
        self.last.map_or(Level::Normal, |decision| decision.level)
    }

    fn plan(&mut self, decision: &Decision, sensed: &Sensed, moving: bool, now: Duration) {
        let headroom = Headroom {
            used_bytes: sensed.resident_bytes as u64,
            limit_bytes: sensed.limit_bytes as u64,
        };
        let outlook = if sensed.blind {
            self.forecast.lose()
        } else {
            self.forecast.step(&[headroom], now)
        };
        let input = PaceInput {
            level: decision.level,
            outlook,
            learning: decision.learning,
            moving,
        };
        let wait = match self.period {
            Period::Every(period) => period,
            Period::Paced(_) => self.pace.step(&input, now),
        };
        self.shortest_wait = self.shortest_wait.min(wait);
        self.next = now + wait;
        self.actions.looks += 1;
    }

    /// Counts what moved. A governor at its work moves the scale, everything else at once.
    fn count(&mut self, decision: &Decision) -> bool {
        let Some(last) = self.last.replace(*decision) else {
            return false;
        };
        let moved = [
            last.level != decision.level,
            last.floor != decision.floor,
            last.scale != decision.scale,
            last.shed != decision.shed,
            last.ledger_bytes != decision.ledger_bytes,
        ];
        let knobs = moved.into_iter().filter(|moved| *moved).count() as u64;
        self.actions.knobs += knobs;
        knobs > 0
    }

    fn is_newly_latched(
        &mut self,
        since: &Since,
        sensed: &Sensed,
        decision: &Decision,
        pressure: Option<f64>,
        now: Duration,
    ) -> bool {
        let elapsed = now.saturating_sub(self.looked_at).as_secs_f64();
        self.looked_at = now;
        let drained = decision.drain_bytes_per_second.map(|drain| drain * elapsed);
        let could = drained.map_or(since.offered_bytes, |bytes| bytes.min(since.offered_bytes));
        let seen = LatchUpInput {
            admitted_share: (could > 0.0).then(|| since.admitted_bytes / could),
            live_share: sensed.live_bytes.map(|live| live / sensed.limit_bytes),
            pressure,
        };
        let state = self.latch_up.step(&seen, now);
        let before = std::mem::replace(&mut self.latch_state, state);
        let newly = state == LatchUpState::Latched && before != LatchUpState::Latched;
        self.actions.latch_ups += u64::from(newly);
        newly
    }
}

fn turn(gate: &mut Gate, decision: &Decision, sensed: &Sensed) {
    match gate.kind {
        Kind::Open => {}
        Kind::Threshold(share) => gate.shut = sensed.resident_bytes >= share * sensed.limit_bytes,
        Kind::ShareOfOffered => gate.share = decision.governor.scale,
        Kind::RateOnly => gate.rate = decision.admitted_bytes_per_second(),
        Kind::Whole => {
            gate.rate = decision.admitted_bytes_per_second();
            gate.lowest = decision.lowest_scale / decision.scale;
            gate.floor = decision.floor;
            gate.ledger_bytes = decision.ledger_bytes as f64;
            gate.drain = decision.lasting_drain_bytes_per_second;
        }
    }
}
