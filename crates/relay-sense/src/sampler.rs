//! One consistent look at the memory per call, on held descriptors, allocating nothing.

use std::time::Instant;

use crate::cgroup::View;
use crate::file::HeldFile;
use crate::hierarchy::Hierarchy;
use crate::level::{Level, STAT_BYTES};
use crate::sample::{Binding, Sample, Scope};
use crate::usage::{Stat, Usage};
use crate::{Bound, Root, SenseError, meminfo, text};

/// Reads usage and limits again and again.
///
/// The kernel files are opened once; a sample is a handful of `pread` calls (about 0.35 µs each, 3 µs
/// for the statistics) and allocates nothing, so it may run at the very limit. Limits are read anew
/// each time, so a resize in place is seen by the next sample. A file that cannot be read makes its
/// figure unknown in that sample, and is tried again in the next.
///
/// ```
/// use std::time::Instant;
/// use relay_sense::{Root, Sampler};
///
/// let mut sampler = Sampler::new(&Root::system())?;
/// let sample = sampler.sample(Instant::now());
/// if let (Some(used), Some(left)) = (sample.unreclaimable_bytes, sample.headroom_bytes) {
///     println!("{used} bytes cannot be given back, {left} bytes are left");
/// }
/// # Ok::<(), relay_sense::SenseError>(())
/// ```
#[derive(Debug)]
pub struct Sampler {
    levels: Vec<Level>,
    /// The level that counts the memory of this process.
    own: Option<usize>,
    resident: Option<HeldFile>,
    page_bytes: u64,
    /// Limits that no group sets: the machine's memory and the configured one.
    fixed_limit: Bound,
    buffer: Box<[u8; STAT_BYTES]>,
}

/// What has been gathered while going up the levels.
struct Gathered {
    limit: Bound,
    soft_limit: Bound,
    binding: Option<Binding>,
}

// === impl Sampler ===

impl Sampler {
    /// Finds the control group of this process and opens its files.
    ///
    /// Files that are missing make no error: their figures stay unknown, and
    /// [`detect`](crate::detect()) says why.
    ///
    /// # Errors
    ///
    /// [`SenseError::Root`] if the root folder cannot be listed.
    pub fn new(root: &Root) -> Result<Self, SenseError> {
        root.check()?;
        let mut notes = Vec::new();
        let hierarchy = Hierarchy::open(root, &View::load(root), &mut notes);
        let physical = meminfo::total_bytes(root, &mut notes);
        Ok(Self {
            own: hierarchy.own(),
            levels: hierarchy.levels,
            resident: HeldFile::open(&root.path("/proc/self/statm")).ok(),
            page_bytes: rustix::param::page_size() as u64,
            fixed_limit: physical.map_or(Bound::Unknown, Bound::Bytes),
            buffer: Box::new([0; STAT_BYTES]),
        })
    }

    /// Holds the usage against a configured limit in bytes as well.
    ///
    /// # Errors
    ///
    /// [`SenseError::ConfiguredZero`] if it is zero.
    pub fn with_configured(mut self, limit_bytes: u64) -> Result<Self, SenseError> {
        if limit_bytes == 0 {
            return Err(SenseError::ConfiguredZero);
        }
        self.fixed_limit = self.fixed_limit.tighter(Bound::Bytes(limit_bytes));
        Ok(self)
    }

    /// Takes one look. Allocates nothing, and waits for nothing but the kernel's answer.
    ///
    /// `now` only marks the sample, so that whoever computes slopes decides on the clock.
    pub fn sample(&mut self, now: Instant) -> Sample {
        let resident_bytes = self.resident_bytes();
        let own_stat = self.own_stat();
        let (scope, usage) = self.own_usage(&own_stat, resident_bytes);
        let gathered = self.gather(&own_stat, usage);
        Sample {
            at: now,
            scope,
            current_bytes: usage.map(|usage| usage.current),
            working_set_bytes: usage.and_then(|usage| usage.working_set),
            unreclaimable_bytes: usage.map(|usage| usage.unreclaimable),
            resident_bytes,
            limit_bytes: gathered.limit,
            soft_limit_bytes: gathered.soft_below_hard(),
            binding: gathered.binding,
            headroom_bytes: gathered.binding.map(|binding| binding.headroom_bytes()),
            oom_kills: self.oom_kills(),
        }
    }

    fn own_stat(&mut self) -> Stat {
        let own = self.own.and_then(|own| self.levels.get(own));
        own.map(|level| level.stat(&mut self.buffer[..]))
            .unwrap_or_default()
    }

    fn oom_kills(&mut self) -> Option<u64> {
        let own = self.levels.get(self.own?)?;
        own.oom_kills(&mut self.buffer[..])
    }

    /// The usage of the own group; of the process alone only where no group counts it. A group whose
    /// file fails is unknown: the process alone would look calmer than it is.
    fn own_usage(&self, stat: &Stat, resident: Option<u64>) -> (Scope, Option<Usage>) {
        match self.own.and_then(|own| self.levels.get(own)) {
            Some(level) => (Scope::Group, level.usage(stat)),
            None => (Scope::Process, resident.map(Usage::resident)),
        }
    }

    /// Goes up the levels, from the limits no group sets to those of the outermost group.
    fn gather(&mut self, own_stat: &Stat, own_usage: Option<Usage>) -> Gathered {
        let mut gathered = Gathered {
            limit: Bound::Unknown,
            soft_limit: Bound::Unlimited,
            binding: None,
        };
        gathered.add(self.fixed_limit, own_usage);
        for (index, level) in self.levels.iter().enumerate() {
            let is_own = self.own == Some(index);
            let limit = match (is_own, own_stat.hierarchical_limit) {
                (true, Some(bytes)) => level.limit().tighter(Bound::from_kernel(bytes)),
                _ => level.limit(),
            };
            gathered.soft_limit = gathered.soft_limit.tighter(level.soft_limit());
            let usage = match limit {
                Bound::Bytes(_) if !is_own => {
                    let stat = level.stat(&mut self.buffer[..]);
                    level.usage(&stat).or(own_usage)
                }
                _ => own_usage,
            };
            gathered.add(limit, usage);
        }
        gathered
    }

    /// The second number of `statm`, in pages.
    fn resident_bytes(&self) -> Option<u64> {
        let pages = self.resident.as_ref()?.value(|statm| {
            let mut numbers = statm.split(|byte| *byte == b' ');
            text::number(numbers.nth(1)?)
        })??;
        pages.checked_mul(self.page_bytes)
    }
}

// === impl Gathered ===

impl Gathered {
    /// Takes a limit into account, and the usage that counts against it.
    fn add(&mut self, limit: Bound, usage: Option<Usage>) {
        self.limit = self.limit.tighter(limit);
        if let (Bound::Bytes(limit_bytes), Some(usage)) = (limit, usage) {
            let binding = Binding {
                limit_bytes,
                unreclaimable_bytes: usage.unreclaimable,
            };
            self.binding = Some(binding.tighter(self.binding));
        }
    }

    fn soft_below_hard(&self) -> Option<u64> {
        let soft = self.soft_limit.bytes()?;
        let hard = self.limit.bytes();
        (hard.is_none_or(|hard| soft < hard)).then_some(soft)
    }
}
