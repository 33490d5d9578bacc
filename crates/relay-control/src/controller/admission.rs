//! At what rate to admit: what the laws say, joined.

use super::Controller;
use crate::{
    cost::meaningful_bytes,
    decision::{Input, Law, Reason},
    drain_match::Situation,
    memory::{Memory, Reading},
};
use std::time::Duration;

/// The room is not filled in less, however steep a step is, before it is known how fast the queue drains.
const UNKNOWN_ROOM_TIME: Duration = Duration::from_secs(1);

/// How much more than the drain an empty queue is offered, to see whether the consumer takes it.
const PROBE: f64 = 0.25;

/// What the gate is told, and why.
pub(super) struct Admission {
    pub(super) rate_bytes_per_second: Option<f64>,
    pub(super) scale: f64,
    pub(super) lowest_scale: f64,
    pub(super) reason: Reason,
}

// === impl Controller ===

impl Controller {
    pub(super) fn admission(&self, input: &Input, sensor_stale: bool, now: Duration) -> Admission {
        match (self.config.law, self.memory) {
            (Law::None, _) => Admission::unscaled(None, Reason::NoLaw),
            (_, Reading::NoLimit) if !sensor_stale => Admission::unscaled(None, Reason::NoLimit),
            (Law::Aimd, _) if sensor_stale => Admission {
                reason: Reason::SensorStale,
                ..self.governed()
            },
            (Law::Aimd, _) => self.governed(),
            (Law::Drain, _) if sensor_stale => {
                Admission::unscaled(self.drain_in_force(now), Reason::SensorStale)
            }
            (Law::Drain, Reading::Known(memory)) => self.drained(input, &memory, now),
            (Law::Drain, _) => Admission::unscaled(self.drain_in_force(now), Reason::DrainUnknown),
        }
    }

    fn governed(&self) -> Admission {
        let governor = self.aimd.governor();
        if governor.scale < 1.0 {
            Admission {
                rate_bytes_per_second: self.nominal(),
                scale: governor.scale,
                lowest_scale: governor.lowest_scale,
                reason: Reason::Governor,
            }
        } else {
            Admission::unscaled(self.configured_nominal(), Reason::GovernorAtRest)
        }
    }

    fn drained(&self, input: &Input, memory: &Memory, now: Duration) -> Admission {
        let pressure = memory.pressure();
        let rise = self.slope.rise_per_second();
        let near_setpoint = self.drain_match.reaches_setpoint(pressure, rise);
        let provisional = || self.drain_meter.provisional().filter(|_| near_setpoint);
        let drain = self.drain_meter.known().or_else(provisional);
        let admission = match drain {
            None if self.drain_meter.in_force(now) => self.guessed(input, memory),
            None => Admission::unscaled(None, Reason::DrainUnknown),
            Some(_) if !self.drain_meter.in_force(now) => {
                Admission::unscaled(None, Reason::NoBacklog)
            }
            Some(drain) => self.matched(drain, input, memory),
        };
        let overrun = pressure >= self.config.ladder.error && !self.kept;
        let governor = self.aimd.governor();
        if governor.scale == 1.0 || (drain.is_some() && !overrun) {
            return admission;
        }
        let rate = admission.rate_bytes_per_second.or_else(|| self.nominal());
        Admission {
            rate_bytes_per_second: rate,
            scale: governor.scale,
            lowest_scale: governor.lowest_scale,
            reason: Reason::Governor,
        }
    }

    /// What may come in while nobody knows what goes out.
    fn guessed(&self, input: &Input, memory: &Memory) -> Admission {
        let delivered = self.drain_meter.provisional().unwrap_or(0.0);
        let situation = self.situation(delivered, input, memory);
        let matched = self.drain_match.rate_bytes_per_second(&situation);
        let room = self.drain_match.room_bytes(&situation) / UNKNOWN_ROOM_TIME.as_secs_f64();
        Admission::unscaled(Some(matched.max(room)), Reason::DrainUnknown)
    }

    fn situation(&self, drain: f64, input: &Input, memory: &Memory) -> Situation {
        Situation {
            drain_bytes_per_second: drain,
            pressure: memory.pressure(),
            rise_per_second: self.slope.rise_per_second(),
            limit_bytes: memory.steering_limit_bytes(),
            cost_factor: self.ledger.cost_factor(),
            ledger_used_bytes: input.ledger_used_bytes,
            ledger_bytes: self.ledger.bytes(),
        }
    }

    fn matched(&self, drain: f64, input: &Input, memory: &Memory) -> Admission {
        let situation = self.situation(drain, input, memory);
        let rate = self.drain_match.rate_bytes_per_second(&situation);
        if rate >= drain {
            return Admission::unscaled(Some(rate), Reason::BelowSetpoint);
        }
        let small_bytes = meaningful_bytes(situation.limit_bytes);
        let unused = 1.0 - input.ledger_used_bytes as f64 / small_bytes as f64;
        let calm = situation.pressure < self.config.ladder.error;
        if calm && unused > 0.0 {
            Admission::unscaled(Some(drain * (1.0 + PROBE * unused)), Reason::QueueSmall)
        } else if self.kept {
            // Near critical there is no room to find out in.
            Admission::unscaled(Some(drain), Reason::QueueSmall)
        } else {
            Admission::unscaled(Some(rate), Reason::AboveSetpoint)
        }
    }

    fn drain_in_force(&self, now: Duration) -> Option<f64> {
        self.drain_meter
            .known()
            .filter(|_| self.drain_meter.in_force(now))
    }

    fn nominal(&self) -> Option<f64> {
        self.configured_nominal()
            .or_else(|| self.drain_meter.last_known())
    }

    fn configured_nominal(&self) -> Option<f64> {
        self.config.nominal_bytes_per_second.map(|rate| rate as f64)
    }
}

// === impl Admission ===

impl Admission {
    const fn unscaled(rate_bytes_per_second: Option<f64>, reason: Reason) -> Self {
        Self {
            rate_bytes_per_second,
            scale: 1.0,
            lowest_scale: 1.0,
            reason,
        }
    }
}
