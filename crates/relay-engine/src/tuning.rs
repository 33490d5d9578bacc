//! What can be changed while an engine runs.

use crate::sentry::Marks;
use crate::try_lock;
use relay_control::{
    Arbiter, ArbiterConfig, ControlConfig, Controller, Forecast, ForecastConfig, InvalidConfig,
    LadderConfig, LatchUp, LatchUpConfig, Pace, PaceConfig, Throttle, ThrottleConfig,
};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Numbers of a running engine, taken over with [`Observer::retune`](crate::Observer::retune) all at once.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Tuning {
    /// The laws and their numbers.
    pub control: ControlConfig,
    /// How often to sample and decide as a rule, clamped to 1 ms … 10 s.
    pub interval: Duration,
    /// The same while nothing moves; never less than `interval`, at most a minute.
    pub idle_interval: Duration,
    /// A softer limit in bytes, as in [`with_soft_limit`](crate::EngineBuilder::with_soft_limit).
    pub soft_limit_bytes: Option<u64>,
    /// The longest that an accepted event may wait in queues; only enforced where decisions are carried out.
    pub max_queue_delay: Option<Duration>,
    /// How the slow actuators are moved: queues, pools, publishers, defensive mode. Its bands of pressure hold for the
    /// usual ladder, whose critical level is at 0.90; under another ladder they keep their place below its critical level.
    pub arbiter: ArbiterConfig,
    /// How publishers that can wait are slowed down.
    pub throttle: ThrottleConfig,
}

/// What the pulse works by.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) controller: Controller,
    pub(crate) forecast: Forecast,
    pub(crate) pace: Pace,
    pub(crate) arbiter: Arbiter,
    pub(crate) throttle: Throttle,
    pub(crate) latch_up: LatchUp,
    /// Nothing grows from this pressure on.
    pub(crate) growth_below: f64,
    pub(crate) ladder: LadderConfig,
    pub(crate) interval: Duration,
    pub(crate) soft_limit_bytes: Option<u64>,
}

/// Hands new settings to the pulse, which neither waits nor frees: it swaps the contents of the box, and the old ones
/// stay here until somebody else puts something in.
#[derive(Debug, Default)]
pub(crate) struct Mailbox(Mutex<Option<Letter>>);

#[derive(Debug)]
struct Letter {
    settings: Box<Settings>,
    taken: bool,
}

impl Default for Tuning {
    /// As an engine starts: 50 ms, 1 s while nothing moves, no soft limit, 5 s of queue delay.
    fn default() -> Self {
        Self {
            control: ControlConfig::default(),
            interval: Duration::from_millis(50),
            idle_interval: Duration::from_secs(1),
            soft_limit_bytes: None,
            max_queue_delay: Some(Duration::from_secs(5)),
            arbiter: ArbiterConfig::default(),
            throttle: ThrottleConfig::default(),
        }
    }
}

// === impl Settings ===

impl Settings {
    /// # Errors
    ///
    /// When a number is out of its range.
    pub(crate) fn try_new(tuning: &Tuning) -> Result<Self, InvalidConfig> {
        let interval = tuning
            .interval
            .clamp(Duration::from_millis(1), Duration::from_secs(10));
        let idle = tuning.idle_interval.clamp(interval, Duration::from_mins(1));
        let pace = PaceConfig {
            idle,
            ..PaceConfig::with_usual(interval)
        };
        let arbiter = below_critical(&tuning.arbiter, &tuning.control.ladder);
        Ok(Self {
            growth_below: arbiter.growth_below,
            arbiter: Arbiter::try_new(arbiter)?,
            throttle: Throttle::try_new(tuning.throttle.clone())?,
            latch_up: LatchUp::try_new(LatchUpConfig::default())?,
            controller: Controller::try_new(tuning.control.clone())?,
            forecast: Forecast::try_new(ForecastConfig::default())?,
            pace: Pace::try_new(pace)?,
            ladder: tuning.control.ladder.clone(),
            interval,
            soft_limit_bytes: tuning.soft_limit_bytes,
        })
    }

    /// By what the sentry looks, at a limit of so many bytes: it wakes the pulse from the level error on, and shuts the
    /// gate in an emergency.
    pub(crate) fn marks(&self, limit_bytes: u64) -> Marks {
        let room_above = |share: f64| (limit_bytes as f64 * (1.0 - share)) as u64;
        Marks {
            wake_below_bytes: room_above(self.ladder.error),
            shut_below_bytes: room_above(self.ladder.emergency_share(limit_bytes)),
        }
    }
}

/// Defensive mode begins where the ladder says critical; the bands below it come closer together when that is early.
fn below_critical(config: &ArbiterConfig, ladder: &LadderConfig) -> ArbiterConfig {
    let usual = ArbiterConfig::default().critical;
    let closer = (ladder.critical / usual).min(1.0);
    ArbiterConfig {
        critical: ladder.critical,
        defence_exit: config.defence_exit * closer,
        growth_below: config.growth_below * closer,
        optimise_below: config.optimise_below * closer,
        ..config.clone()
    }
}

// === impl Mailbox ===

impl Mailbox {
    pub(crate) fn put(&self, settings: Settings) {
        let letter = Letter {
            settings: Box::new(settings),
            taken: false,
        };
        // What was there is dropped after the lock is gone.
        let before = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.replace(letter)
        };
        drop(before);
    }

    /// Swaps `settings` for those that came, if any. Never waits: what is being put in now is found by the next tick.
    pub(crate) fn collect(&self, settings: &mut Settings) {
        let Some(mut slot) = try_lock(&self.0) else {
            return;
        };
        if let Some(letter) = slot.as_mut().filter(|letter| !letter.taken) {
            std::mem::swap(settings, &mut letter.settings);
            letter.taken = true;
        }
    }
}
