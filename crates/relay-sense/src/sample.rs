//! What one look at the memory found.

use std::time::Instant;

use crate::Bound;

/// Whose memory the usage figures of a [`Sample`] count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// All processes, caches and kernel memory of the own control group: what the limit counts.
    Group,
    /// This process alone, from its resident size, since no control group counts it.
    Process,
}

/// The limit that leaves the least room, and the usage that counts against it.
///
/// Both are of the same level: a parent's budget is eaten by siblings too, so the own usage beside a
/// parent's limit would say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binding {
    /// The hard limit of the level.
    pub limit_bytes: u64,
    /// The memory counted against it that reclaim cannot free.
    pub unreclaimable_bytes: u64,
}

/// One look at the memory, every figure in bytes and taken in the same call.
///
/// A figure is `None` where its file is missing, unreadable or not understood. That is *unknown*,
/// never calm: treat it as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// The time handed to [`Sampler::sample`](crate::Sampler::sample).
    pub at: Instant,
    /// Whose memory the next three figures count.
    pub scope: Scope,
    /// All memory charged, page cache included.
    pub current_bytes: Option<u64>,
    /// Without the inactive page cache: what kubelet and `docker stats` show.
    pub working_set_bytes: Option<u64>,
    /// What reclaim cannot free without swap. **This** is the figure to hold against a limit. Where
    /// the statistics are missing it is an upper bound, all of `current_bytes`.
    pub unreclaimable_bytes: Option<u64>,
    /// The resident size of this process.
    pub resident_bytes: Option<u64>,
    /// The smallest hard limit in force now, read anew by each sample.
    pub limit_bytes: Bound,
    /// The smallest throttle point (`memory.high`) now, where one lies below the hard limit.
    pub soft_limit_bytes: Option<u64>,
    /// The level that leaves the least room.
    pub binding: Option<Binding>,
    /// The room that level leaves: limit less unreclaimable, zero when the limit is exceeded.
    pub headroom_bytes: Option<u64>,
    /// How many processes of the own group the kernel has killed so far for want of memory.
    pub oom_kills: Option<u64>,
}

// === impl Binding ===

impl Binding {
    /// The room left; zero when the limit is exceeded, as it may be after a resize.
    pub fn headroom_bytes(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.unreclaimable_bytes)
    }

    /// The one of two that leaves less room.
    pub(crate) fn tighter(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.headroom_bytes() < self.headroom_bytes() => other,
            _ => self,
        }
    }
}
