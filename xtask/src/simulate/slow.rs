//! The slow actuators of a node: a queue bound in events and publishers that can wait, under the arbiter.

use std::time::Duration;

use relay_control::{
    Action, Arbiter, ArbiterConfig, BufferConfig, BufferInput, BufferSize, Decision, InvalidConfig,
    LoadReading, Throttle, ThrottleConfig,
};

use super::pulse::Sensed;
use super::variant::Buffers;

/// One subscription and its publishers.
#[derive(Debug)]
pub(super) struct Slow {
    arbiter: Arbiter,
    buffer: BufferSize,
    throttle: Option<Throttle>,
    resize: bool,
}

impl Slow {
    pub(super) fn new(buffers: Buffers) -> Result<Self, InvalidConfig> {
        let config = BufferConfig {
            start: buffers.start,
            max: buffers.max,
            ..BufferConfig::default()
        };
        let throttle = Throttle::try_new(ThrottleConfig::default())?;
        Ok(Self {
            arbiter: Arbiter::try_new(ArbiterConfig::default())?,
            buffer: BufferSize::try_new(config)?,
            throttle: buffers.throttle.then_some(throttle),
            resize: buffers.resize,
        })
    }

    /// Events that may be queued.
    pub(super) fn events(&self) -> usize {
        self.buffer.events()
    }

    /// What publishers send of what they would like to.
    pub(super) fn share(&self) -> f64 {
        self.throttle
            .as_ref()
            .map_or(1.0, |throttle| throttle.share(1.0))
    }

    /// One look. Answers how many steps the arbiter asked for.
    pub(super) fn step(
        &mut self,
        pressure: Option<f64>,
        sensed: &Sensed,
        decision: &Decision,
        now: Duration,
    ) -> u32 {
        let fill = sensed.queued_events as f64 / self.buffer.events() as f64;
        let input = BufferInput {
            fill,
            pressure,
            event_bytes: (sensed.queued_events > 0)
                .then(|| sensed.queued_bytes / sensed.queued_events as f64),
            share_bytes: decision.ledger_bytes,
        };
        if let Some(throttle) = &mut self.throttle {
            throttle.step(fill, pressure, now);
        }
        if let Some(pressure) = pressure {
            self.arbiter.note_memory(pressure, now);
        }
        let reading = LoadReading {
            load: fill,
            can_grow: self.resize && self.buffer.can_grow(),
            can_shrink: self.resize && self.buffer.can_shrink(),
        };
        self.arbiter.note_subscription(0, reading, now);
        let plan = self.arbiter.step(now);
        for action in plan.actions() {
            match action {
                Action::Grow { .. } | Action::Shrink { .. } | Action::Engage(_) if self.resize => {
                    self.buffer.step(&input);
                }
                Action::Throttle => {
                    if let Some(throttle) = &mut self.throttle {
                        throttle.raise(now);
                    }
                }
                _ => {}
            }
        }
        plan.actions().len() as u32
    }
}
