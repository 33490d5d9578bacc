//! `[control.arbiter]`, `[control.queue]`: the slow actuators.

use std::time::Duration;

use crate::config::kind::NoneOr;
use crate::config::kind::number::within;
use crate::config::reader::Section;

/// `[control.arbiter]`: how often queues, pools and publishers are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arbiter {
    /// Least time between two of its loops.
    pub interval: Duration,
    /// Least time between two moves of one actuator in one direction.
    pub cooldown: Duration,
    /// Most moves in one loop.
    pub max_actions: usize,
}

/// `[control.queue]`: what holds for the queue of each emitter that says nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// Events at first, for a queue whose size moves; none: it is fixed at its most.
    pub start: Option<usize>,
    /// Least events, also while memory is critical.
    pub min: usize,
    /// Most events.
    pub max: usize,
}

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

/// The most events of any queue.
pub(crate) const QUEUE_MAX: usize = 1_048_576;

impl Arbiter {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let cooldown = s.read(
            "cooldown",
            &within(MILLISECOND, HOUR),
            Duration::from_secs(30),
            "least time between two moves of one actuator in one direction",
        );
        Self {
            cooldown,
            interval: s.read(
                "interval",
                &within(MILLISECOND, HOUR),
                Duration::from_secs(3).min(cooldown),
                "least time between two rounds of moves",
            ),
            max_actions: s.read("max_actions", &within(1, 8), 1, "most moves in one round"),
        }
    }
}

impl Queue {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let max = s.read(
            "max",
            &within(1, QUEUE_MAX),
            65_536,
            "default of the emitters' queue_events",
        );
        let start = s.read(
            "start",
            &NoneOr(within(1, QUEUE_MAX)),
            None,
            "default of the emitters' queue_start",
        );
        let min = s.read(
            "min",
            &within(1, QUEUE_MAX),
            start.unwrap_or(max).min(8),
            "default of the emitters' queue_min",
        );
        Self { start, min, max }
    }
}
