//! Which levels the forecast follows: the limit that leaves the least room, that of the own group, and the point from
//! which on is to be held back.
//!
//! A limit that leaves more room than another can still be met first, because its level rises faster. Each level has a
//! place of its own here; when another one comes to stand there, what was known of its rise is forgotten, or the step from
//! one group's usage to another's would be taken for one.

use relay_control::{Forecast, Headroom, Memory, Outlook};
use relay_sense::{Binding, Sample};
use std::time::Duration;

/// The binding level first: of two that are met at the same time it is the one that is told.
const PLACES: usize = 3;

/// What was followed at each place by the last step.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    followed: [Option<Identity>; PLACES],
}

/// What tells one level from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identity {
    /// The group, counted from the innermost.
    Group(usize),
    /// A limit that no group sets.
    Limit(u64),
    /// The own group, by its own limit.
    Own,
    /// A throttle point or a soft limit.
    Soft(u64),
}

impl Levels {
    /// Hands over every level whose usage the sample tells. Allocates nothing.
    pub(crate) fn step(
        &mut self,
        forecast: &mut Forecast,
        sample: &Sample,
        (memory, soft_limit_bytes): (Memory, Option<u64>),
        since: Duration,
    ) -> Outlook {
        let binding = Headroom {
            used_bytes: memory.unreclaimable_bytes,
            limit_bytes: memory.limit_bytes,
        };
        let identity = sample
            .binding_level
            .map_or(Identity::Limit(binding.limit_bytes), Identity::Group);
        // Where there is none, the binding level once more: it changes nothing.
        let mut levels = [(identity, binding); PLACES];
        if let Some(own) = sample.own {
            levels[1] = (Identity::Own, headroom(own));
        }
        let soft = soft_limit_bytes.map(|limit_bytes| Headroom {
            limit_bytes,
            ..binding
        });
        let room = |level: &Headroom| level.limit_bytes.saturating_sub(level.used_bytes);
        let soft = soft.into_iter().chain(sample.throttle.map(headroom));
        // One that is passed is met no more: the ladder knows it, and how long to the hard limit is still to be told.
        if let Some(soft) = soft.filter(|level| room(level) > 0).min_by_key(room) {
            levels[2] = (Identity::Soft(soft.limit_bytes), soft);
        }
        for (place, (identity, _)) in levels.iter().enumerate() {
            if self.followed[place].replace(*identity) != Some(*identity) {
                forecast.forget_level(place);
            }
        }
        forecast.step(&levels.map(|(_, headroom)| headroom), since)
    }
}

fn headroom(binding: Binding) -> Headroom {
    Headroom {
        used_bytes: binding.unreclaimable_bytes,
        limit_bytes: binding.limit_bytes,
    }
}
