//! One consistent look at the memory per call, on held descriptors, allocating nothing.

use std::sync::Arc;
use std::time::Instant;

use crate::base::Base;
use crate::caps::Caps;
use crate::cgroup::{Version, View};
use crate::climb::{Climb, Counter, Found, Own};
use crate::counters::MemoryEvents;
use crate::file::Silence;
use crate::gauge::{Gauge, Ground};
use crate::hierarchy::Hierarchy;
use crate::level::STAT_BYTES;
use crate::resident::Resident;
use crate::rlimit::ProcessLimits;
use crate::sample::{LevelSample, Sample, Scope};
use crate::survey::{SURVEY_PERIOD, Survey};
use crate::usage::{Stat, Usage};
use crate::watch::{Changes, Watch};
use crate::{Bound, Root, SenseError, meminfo};

/// Reads usage and limits again and again, on files that are opened once.
///
/// | call | reads | costs (measured, warm) |
/// |---|---|---|
/// | [`level`](Self::level) | the usage of the own group and of the level that binds | 0.4 to 0.8 µs |
/// | [`sample`](Self::sample) | that, the own statistics, and those of an ancestor that might bind | 4 to 5 µs, 4 µs more for each such ancestor |
/// | once a second in `sample` | limits, counters, resident size, swap, membership | 5 to 10 µs |
///
/// None of them allocates or waits. After a pause in which other programs ran each costs about four
/// times as much, since nothing of the kernel's is in the processor's caches any more: what makes
/// a slow loop cheap is to read few files, not short ones.
///
/// Limits are read when the [watch](Self::watch) says that one was written, so that the next sample
/// knows of a resize, and once a second besides, for those that cannot be watched. A file that
/// cannot be read makes its figure unknown in that sample, and is tried again in the next.
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
    root: Root,
    ground: Arc<Ground>,
    caps: Caps,
    survey: Survey,
    resident_bytes: Option<u64>,
    watch: Option<Watch>,
    /// Limits that stand for one of the group: the machine's memory and the configured one.
    fixed_limit: Bound,
    process: ProcessLimits,
    base: Option<Base>,
    /// When the groups were last looked for again.
    refreshed_at: Option<Instant>,
    buffer: Box<[u8; STAT_BYTES]>,
}

// === impl Sampler ===

impl Sampler {
    /// Finds the control group of this process and opens its files.
    ///
    /// Files that are missing make no error: their figures stay unknown, and
    /// [`detect`](crate::detect()) says why. So it is with the watch: without it, limits are read once
    /// a second.
    ///
    /// # Errors
    ///
    /// [`SenseError::Root`] if the root folder cannot be listed.
    pub fn new(root: &Root) -> Result<Self, SenseError> {
        root.check()?;
        Ok(Self::open(root, None))
    }

    /// Finds the groups; a watch that is there already is turned to them.
    fn open(root: &Root, watch: Option<Watch>) -> Self {
        let mut notes = Vec::new();
        let view = View::load(root);
        let hierarchy = Hierarchy::open(root, &view, &mut notes);
        let physical = meminfo::total_bytes(root, &mut notes);
        let mut watch = watch.or_else(|| Watch::idle().ok());
        if let Some(watch) = &mut watch {
            watch.turn_to(root, &view, &hierarchy);
        }
        Self {
            root: root.clone(),
            caps: Caps::new(hierarchy.levels.len()),
            survey: Survey::open(root, &view, &hierarchy),
            resident_bytes: None,
            watch,
            ground: Arc::new(Ground::new(hierarchy, Resident::open(root))),
            fixed_limit: physical.map_or(Bound::Unknown, Bound::Bytes),
            process: ProcessLimits::read(root),
            base: None,
            refreshed_at: None,
            buffer: Box::new([0; STAT_BYTES]),
        }
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

    /// Takes a full look. Allocates nothing, and waits for nothing but the kernel's answer.
    ///
    /// `now` marks the sample and decides what is due, so that whoever computes slopes decides on
    /// the clock.
    pub fn sample(&mut self, now: Instant) -> Sample {
        let changed = self.watch.as_mut().map(Watch::drain).unwrap_or_default();
        self.survey.moved |= changed.groups;
        self.renew(now, changed);

        let stat = self.own_stat();
        let own = self.own(&stat);
        let found = self.climb(own);
        self.survey.moved |= found.gone;
        let sample = if self.survey.moved {
            self.lost(now, changed)
        } else {
            self.full(now, changed, &stat, own.usage, &found)
        };
        self.keep(&sample, &found);
        sample
    }

    /// Takes a look at the usage alone: of the own group, and of the level that binds. What it grew by
    /// since the last full sample counts as unreclaimable; that it shrank is not believed.
    ///
    /// That errs towards caution, but for one case: where the kernel reclaims, caches become memory
    /// that cannot be given back while the usage stands still. So this takes a full sample instead
    /// whenever a level is within 0.5 MiB + 256 KiB × processors of its limit, or the last full sample
    /// is 100 ms old, or a file does not answer. It may therefore be called on its own.
    pub fn level(&mut self, now: Instant) -> LevelSample {
        let base = self.base.as_ref();
        match base.and_then(|base| base.grown(now, &self.ground, &self.caps)) {
            Some(level) => level,
            None => LevelSample::from(&self.sample(now)),
        }
    }

    /// A reader for other threads, such as those that allocate. It answers after the first full
    /// sample.
    pub fn gauge(&self) -> Gauge {
        Gauge::new(Arc::clone(&self.ground))
    }

    /// What tells of changes, to wait on; `None` where the system gave no inotify descriptor. Do not
    /// drain it: [`sample`](Self::sample) does.
    pub fn watch(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }

    /// Looks for the groups of this process again after it was moved, or one of them removed: when
    /// [`Sample::moved`] says so. Returns whether it did; at most once a second, since it allocates,
    /// opens a few dozen files and takes some hundred microseconds. Gauges must be taken anew.
    ///
    /// It is apart from [`sample`](Self::sample), which allocates nothing. A loop that may not
    /// allocate either moves the sampler to another thread for this, or replaces it by a new one.
    ///
    /// # Errors
    ///
    /// [`SenseError::Root`] if the root folder cannot be listed.
    pub fn refresh(&mut self, now: Instant) -> Result<bool, SenseError> {
        let recently = |at| now.saturating_duration_since(at) < SURVEY_PERIOD;
        if !self.survey.moved || self.refreshed_at.is_some_and(recently) {
            return Ok(false);
        }
        self.refreshed_at = Some(now);
        self.root.check()?;
        let fresh = Self::open(&self.root, self.watch.take());
        self.ground.follow(None, |index| self.caps.level(index));
        *self = Self {
            fixed_limit: self.fixed_limit,
            refreshed_at: self.refreshed_at,
            ..fresh
        };
        Ok(true)
    }

    /// Reads what is due, or said to have changed.
    fn renew(&mut self, now: Instant, changed: Changes) {
        let due = self.survey.is_due(now);
        if due || changed.limits {
            self.caps.renew(&self.ground.levels, now);
        }
        if due {
            let caps = &self.caps;
            self.survey.renew(now, |index| caps.level(index).hard);
            self.resident_bytes = self.ground.resident.bytes().ok();
        } else if changed.events {
            self.survey.renew_events();
        }
    }

    fn own_stat(&mut self) -> Stat {
        match self.ground.own {
            Counter::Level(index) => self.ground.levels[index].stat(&mut self.buffer[..]),
            Counter::Process => Stat::default(),
        }
    }

    /// The usage of the own group; of the process alone only where no group counts it. A group whose
    /// file fails is unknown: the process alone would look calmer than it is.
    fn own(&mut self, stat: &Stat) -> Own {
        let current = self.ground.current(self.ground.own);
        self.survey.moved |= current == Err(Silence::Gone);
        let usage = current.ok().map(|bytes| match self.ground.own {
            Counter::Level(_) => Usage::new(bytes, stat),
            Counter::Process => Usage::resident(bytes),
        });
        Own {
            counter: self.ground.own,
            usage,
            hierarchical_limit: stat.hierarchical_limit.or_else(|| self.hidden_limit()),
            process: self.process.look(&self.ground.resident),
        }
    }

    /// What version 1 says of all limits together where the group that counts the usage does not say it: of the
    /// innermost group that does.
    fn hidden_limit(&mut self) -> Option<u64> {
        let levels = self.ground.levels.iter();
        let mut v1 = levels.filter(|level| level.version == Version::V1);
        v1.find_map(|level| level.stat(&mut self.buffer[..]).hierarchical_limit)
    }

    fn climb(&mut self, own: Own) -> Found {
        let climb = Climb {
            levels: &self.ground.levels,
            caps: &self.caps,
            own,
            fixed_limit: self.fixed_limit,
            slack_bytes: self.ground.slack_bytes,
            buffer: &mut self.buffer[..],
        };
        climb.up()
    }

    fn full(
        &self,
        now: Instant,
        changed: Changes,
        stat: &Stat,
        usage: Option<Usage>,
        found: &Found,
    ) -> Sample {
        let binding = found.tight.map(|tight| tight.binding);
        Sample {
            current_bytes: usage.map(|usage| usage.current),
            working_set_bytes: usage.and_then(|usage| usage.working_set),
            unreclaimable_bytes: usage.map(|usage| usage.unreclaimable),
            stat_at: stat.knows_reclaimable().then_some(now),
            anon_bytes: stat.anon,
            file_bytes: stat.file,
            shmem_bytes: stat.shmem,
            kernel_bytes: stat.kernel,
            swap_bytes: stat.swap.or(self.survey.swap_bytes),
            limit_bytes: found.limit,
            soft_limit_bytes: found.soft_below_hard(),
            swap_limit_bytes: self.survey.swap_limit,
            binding,
            binding_level: found.tight.and_then(|tight| tight.level),
            own: found.own,
            throttle: found.throttle,
            headroom_bytes: binding.map(|binding| binding.headroom_bytes()),
            events: self.survey.events,
            ..self.lost(now, changed)
        }
    }

    /// What is known without the groups.
    fn lost(&self, now: Instant, changed: Changes) -> Sample {
        let (scope, resident_bytes) = match self.ground.own {
            Counter::Level(_) => (Scope::Group, self.resident_bytes),
            Counter::Process => (Scope::Process, self.ground.resident.bytes().ok()),
        };
        Sample {
            at: now,
            scope,
            current_bytes: None,
            working_set_bytes: None,
            unreclaimable_bytes: None,
            stat_at: None,
            anon_bytes: None,
            file_bytes: None,
            shmem_bytes: None,
            kernel_bytes: None,
            swap_bytes: None,
            limit_bytes: Bound::Unknown,
            soft_limit_bytes: None,
            swap_limit_bytes: Bound::Unknown,
            limits_at: self.caps.read_at(),
            binding: None,
            binding_level: None,
            own: None,
            throttle: None,
            headroom_bytes: None,
            resident_bytes,
            events: MemoryEvents::default(),
            throttling: self.survey.throttling,
            surveyed_at: self.survey.at,
            changed,
            moved: self.survey.moved,
        }
    }

    /// Lets level samples and gauges rest on this sample.
    fn keep(&mut self, sample: &Sample, found: &Found) {
        let tight = found.tight.filter(|_| !sample.moved);
        self.base = Some(Base {
            sample: LevelSample::from(sample),
            tight,
            reclaiming: found.reclaiming,
        });
        let caps = &self.caps;
        self.ground
            .follow(tight.as_ref(), |index| caps.level(index));
    }
}
