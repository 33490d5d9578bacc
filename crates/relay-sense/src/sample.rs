//! What one look at the memory found.

use std::time::Instant;

use crate::Bound;
use crate::counters::{MemoryEvents, Throttling};
use crate::watch::Changes;

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
/// parent's limit would say nothing. Against `RLIMIT_AS` and `RLIMIT_DATA` counts what the kernel holds against
/// them: the address space of this process, and the part of it that is data and stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binding {
    /// The hard limit of the level.
    pub limit_bytes: u64,
    /// The memory counted against it that reclaim cannot free.
    pub unreclaimable_bytes: u64,
}

/// One full look at the memory, every figure in bytes.
///
/// A figure is `None` where its file is missing, unreadable or not understood. That is *unknown*,
/// never calm: treat it as such. How old a figure is:
///
/// | figures | read |
/// |---|---|
/// | usage, parts of it, binding, headroom | `at`: by this very call (statistics: `stat_at`) |
/// | limits | `limits_at`: when one was last written, as far as the watch could tell, and once a second |
/// | resident size (unless the scope is the process), swap of version 2, events, throttling | `surveyed_at`: once a second; events also when the watch tells of one |
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
    /// When the own group's statistics were read, from which unreclaimable follows; `None` where
    /// they do not say what can be reclaimed.
    pub stat_at: Option<Instant>,
    /// Memory of processes that no file backs.
    pub anon_bytes: Option<u64>,
    /// Page cache, files in memory (`shmem_bytes`) included.
    pub file_bytes: Option<u64>,
    /// Files in memory and shared memory, which cannot be dropped although they are files.
    pub shmem_bytes: Option<u64>,
    /// Memory of the kernel for this group; known on version 2 since Linux 5.18.
    pub kernel_bytes: Option<u64>,
    /// What the group has in swap.
    pub swap_bytes: Option<u64>,
    /// The smallest hard limit in force.
    pub limit_bytes: Bound,
    /// The smallest throttle point (`memory.high`), where one lies below the hard limit.
    pub soft_limit_bytes: Option<u64>,
    /// How much swap the group may use. Unknown where the kernel does not account swap.
    pub swap_limit_bytes: Bound,
    /// When all limits were last read. One that cannot be read any more keeps its value, and this
    /// its time.
    pub limits_at: Option<Instant>,
    /// The level that leaves the least room.
    pub binding: Option<Binding>,
    /// Which group sets the binding limit, counted from the innermost, 0; `None` where no group does. With another one
    /// the usage is another's too, so that it makes no slope with the last.
    pub binding_level: Option<usize>,
    /// The own group's limit and usage, whether it binds or not; `None` where it has no limit.
    pub own: Option<Binding>,
    /// The throttle point (`memory.high`) that leaves the least room and the usage of its group, of those groups whose
    /// unreclaimable usage this sample read: the own one, and those that might bind.
    pub throttle: Option<Binding>,
    /// The room that level leaves: limit less unreclaimable, zero when the limit is exceeded.
    pub headroom_bytes: Option<u64>,
    /// The resident size of this process.
    pub resident_bytes: Option<u64>,
    /// What has happened to the own group, and how often.
    pub events: MemoryEvents,
    /// How the processor quota has held this process up; `None` where there is none.
    pub throttling: Option<Throttling>,
    /// When the last three were read.
    pub surveyed_at: Option<Instant>,
    /// What the watch told since the last sample.
    pub changed: Changes,
    /// The process was moved to other groups, or one of its groups was removed: the usage of the old
    /// ones would say nothing, so it is unknown until
    /// [`Sampler::refresh`](crate::Sampler::refresh).
    pub moved: bool,
}

/// One look at the usage alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelSample {
    /// The time handed to [`Sampler::level`](crate::Sampler::level).
    pub at: Instant,
    /// When the full sample was taken on which the rest is built: `at`, if it had to be taken now.
    pub full_at: Instant,
    /// All memory charged, page cache included.
    pub current_bytes: Option<u64>,
    /// What reclaim cannot free: that of the full sample and everything added since.
    pub unreclaimable_bytes: Option<u64>,
    /// The level that left the least room in the full sample, with its usage of now.
    pub binding: Option<Binding>,
    /// The room that level leaves, in bytes.
    pub headroom_bytes: Option<u64>,
}

// === impl Binding ===

impl Binding {
    /// The room left; zero when the limit is exceeded, as it may be after a resize.
    pub fn headroom_bytes(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.unreclaimable_bytes)
    }

    /// What is used of the limit: 0 is nothing, 1 all of it, and more after a resize below usage. `None`
    /// for a limit of zero, so that it is never infinite.
    ///
    /// ```
    /// use std::time::Instant;
    /// use relay_sense::{Root, Sampler};
    ///
    /// let sample = Sampler::new(&Root::system())?.sample(Instant::now());
    /// if let Some(share) = sample.binding.and_then(|binding| binding.used_share()) {
    ///     println!("{:.1} % of the limit", share * 100.0);
    /// }
    /// # Ok::<(), relay_sense::SenseError>(())
    /// ```
    pub fn used_share(&self) -> Option<f64> {
        share(self.unreclaimable_bytes, self.limit_bytes)
    }
}

fn share(used: u64, limit: u64) -> Option<f64> {
    (limit > 0).then(|| used as f64 / limit as f64)
}

// === impl Sample ===

impl Sample {
    /// A figure of this sample as a share of the smallest limit, for comparing one figure with
    /// another; what to decide by is [`Binding::used_share`]. `None` where either is unknown, where there is
    /// no limit, and for a limit of zero.
    pub fn share_of_limit(&self, figure_bytes: Option<u64>) -> Option<f64> {
        share(figure_bytes?, self.limit_bytes.bytes()?)
    }
}

// === impl LevelSample ===

impl From<&Sample> for LevelSample {
    fn from(sample: &Sample) -> Self {
        Self {
            at: sample.at,
            full_at: sample.at,
            current_bytes: sample.current_bytes,
            unreclaimable_bytes: sample.unreclaimable_bytes,
            binding: sample.binding,
            headroom_bytes: sample.headroom_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i06_a_share_of_nothing_is_none() {
        let used_share = |limit_bytes, unreclaimable_bytes| {
            let binding = Binding {
                limit_bytes,
                unreclaimable_bytes,
            };
            binding.used_share()
        };
        assert_eq!(used_share(0, 0), None);
        assert_eq!(used_share(0, 1), None);
        assert_eq!(used_share(200, 50), Some(0.25));
        assert_eq!(used_share(1, u64::MAX).map(f64::is_finite), Some(true));
    }
}
