//! The arbiter: which of the slow actuators moves next.
//!
//! **Problem.** Queue sizes, pools and publishers each have a law. If all of them moved when they
//! liked, nobody could tell which change did what, two would undo each other, and the first to act
//! on a shortage of memory would be the one that grows.
//!
//! **Law.** One change a loop, the most important first:
//!
//! ```text
//! 1 memory        pressure ≥ critical      defensive mode: buffers, pools, overflow, ingest, purge
//! 2 capacity      a queue fuller than `saturated`, or back-pressure:
//!                 pressure < growth_below   grow the fullest queue, else one more worker
//!                 otherwise                 throttle publishers
//! 3 optimisation  pressure < optimise_below and nothing saturated:
//!                 shrink the emptiest queue, else one worker less
//! ```
//!
//! - Each actuator waits for its cooldown in each direction; the first action of all waits for none.
//!   An optimisation also waits for the cooldown after the opposite change.
//! - Entering and leaving defensive mode wait for neither loop nor cooldown. Entering engages every
//!   defence in order, leaving (below `defence_exit`) releases them in reverse order, each once,
//!   with a purge at either end. In between, buffers and pools give one more step each loop as long
//!   as memory is critical.
//! - Readings expire. A queue that nobody has read for `expiry` is neither full nor empty; with
//!   memory unknown nothing grows, nothing is optimised, and defensive mode stays.
//! - The fullest queue counts, not the average: one that is full is not hidden by ten that are
//!   empty. The average decides whether queues or workers come first.
//!
//! | field | default | why |
//! |---|---|---|
//! | `interval` | 3 s | slower than the pulse, quicker than memory fills |
//! | `cooldown` | 30 s | actions an hour are bounded by 120 for each actuator and direction |
//! | `shrink_wait` | 5 min | a worker is not sent away for a pause |
//! | `actions_per_loop` | 1 | so that a change can be told by its effect |
//! | `expiry` | 10 s | three loops |
//! | `critical`, `defence_exit` | 0.90, 0.75 | |
//! | `growth_below`, `optimise_below` | 0.75, 0.50 | |
//! | `saturated`, `unused` | 0.7, 0.3 | as for the buffer sizer |
//!
//! **Source.** Rule-based supervisory control with fixed priorities and dead times, as in industrial
//! override control (Åström and Hägglund, *Advanced PID Control*, 2006, ch. 8 on selectors).

mod config;
mod plan;
mod table;

use std::time::Duration;

use self::table::{Cooldowns, Table};
pub use self::{
    config::ArbiterConfig,
    plan::{Action, Defence, Plan},
};
use crate::error::InvalidConfig;

/// Subscriptions that are told apart; more are not looked at.
pub const SUBSCRIPTIONS_MAX: usize = 64;
/// Pools that are told apart; more are not looked at.
pub const POOLS_MAX: usize = 16;

/// One reading of an actuator that has two directions: a queue and its fill, or a pool and its
/// utilisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadReading {
    /// Fill, or utilisation; 1 is full.
    pub load: f64,
    /// It is not at its maximum.
    pub can_grow: bool,
    /// It is not at its minimum.
    pub can_shrink: bool,
}

/// The law, the readings, and when it acted last. Nothing is allocated after it was made.
///
/// ```
/// use relay_control::{Action, Arbiter, ArbiterConfig, Defence, LoadReading};
/// use std::time::Duration;
///
/// let s = Duration::from_secs;
/// let mut arbiter = Arbiter::try_new(ArbiterConfig::default())?;
/// let full = LoadReading { load: 0.9, can_grow: true, can_shrink: true };
///
/// arbiter.note_memory(0.40, s(1));
/// arbiter.note_subscription(7, full, s(1));
/// assert_eq!(arbiter.step(s(1)).actions(), [Action::Grow { subscription: 7 }]);
///
/// arbiter.note_memory(0.92, s(2));
/// let plan = arbiter.step(s(2));
/// assert_eq!(plan.actions()[0], Action::Engage(Defence::Buffers), "no cooldown, no loop");
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct Arbiter {
    config: ArbiterConfig,
    memory: Option<(f64, Duration)>,
    back_pressure: Option<Duration>,
    subscriptions: Table<SUBSCRIPTIONS_MAX>,
    pools: Table<POOLS_MAX>,
    throttled_at: Option<Duration>,
    looped_at: Option<Duration>,
    defending: bool,
}

/// What a loop goes by.
#[derive(Debug, Clone, Copy)]
struct Situation {
    pressure: Option<f64>,
    back_pressure: bool,
    /// Fill of the fullest queue, and the average.
    highest: f64,
    mean: f64,
}

// === impl Arbiter ===

impl Arbiter {
    /// An arbiter that has read nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for the first field out of range, see [`ArbiterConfig`].
    pub fn try_new(config: ArbiterConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            memory: None,
            back_pressure: None,
            subscriptions: Table::new(),
            pools: Table::new(),
            throttled_at: None,
            looped_at: None,
            defending: false,
            config,
        })
    }

    /// Memory pressure at `now`. Without any limit it is 0; while unknown, say nothing.
    pub fn note_memory(&mut self, pressure: f64, now: Duration) {
        self.memory = Some((pressure, now));
    }

    /// A publisher was held back at `now`.
    pub fn note_back_pressure(&mut self, now: Duration) {
        self.back_pressure = Some(now);
    }

    /// A queue, by a number below [`SUBSCRIPTIONS_MAX`] that the caller gives it.
    pub fn note_subscription(&mut self, subscription: usize, reading: LoadReading, now: Duration) {
        self.subscriptions.note(subscription, reading, now);
    }

    /// A pool, by a number below [`POOLS_MAX`] that the caller gives it.
    pub fn note_pool(&mut self, pool: usize, reading: LoadReading, now: Duration) {
        self.pools.note(pool, reading, now);
    }

    /// What is to be done at `now`: nothing, as a rule. The actions are to be carried out in order.
    pub fn step(&mut self, now: Duration) -> Plan {
        let situation = self.situation(now);
        let mut plan = Plan::default();
        let critical = situation
            .pressure
            .is_some_and(|p| p >= self.config.critical);
        if critical && !self.defending {
            self.defending = true;
            self.looped_at = Some(now);
            plan.engage_all();
            return plan;
        }
        let over = situation
            .pressure
            .is_some_and(|p| p < self.config.defence_exit);
        if self.defending && over {
            self.defending = false;
            self.looped_at = Some(now);
            plan.release_all();
            return plan;
        }
        let waits = self
            .looped_at
            .is_some_and(|at| now.saturating_sub(at) < self.config.interval);
        if waits {
            return plan;
        }
        self.looped_at = Some(now);
        if self.defending {
            if critical {
                plan.push(Action::Engage(Defence::Buffers));
                plan.push(Action::Engage(Defence::Pools));
            }
            return plan;
        }
        for _ in 0..self.config.actions_per_loop {
            match self.choose(situation, now) {
                Some(action) => plan.push(action),
                None => break,
            }
        }
        plan
    }

    /// Is defensive mode on?
    pub fn is_defending(&self) -> bool {
        self.defending
    }

    fn situation(&self, now: Duration) -> Situation {
        let fresh = |at: Duration| now.saturating_sub(at) <= self.config.expiry;
        let (highest, mean) = self.subscriptions.highest_and_mean(&fresh);
        Situation {
            pressure: self.memory.filter(|(_, at)| fresh(*at)).map(|(p, _)| p),
            back_pressure: self.back_pressure.is_some_and(fresh),
            highest,
            mean,
        }
    }

    fn choose(&mut self, situation: Situation, now: Duration) -> Option<Action> {
        let c = &self.config;
        if situation.back_pressure || situation.highest > c.saturated {
            let may_grow = situation.pressure.is_some_and(|p| p < c.growth_below);
            return may_grow
                .then(|| self.more_capacity(situation, now))
                .flatten()
                .or_else(|| self.throttle(now));
        }
        let optimise = situation.pressure.is_some_and(|p| p < c.optimise_below);
        optimise.then(|| self.less_capacity(now)).flatten()
    }

    fn more_capacity(&mut self, situation: Situation, now: Duration) -> Option<Action> {
        // When all queues are full it is the workers that are too few, not the room.
        if situation.mean > self.config.saturated {
            self.scale_up(now).or_else(|| self.grow(now))
        } else {
            self.grow(now).or_else(|| self.scale_up(now))
        }
    }

    fn less_capacity(&mut self, now: Duration) -> Option<Action> {
        let (unused, cooldown) = (self.config.unused, self.config.cooldown);
        let cooldowns = self.cooldowns(cooldown, cooldown, now);
        if let Some(subscription) = self.subscriptions.take_least(unused, cooldowns) {
            return Some(Action::Shrink { subscription });
        }
        let cooldowns = self.cooldowns(cooldown, self.config.shrink_wait, now);
        let pool = self.pools.take_least(unused, cooldowns)?;
        Some(Action::ScaleDown { pool })
    }

    fn grow(&mut self, now: Duration) -> Option<Action> {
        let cooldowns = self.cooldowns(self.config.cooldown, self.config.cooldown, now);
        let subscription = self
            .subscriptions
            .take_most(self.config.saturated, cooldowns)?;
        Some(Action::Grow { subscription })
    }

    fn scale_up(&mut self, now: Duration) -> Option<Action> {
        let cooldowns = self.cooldowns(self.config.cooldown, self.config.shrink_wait, now);
        let pool = self.pools.take_most(self.config.saturated, cooldowns)?;
        Some(Action::ScaleUp { pool })
    }

    fn throttle(&mut self, now: Duration) -> Option<Action> {
        let waited = self
            .throttled_at
            .is_none_or(|at| now.saturating_sub(at) >= self.config.cooldown);
        waited.then(|| {
            self.throttled_at = Some(now);
            Action::Throttle
        })
    }

    fn cooldowns(&self, up: Duration, down: Duration, now: Duration) -> Cooldowns {
        Cooldowns {
            up,
            down,
            expiry: self.config.expiry,
            now,
        }
    }
}

#[cfg(test)]
mod tests;
