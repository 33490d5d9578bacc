//! The pool sizer: how many workers, adapters or emitters run side by side.
//!
//! **Problem.** Too few workers let a queue grow that the target could have taken; too many hold
//! memory and connections for nothing. More workers help only while the target answers.
//!
//! **Utilisation**, where 1 is as busy as wanted, by one of three measures:
//!
//! ```text
//! depth = queued ÷ (workers · depth_per_worker)
//! lag   = queued · service_time ÷ workers ÷ target_lag          Little's law
//! load  = service_time ÷ (inter_arrival_time · workers)         offered load of a queue
//! ```
//!
//! Lag is the default and falls back to depth until a service time is known: a deep queue of events
//! that take a microsecond each is no reason for another worker. A saturated buffer counts as 1
//! under every measure.
//!
//! **Law.** One worker at a time:
//!
//! ```text
//! down  pressure ≥ forced_from                                         once a `forced_wait`
//! up    utilisation > target, error_rate < errors_below,
//!       pressure < growth_below, `up_wait` after the last change
//! down  utilisation < low, `down_wait` after the last change (or the start)
//! ```
//!
//! | field | default | why |
//! |---|---|---|
//! | `min`, `max` | 2, 8 workers | capped by the CPU quota with [`PoolConfig::capped`] |
//! | `target`, `low` | 0.7, 0.3 | |
//! | `depth_per_worker` | 10 events | |
//! | `target_lag` | 10 ms | |
//! | `errors_below` | 0.05 | a target that fails gets no more callers |
//! | `growth_below`, `forced_from` | 0.75, 0.90 | as for buffers |
//! | `up_wait`, `down_wait` | 30 s, 5 min | quick to help, slow to leave |
//! | `forced_wait` | 1 s | so that a fast tick does not take them all at once |
//! | `idle_after` | 3 s | how long low utilisation lasts before it is called idle |
//!
//! Under a load that swings faster than `up_wait` there is at most one change an `up_wait`.
//!
//! **Source.** Little, *A Proof for the Queuing Formula L = λW* (1961); scaling by queue and
//! utilisation with separate waits for up and down as in the Kubernetes horizontal autoscaler.

mod config;

use std::{fmt, time::Duration};

pub use self::config::{Measure, PoolConfig};
use crate::error::InvalidConfig;

/// At or above this fill a buffer counts as saturated: the saturation warning's mark.
const SATURATED: f64 = 0.8;

/// What the sizer looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoolInput {
    /// Events waiting.
    pub queued: u64,
    /// Average time that a worker takes for one event, `None` before the first.
    pub service_time: Option<Duration>,
    /// Average time between two arrivals, `None` before the second.
    pub inter_arrival_time: Option<Duration>,
    /// Fill of the buffer in front of the pool, from 0 to 1.
    pub fill: f64,
    /// Failed calls ÷ calls.
    pub error_rate: f64,
    /// Memory pressure, `None` while unknown. Without any limit it is 0.
    pub pressure: Option<f64>,
}

/// Why the number of workers changes. Displayed in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScaleReason {
    /// They are busier than wanted.
    Busy,
    /// They have little to do.
    Idle,
    /// Memory is critical.
    Pressure,
}

/// What holds after a look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoolDecision {
    /// Workers from now on.
    pub workers: usize,
    /// Workers before.
    pub previous: usize,
    /// Why they changed, if they did.
    pub reason: Option<ScaleReason>,
    /// How busy they were.
    pub utilisation: f64,
    /// How long the queue takes to work off, once a service time is known.
    pub lag: Option<Duration>,
    /// The lag is more than twice its target.
    pub saturated: bool,
    /// Utilisation has been low for `idle_after`.
    pub idle: bool,
}

/// The law and the present number of workers.
///
/// ```
/// use relay_control::{PoolConfig, PoolInput, PoolSize};
/// use std::time::Duration;
///
/// let mut pool = PoolSize::try_new(PoolConfig::default())?;
/// let busy = PoolInput {
///     queued: 100,
///     service_time: Some(Duration::from_millis(1)),
///     inter_arrival_time: None,
///     fill: 0.2,
///     error_rate: 0.0,
///     pressure: Some(0.4),
/// };
/// let decision = pool.step(&busy, Duration::from_secs(1));
/// assert_eq!(decision.lag, Some(Duration::from_millis(50)), "a hundred for two workers");
/// assert_eq!(decision.workers, 3);
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct PoolSize {
    config: PoolConfig,
    workers: usize,
    changed_at: Option<Duration>,
    started_at: Option<Duration>,
    low_since: Option<Duration>,
}

// === impl ScaleReason ===

impl ScaleReason {
    /// The name that [`Display`](fmt::Display) prints, as metric labels want it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::Pressure => "pressure",
        }
    }
}

impl fmt::Display for ScaleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl PoolSize ===

impl PoolSize {
    /// A pool at its smallest.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `1 ≤ min ≤ max`, `0 ≤ low < target ≤ 1`,
    /// `0 < growth_below < forced_from ≤ 1`, `0 < errors_below ≤ 1`, `up_wait ≤ down_wait`, and
    /// target lag, depth and waits are above zero.
    pub fn try_new(config: PoolConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            workers: config.min,
            changed_at: None,
            started_at: None,
            low_since: None,
            config,
        })
    }

    /// Looks at `now` and changes nothing, for who asks somebody else when a worker may come or go.
    pub fn look(&mut self, input: &PoolInput, now: Duration) -> PoolDecision {
        self.started_at.get_or_insert(now);
        let lag = input.service_time.map(|time| self.lag(input.queued, time));
        let utilisation = self.utilisation(input);
        let idle = self.is_idle(utilisation, now);
        PoolDecision {
            workers: self.workers,
            previous: self.workers,
            reason: None,
            utilisation,
            lag,
            saturated: lag.is_some_and(|lag| lag > self.config.target_lag.saturating_mul(2)),
            idle,
        }
    }

    /// Looks at `now`, and adds a worker or takes one away if that is due.
    pub fn step(&mut self, input: &PoolInput, now: Duration) -> PoolDecision {
        let seen = self.look(input, now);
        let reason = self.wanted(input, seen.utilisation, now);
        match reason {
            Some(ScaleReason::Busy) => self.workers += 1,
            Some(ScaleReason::Idle | ScaleReason::Pressure) => self.workers -= 1,
            None => {}
        }
        if reason.is_some() {
            self.changed_at = Some(now);
        }
        PoolDecision {
            workers: self.workers,
            reason,
            ..seen
        }
    }

    /// A worker could not be started or stopped: the pool has `workers` now. The waits run on.
    pub fn correct(&mut self, workers: usize) {
        self.workers = workers.clamp(self.config.min, self.config.max);
    }

    /// Workers from now on.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// How busy the present workers are.
    pub fn utilisation(&self, input: &PoolInput) -> f64 {
        let by_depth = || {
            let copes_with = self.workers as f64 * f64::from(self.config.depth_per_worker);
            input.queued as f64 / copes_with
        };
        let measured = match (
            self.config.measure,
            input.service_time,
            input.inter_arrival_time,
        ) {
            (Measure::Lag, Some(time), _) => {
                let lag = self.lag(input.queued, time);
                lag.as_secs_f64() / self.config.target_lag.as_secs_f64()
            }
            (Measure::Load, Some(time), Some(between)) if !between.is_zero() => {
                time.as_secs_f64() / between.as_secs_f64() / self.workers as f64
            }
            _ => by_depth(),
        };
        if input.fill >= SATURATED {
            measured.max(1.0)
        } else {
            measured
        }
    }

    fn wanted(&self, input: &PoolInput, utilisation: f64, now: Duration) -> Option<ScaleReason> {
        let c = &self.config;
        let waited = |since: Option<Duration>, wait| {
            since.is_none_or(|since| now.saturating_sub(since) >= wait)
        };
        let critical = input.pressure.is_some_and(|p| p >= c.forced_from);
        if critical && self.workers > c.min && waited(self.changed_at, c.forced_wait) {
            return Some(ScaleReason::Pressure);
        }
        let may_grow = input.error_rate < c.errors_below
            && input.pressure.is_some_and(|p| p < c.growth_below)
            && self.workers < c.max;
        if utilisation > c.target && may_grow && waited(self.changed_at, c.up_wait) {
            return Some(ScaleReason::Busy);
        }
        let settled = waited(self.changed_at.or(self.started_at), c.down_wait);
        (utilisation < c.low && self.workers > c.min && settled).then_some(ScaleReason::Idle)
    }

    fn is_idle(&mut self, utilisation: f64, now: Duration) -> bool {
        if utilisation >= self.config.low {
            self.low_since = None;
            return false;
        }
        let since = *self.low_since.get_or_insert(now);
        now.saturating_sub(since) >= self.config.idle_after
    }

    fn lag(&self, queued: u64, service_time: Duration) -> Duration {
        let seconds = queued as f64 * service_time.as_secs_f64() / self.workers as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests;
