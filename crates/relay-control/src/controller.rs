//! The controller: one pure step that joins the laws.
//!
//! ```text
//!            ┌─ ladder ────▶ level ─▶ floor, shed, shutdown
//!  memory ───┼─ slope ──┐
//!            ├─ aimd ───┼──▶ governor ──▶ scale
//!            └─ ledger ─┤──▶ ledger_bytes, cost_factor
//!  delivered, backlog ──┴─ drain matching ─▶ rate
//! ```
//!
//! **How they combine.**
//!
//! | law | rate | scale |
//! |---|---|---|
//! | `drain` | drain × gain while there is a backlog and the drain is known; room ÷ 1 s while it is not; else unbounded | 1; the governor's while the drain is unknown, or from the error level's pressure on |
//! | `aimd` | nominal, once the governor is not at rest | the governor's |
//! | `none` | unbounded | 1 |
//!
//! - *Nominal* is configured, or else the last drain that was measured under load. Where neither is
//!   known there is no rate to scale, and ledger and ladder are what bounds admission.
//! - A backlog whose drain is not known yet is let grow so fast that what is free would last a second at any moment, or
//!   as fast as has been delivered so far: a step to twenty times the load meets a limit at the first look, and what is
//!   committed before the drain is known stays a fifth of the room.
//! - While the drain is not yet known but memory will reach the setpoint within the look-ahead, the
//!   provisional drain of the first intervals is used: a burst may come faster than knowledge.
//! - Above the setpoint with next to nothing queued, memory is held by something else (an allocator
//!   keeping pages, a neighbour): admitting less than the drain would free nothing, so the drain is
//!   admitted, and up to a quarter more the emptier the queue: with exactly the drain, an estimate
//!   from a slow spell would confirm itself. From the error level's pressure on this leniency ends, unless live bytes say
//!   that what was queued has been freed: then it goes on below critical, where neither a level that
//!   is merely held by its hysteresis refuses a class nor the governor acts. It needs memory that
//!   does not rise.
//! - A silent sensor shows what it showed last until the timeout. After it: scale × 0.5, ledger ×
//!   0.5, the lowest class refused, the rate at most the drain.
//! - A stall that lasts (see [`Controller::note_stall`]) is a second opinion: from its level error on the lowest class is
//!   refused and the governor is degraded, whatever memory says. It moves neither level nor ledger.
//! - Ordinary overload rests at the setpoint and so at level normal. Above it the floors refuse
//!   classes: low from error, normal from critical, high from emergency.

mod admission;

use std::time::Duration;

use crate::{
    aimd::Aimd,
    config::ControlConfig,
    cost::{Ledger, meaningful_bytes},
    decision::{Decision, Input, Law},
    drain_match::DrainMatch,
    drain_meter::DrainMeter,
    error::InvalidConfig,
    ladder::Ladder,
    level::Level,
    memory::{Memory, Reading},
    slope::{self, Slope},
};

/// What is left of scale and ledger while the sensor is not to be trusted.
const STALE_SHARE: f64 = 0.5;

/// Memory that rises faster than this, in limits a second, is not merely kept: at this rate the
/// room between error and critical lasts five seconds.
const KEPT_RISE_PER_SECOND: f64 = 0.01;

/// All laws and their state. Stepping it neither allocates nor blocks.
///
/// Time is an argument: a `Duration` since any fixed epoch, never going backwards (a step back is
/// taken for no time at all). Steps may be as uneven as the pulse is.
///
/// ```
/// use relay_control::{ControlConfig, Controller, Input, Level, Memory, Reading};
/// use std::time::Duration;
///
/// let mut controller = Controller::try_new(ControlConfig::default())?;
/// let input = Input {
///     memory: Reading::Known(Memory {
///         unreclaimable_bytes: 86 << 20,
///         limit_bytes: 100 << 20,
///         soft_limit_bytes: None,
///     }),
///     ledger_used_bytes: 40 << 20,
///     live_bytes: None,
///     delivered_bytes: 0,
///     backlog: true,
/// };
/// let decision = controller.step(&input, Duration::from_millis(50));
/// assert_eq!(decision.level, Level::Error);
/// assert_eq!(decision.floor, 1, "low priority is refused");
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct Controller {
    config: ControlConfig,
    ladder: Ladder,
    aimd: Aimd,
    drain_match: DrainMatch,
    drain_meter: DrainMeter,
    ledger: Ledger,
    slope: Slope,
    memory: Reading<Memory>,
    answered_at: Option<Duration>,
    emergency_since: Option<Duration>,
    shed: bool,
    kept: bool,
    stalled: bool,
}

// === impl Controller ===

impl Controller {
    /// A controller at rest.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for the first field that its law or its neighbours refuse: besides each
    /// law's own rules, `drain.setpoint < aimd.enter`, `drain.setpoint + drain.band <
    /// ladder.error`, a nominal rate of 0, and a sensor timeout of zero.
    pub fn try_new(config: ControlConfig) -> Result<Self, InvalidConfig> {
        let controller = Self {
            ladder: Ladder::try_new(config.ladder.clone())?,
            aimd: Aimd::try_new(config.aimd.clone())?,
            drain_match: DrainMatch::try_new(config.drain.clone())?,
            drain_meter: DrainMeter::new(config.drain.time_constant, config.drain.expiry),
            ledger: Ledger::try_new(config.ledger.clone())?,
            slope: Slope::new(slope::SHORT),
            memory: Reading::Unknown,
            answered_at: None,
            emergency_since: None,
            shed: false,
            kept: false,
            stalled: false,
            config,
        };
        controller.config.check_neighbours()?;
        Ok(controller)
    }

    /// How badly tasks wait for memory as of the steps that follow, see [`PressureAlarm`](crate::PressureAlarm);
    /// [`Level::Normal`] when they do not, or when nobody knows.
    ///
    /// ```
    /// use relay_control::{ControlConfig, Controller, GovernorState, Input, Level, Memory, Reading};
    /// use std::time::Duration;
    ///
    /// let mut controller = Controller::try_new(ControlConfig::default())?;
    /// let memory = Memory { unreclaimable_bytes: 30 << 20, limit_bytes: 100 << 20, soft_limit_bytes: None };
    /// let input = Input {
    ///     memory: Reading::Known(memory),
    ///     ledger_used_bytes: 0,
    ///     live_bytes: None,
    ///     delivered_bytes: 0,
    ///     backlog: false,
    /// };
    /// controller.note_stall(Level::Error);
    /// let decision = controller.step(&input, Duration::from_secs(1));
    /// assert_eq!((decision.level, decision.floor), (Level::Normal, 1));
    /// assert_eq!(decision.governor.state, GovernorState::Degraded);
    /// # Ok::<(), relay_control::InvalidConfig>(())
    /// ```
    pub fn note_stall(&mut self, level: Level) {
        self.stalled = level >= Level::Error;
    }

    /// Takes one sample at `now` and says where every knob should stand.
    pub fn step(&mut self, input: &Input, now: Duration) -> Decision {
        let previous_level = self.ladder.level();
        self.drain_meter
            .update(input.delivered_bytes, input.backlog, now);
        self.observe(input, now);
        let sensor_stale = self.is_stale(now);
        let level = self.ladder.level();
        self.shed = level >= Level::Critical || (self.shed && level >= Level::Error);
        let admission = self.admission(input, sensor_stale, now);
        let distrust = if sensor_stale { STALE_SHARE } else { 1.0 };
        self.kept = self.is_kept_by_allocator(input);
        let lenient = level < Level::Emergency && self.kept;
        let floor = if lenient { 0 } else { floor(level) };
        Decision {
            level,
            previous_level,
            pressure: match input.memory {
                Reading::Known(memory) => Some(memory.pressure()),
                Reading::Unknown | Reading::NoLimit => None,
            },
            rate_bytes_per_second: admission.rate_bytes_per_second,
            drain_bytes_per_second: self.drain_meter.known(),
            lasting_drain_bytes_per_second: self.drain_meter.lasting(),
            scale: admission.scale * distrust,
            lowest_scale: admission.lowest_scale * distrust,
            governor: self.aimd.governor(),
            ledger_bytes: (self.ledger.bytes() as f64 * distrust) as u64,
            cost_factor: self.ledger.cost_factor(),
            floor: floor.max(u8::from(sensor_stale || self.stalled)),
            shed: self.shed,
            shutdown: self.is_sustained_emergency(now),
            learning: self.config.law == Law::Drain && self.drain_meter.is_learning(now),
            reason: admission.reason,
            sensor_stale,
        }
    }

    fn observe(&mut self, input: &Input, now: Duration) {
        let answered_at = self.answered_at.get_or_insert(now);
        match input.memory {
            Reading::Unknown => {
                self.slope.reset();
                return;
            }
            Reading::NoLimit => {
                self.slope.reset();
                self.ladder.release();
                self.ledger.release();
                self.aimd.step(0.0, now);
                self.emergency_since = None;
            }
            Reading::Known(memory) => {
                let pressure = memory.pressure();
                self.slope.update(pressure, now);
                self.ladder.step(&memory);
                self.ledger.step(&memory, input.ledger_used_bytes, now);
                let live = live_share(input, &memory).filter(|_| !self.stalled);
                let least = [0.0, self.config.aimd.enter][usize::from(self.stalled)];
                self.aimd.step_with_live(pressure.max(least), live, now);
                let emergency = self.ladder.is_emergency(&memory);
                self.emergency_since = emergency.then(|| self.emergency_since.unwrap_or(now));
            }
        }
        *answered_at = now;
        self.memory = input.memory;
    }

    fn is_stale(&self, now: Duration) -> bool {
        self.answered_at
            .is_some_and(|at| now.saturating_sub(at) > self.config.sensor_timeout)
    }

    fn is_sustained_emergency(&self, now: Duration) -> bool {
        self.emergency_since
            .is_some_and(|since| now.saturating_sub(since) >= self.config.emergency_sustain)
    }

    /// Memory is high only because freed pages are kept: hardly anything is queued or live, and it
    /// does not rise. Ends at critical, where a mistake would leave too little room, and with twice
    /// the queue with which it began, so that a batch more or less does not make it flicker.
    fn is_kept_by_allocator(&self, input: &Input) -> bool {
        let Reading::Known(memory) = self.memory else {
            return false;
        };
        let small_bytes = meaningful_bytes(memory.steering_limit_bytes());
        let queued_max = if self.kept {
            2 * small_bytes
        } else {
            small_bytes
        };
        let freed = live_share(input, &memory).is_some_and(|live| live < self.config.aimd.exit);
        let rises = self.slope.rise_per_second() > KEPT_RISE_PER_SECOND;
        let queue_small = input.ledger_used_bytes < queued_max;
        queue_small && freed && !rises && memory.pressure() < self.config.ladder.critical
    }
}

/// Live bytes as a share of the limit that pressure refers to.
fn live_share(input: &Input, memory: &Memory) -> Option<f64> {
    let limit_bytes = memory.steering_limit_bytes().max(1);
    input
        .live_bytes
        .map(|live| live as f64 / limit_bytes as f64)
}

/// The lowest priority class that a level admits.
fn floor(level: Level) -> u8 {
    match level {
        Level::Normal | Level::Warning => 0,
        Level::Error => 1,
        Level::Critical => 2,
        Level::Emergency => 3,
    }
}

#[cfg(test)]
mod tests;
