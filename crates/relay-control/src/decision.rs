//! What the controller is given each tick, and what it answers.

use std::fmt;

use crate::{
    aimd::Governor,
    level::Level,
    memory::{Memory, Reading},
};

/// One sample of the process, as the controller wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Memory against its limits.
    pub memory: Reading<Memory>,
    /// Accounted bytes that the ledger holds now.
    pub ledger_used_bytes: u64,
    /// Bytes that the allocator has handed out and not got back, `None` where nobody counts them.
    pub live_bytes: Option<u64>,
    /// Accounted bytes delivered to every reliable subscription, ever: a total that only grows.
    /// Dropped events do not count.
    pub delivered_bytes: u64,
    /// Was something queued during the whole interval since the last step?
    pub backlog: bool,
}

/// Which law sets the admitted rate. Under every law the ledger stays the hard bound and the
/// ladder its floors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Law {
    /// Drain matching; the governor only helps out.
    #[default]
    Drain,
    /// The AIMD governor alone.
    Aimd,
    /// Ledger and ladder alone.
    None,
}

/// Why the rate is what it is. Displayed in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No law sets a rate.
    NoLaw,
    /// Nothing limits this process, so there is nothing to steer by.
    NoLimit,
    /// Nothing is waiting, so nothing needs to be slowed.
    NoBacklog,
    /// Something is waiting but how fast it drains is not known yet.
    DrainUnknown,
    /// There is room: the drain and more.
    BelowSetpoint,
    /// At or above the setpoint: the drain or less.
    AboveSetpoint,
    /// Above the setpoint, but with so little queued that holding back would free nothing: the
    /// drain, and a little more.
    QueueSmall,
    /// The governor scales the nominal rate.
    Governor,
    /// The governor is at rest and no nominal rate is configured.
    GovernorAtRest,
    /// The memory sensor has been silent for too long.
    SensorStale,
}

/// Where every knob should stand until the next tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// How near the limit is.
    pub level: Level,
    /// The level of the decision before: a transition is where the two differ.
    pub previous_level: Level,
    /// Unreclaimable memory ÷ the smaller limit; `None` while unknown or without a limit.
    pub pressure: Option<f64>,
    /// Accounted bytes a second to admit, before `scale`; `None` is unbounded.
    pub rate_bytes_per_second: Option<f64>,
    /// The measured drain, where it is known.
    pub drain_bytes_per_second: Option<f64>,
    /// The same over the last few seconds, or the drain itself where that is more: what a wait is foretold from.
    pub lasting_drain_bytes_per_second: Option<f64>,
    /// What the gate multiplies its rate with: 1 unless the governor acts or the sensor is stale.
    pub scale: f64,
    /// `scale` for the lowest priority, whose floor may be lower.
    pub lowest_scale: f64,
    /// What the governor says, acting or not.
    pub governor: Governor,
    /// Accounted bytes that the ledger may hold.
    pub ledger_bytes: u64,
    /// Learnt resident bytes for each accounted byte.
    pub cost_factor: f64,
    /// Lowest priority class to admit: 0 low, 1 normal, 2 high, 3 control.
    pub floor: u8,
    /// Sheddable subscriptions drop: from critical until the level is back at warning.
    pub shed: bool,
    /// Emergency has lasted: drain and exit.
    pub shutdown: bool,
    /// Something waits, and a few looks more will tell how fast it drains: the next one is due soon.
    pub learning: bool,
    /// Why the rate is what it is.
    pub reason: Reason,
    /// The memory sensor has been silent for longer than the timeout.
    pub sensor_stale: bool,
}

// === impl Law ===

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Drain => "drain",
            Self::Aimd => "aimd",
            Self::None => "none",
        })
    }
}

// === impl Reason ===

impl Reason {
    /// The name that [`Display`](fmt::Display) prints, as metric labels want it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoLaw => "no_law",
            Self::NoLimit => "no_limit",
            Self::NoBacklog => "no_backlog",
            Self::DrainUnknown => "drain_unknown",
            Self::BelowSetpoint => "below_setpoint",
            Self::AboveSetpoint => "above_setpoint",
            Self::QueueSmall => "queue_small",
            Self::Governor => "governor",
            Self::GovernorAtRest => "governor_at_rest",
            Self::SensorStale => "sensor_stale",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Decision ===

impl Decision {
    /// Accounted bytes a second that the gate lets through: the rate, scaled. `None` is unbounded.
    pub fn admitted_bytes_per_second(&self) -> Option<f64> {
        self.rate_bytes_per_second.map(|rate| rate * self.scale)
    }
}
