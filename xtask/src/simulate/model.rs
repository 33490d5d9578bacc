//! The node: sources, gate, queue, consumer, allocator and kernel, in steps of virtual time.
//!
//! Pessimistic where it can be: sources do not slow down when they are refused, an admitted byte is resident at once,
//! and between two looks of the pulse nothing but the gate's own rules holds anything back.

use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use relay_control::{CLASSES, DropSpread, Ewma, Red};

use super::arrival::Arrival;
use super::gate::Gate;
use super::memory::Memory;
use super::outcome::{Course, Outcome};
use super::pulse::{Pulse, Sensed};
use super::queue::Queue;
use super::scenario::Scenario;
use super::variant::Variant;

/// One step of virtual time: what arrives, what is delivered, and what the kernel does about it.
pub(super) const STEP: Duration = Duration::from_millis(2);

/// More events of a class in a step are dropped by their expected share and not one by one.
const EVENTS_ONE_BY_ONE: u64 = 64;

/// By how much the consumer is quicker or slower in a step, at most.
const SERVICE_NOISE: f64 = 0.2;

const FILL_TIME_CONSTANT: Duration = Duration::from_millis(100);

/// Everything that was sent, by its fate. Bytes, by class.
#[derive(Debug, Default, Clone)]
pub(super) struct Books {
    pub(super) offered: [f64; CLASSES],
    pub(super) refused: [f64; CLASSES],
    /// Admitted and then dropped early.
    pub(super) dropped: [f64; CLASSES],
    pub(super) delivered: [f64; CLASSES],
    pub(super) inversions: u64,
}

struct Node<'a> {
    scenario: &'a Scenario,
    load: f64,
    rng: Rng,
    sources: Vec<Arrival>,
    gate: Gate,
    early: Option<Early>,
    queue: Queue,
    memory: Memory,
    pulse: Pulse,
    /// What the consumer could have taken since it last took something.
    served: f64,
    books: Books,
}

/// Early drop at the queue.
struct Early {
    red: Red,
    spread: DropSpread,
    fill: Ewma,
}

/// Runs one case of a scenario under a variant. The same seed gives the same run.
pub(super) fn run(scenario: &Scenario, load: f64, variant: &Variant, seed: u64) -> Result<Outcome> {
    let mut node = Node::new(scenario, load, variant, seed)?;
    let mut course = Course::new(scenario, load);
    let steps = (scenario.length().as_nanos() / STEP.as_nanos()) as u32;
    for step in 0..steps {
        let now = STEP * step;
        if !node.step(now, &mut course) {
            break;
        }
    }
    Ok(course.end(&node.books, &node.pulse, node.queue.bytes()))
}

// === impl Node ===

impl<'a> Node<'a> {
    fn new(scenario: &'a Scenario, load: f64, variant: &Variant, seed: u64) -> Result<Self> {
        let mut rng = Rng::with_seed(seed);
        let sources = scenario.sources.iter();
        let early = variant.red.map(|config| Early::new(&config)).transpose();
        Ok(Self {
            scenario,
            load,
            sources: sources
                .map(|source| Arrival::new(source.clone(), &mut rng))
                .collect(),
            gate: Gate::new(variant.gate),
            early: early.context("early drop")?,
            queue: Queue::default(),
            memory: Memory::new(scenario.base.0 as f64, scenario.keeps),
            pulse: Pulse::new(variant).context("control")?,
            served: 0.0,
            books: Books::default(),
            rng,
        })
    }

    /// One step; `false` when the kernel has killed the process.
    fn step(&mut self, now: Duration, course: &mut Course) -> bool {
        let limit = self.scenario.limit_bytes(now);
        let neighbour = self.scenario.neighbour_bytes(now);
        if self.pulse.is_due(now, limit) {
            self.look(now, limit, neighbour);
        }
        let (offered, admitted) = self.arrive(now, limit);
        let delivered = self.deliver(now);
        let resident = self.memory.resident_bytes() + neighbour;
        course.note(
            now,
            offered,
            admitted,
            delivered,
            resident / limit,
            self.pulse.level(),
        );
        resident <= limit
    }

    fn look(&mut self, now: Duration, limit: f64, neighbour: f64) {
        let sensed = Sensed {
            resident_bytes: self.memory.resident_bytes() + neighbour,
            live_bytes: self.scenario.live_known.then(|| self.memory.live_bytes()),
            limit_bytes: limit,
            blind: self.scenario.is_blind(now),
            queued_bytes: self.queue.bytes(),
            queued_events: self.queue.events(),
            delivered_bytes: self.books.delivered.iter().sum(),
        };
        if self.pulse.tick(now, &sensed, &mut self.gate) {
            self.memory.purge(self.scenario.purge_returns);
        }
    }

    /// Bytes offered and admitted.
    fn arrive(&mut self, now: Duration, limit: f64) -> (f64, f64) {
        let share = self
            .pulse
            .slow
            .as_ref()
            .map_or(1.0, super::slow::Slow::share);
        let capacity = self.scenario.capacity.0 as f64;
        let load = self.scenario.load(self.load, now) * capacity * STEP.as_secs_f64() * share;
        let first = self.rng.usize(..self.sources.len());
        let (mut offered, mut admitted) = (0.0, 0.0);
        for index in 0..self.sources.len() {
            let source = (first + index) % self.sources.len();
            let (events, size) = self.sources[source].draw(load, now, &mut self.rng);
            if events == 0 {
                continue;
            }
            let class = self.sources[source].class();
            let queued = (self.queue.events(), self.queue.bytes());
            let chance = self.rng.f64();
            let verdict = self.gate.admit((events, size), class, queued, now, chance);
            let kept = self.drop_early(verdict.admitted, class, limit, now);
            self.queue.push(class, kept, size);
            let bytes = |events: u64| events as f64 * size;
            let class = usize::from(class);
            self.books.offered[class] += bytes(events);
            self.books.refused[class] += bytes(events - verdict.admitted);
            self.books.dropped[class] += bytes(verdict.admitted - kept);
            self.books.inversions += u64::from(verdict.inverted);
            let (cost, queued) = (self.scenario.cost, self.queue.events());
            self.pulse.note(bytes(events), bytes(kept), cost, queued);
            offered += bytes(events);
            admitted += bytes(kept);
        }
        (offered, admitted)
    }

    /// How many of the admitted ones are left.
    fn drop_early(&mut self, events: u64, class: u8, limit: f64, now: Duration) -> u64 {
        let Some(early) = &mut self.early else {
            return events;
        };
        // Without a ledger the queue is full when memory is.
        let room = (limit - self.scenario.base.0 as f64) / self.scenario.cost;
        early.keep(
            events,
            class,
            self.queue.bytes() / room.min(self.gate.ledger_bytes),
            now,
            &mut self.rng,
        )
    }

    fn deliver(&mut self, now: Duration) -> f64 {
        let noise = 1.0 + SERVICE_NOISE * (2.0 * self.rng.f64() - 1.0);
        let capacity = self.scenario.capacity.0 as f64 * self.scenario.service(now);
        let before: f64 = self.books.delivered.iter().sum();
        self.served += capacity * noise * STEP.as_secs_f64();
        if (now + STEP).as_nanos() % self.scenario.lumps.as_nanos().max(1) < STEP.as_nanos() {
            let bytes = std::mem::take(&mut self.served);
            self.queue.deliver(bytes, &mut self.books.delivered);
        }
        self.pulse.note(0.0, 0.0, 0.0, self.queue.events());
        let live = self.scenario.base.0 as f64 + self.scenario.cost * self.queue.bytes();
        self.memory.set_live(live, now);
        self.books.delivered.iter().sum::<f64>() - before
    }
}

// === impl Early ===

impl Early {
    fn new(
        config: &impl Fn() -> relay_control::RedConfig,
    ) -> Result<Self, relay_control::InvalidConfig> {
        Ok(Self {
            red: Red::try_new(config())?,
            spread: DropSpread::default(),
            fill: Ewma::try_new(FILL_TIME_CONSTANT)?,
        })
    }

    fn keep(&mut self, events: u64, class: u8, fill: f64, now: Duration, rng: &mut Rng) -> u64 {
        self.fill.update(fill, now);
        let class = usize::from(class);
        let p = self
            .red
            .probability_for(self.fill.value().unwrap_or(0.0), class);
        if events > EVENTS_ONE_BY_ONE {
            return events - ((events as f64 * p + rng.f64()) as u64).min(events);
        }
        let kept = (0..events).filter(|_| !self.spread.drops(p, class, rng.f64()));
        kept.count() as u64
    }
}

// === impl Books ===

impl Books {
    /// Bytes that have come in and gone nowhere, as a share of what came in.
    pub(super) fn unaccounted(&self, queued: f64) -> f64 {
        let sum = |by_class: &[f64; CLASSES]| by_class.iter().sum::<f64>();
        let fates = sum(&self.refused) + sum(&self.dropped) + sum(&self.delivered) + queued;
        (sum(&self.offered) - fates).abs() / sum(&self.offered).max(1.0)
    }

    /// Delivered ÷ offered, by class; `None` where nothing was offered.
    pub(super) fn passed(&self) -> [Option<f64>; CLASSES] {
        std::array::from_fn(|class| {
            (self.offered[class] > 0.0).then(|| self.delivered[class] / self.offered[class])
        })
    }
}
