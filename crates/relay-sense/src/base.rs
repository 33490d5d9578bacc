//! What may be said between two full samples, from the usage alone.
//!
//! Growth counts as unreclaimable, and that the usage shrank is not believed: both err towards
//! caution. One thing would not. Where the kernel reclaims, caches turn into memory that cannot be given
//! back while the usage stands still, so near a limit nothing is said here. That a group shrinks because
//! the whole machine reclaims shows in no limit of its own; there the figure may be too calm for as long as
//! a base may last.

use std::time::{Duration, Instant};

use crate::caps::Caps;
use crate::climb::{Counter, Tight};
use crate::gauge::Ground;
use crate::sample::LevelSample;

/// A level sample rests on a full one that is no older: a resize is seen within this time, and so is
/// reclaim for the whole machine.
const BASE_AGE_MAX: Duration = Duration::from_millis(100);

/// The full sample on which level samples rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Base {
    pub(crate) sample: LevelSample,
    pub(crate) tight: Option<Tight>,
    /// The usage of some level is where the kernel reclaims, so that it says nothing.
    pub(crate) reclaiming: bool,
}

// === impl Base ===

impl Base {
    /// The sample with the usage read anew; `None` where that would not be right.
    pub(crate) fn grown(&self, now: Instant, ground: &Ground, caps: &Caps) -> Option<LevelSample> {
        let sample = &self.sample;
        let is_recent = now.saturating_duration_since(sample.at) < BASE_AGE_MAX;
        if self.reclaiming || !is_recent {
            return None;
        }
        let (was, unreclaimable) = (sample.current_bytes?, sample.unreclaimable_bytes?);
        let current = below_reclaim(ground.own, ground, caps)?;
        let binding = match self.tight {
            Some(tight) if tight.counter == ground.own => Some(tight.grown_to(current)),
            Some(tight) => Some(tight.grown_to(below_reclaim(tight.counter, ground, caps)?)),
            None => None,
        };
        Some(LevelSample {
            at: now,
            full_at: sample.at,
            current_bytes: Some(current),
            unreclaimable_bytes: Some(unreclaimable.saturating_add(current.saturating_sub(was))),
            binding,
            headroom_bytes: binding.map(|binding| binding.headroom_bytes()),
        })
    }
}

/// The counter now, unless the kernel may be reclaiming there.
fn below_reclaim(counter: Counter, ground: &Ground, caps: &Caps) -> Option<u64> {
    let current = ground.current(counter).ok()?;
    let reclaim_from = match counter {
        Counter::Level(index) => caps.level(index).reclaim_from(ground.slack_bytes),
        Counter::Process => None,
    };
    reclaim_from
        .is_none_or(|from| current < from)
        .then_some(current)
}
