//! What the kernel has counted so far: limits that were hit, processes it killed, time it took away.
//!
//! Keys are matched whole, and one that is missing is unknown, not zero: kernels add keys over time.
//! Sources: kernel `admin-guide/cgroup-v2` (`memory.events`, `cpu.stat`), `admin-guide/cgroup-v1/memory`
//! (`memory.failcnt`, `memory.oom_control`), `scheduler/sched-bwc`.

use std::time::Duration;

use crate::cgroup::{Placement, Version, View};
use crate::file::HeldFile;
use crate::hierarchy::Hierarchy;
use crate::{Root, text};

/// Room for any of these files; the largest, `cpu.stat`, has about a dozen lines.
const COUNTERS_BYTES: usize = 1 << 10;

/// Events of the own memory group and those below it, each counted since the group was made.
///
/// `None` where this kernel does not count it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryEvents {
    /// Memory was reclaimed although the group was below its protection (`memory.low`).
    pub low: Option<u64>,
    /// The group passed `memory.high` and was throttled. Growth means: act now.
    pub high: Option<u64>,
    /// An allocation met the hard limit and reclaim was tried; ordinary where files are read. On
    /// version 1 this is `memory.failcnt`.
    pub max: Option<u64>,
    /// Reclaim did not help, so a process is killed or its allocation fails.
    pub oom: Option<u64>,
    /// Processes that were killed for want of memory, whosever limit it was.
    pub oom_kill: Option<u64>,
    /// How often the group was killed as a whole.
    pub oom_group_kill: Option<u64>,
}

/// How often, and for how long in all, the processor quota has stopped this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Throttling {
    /// The time for which threads were stopped, summed over processors.
    pub throttled: Duration,
    /// Quota periods in which they were.
    pub throttled_periods: u64,
    /// Quota periods in which something ran at all.
    pub periods: u64,
}

/// The counters of the own memory group, behind held descriptors.
#[derive(Debug)]
pub(crate) struct EventFiles {
    events: Option<HeldFile>,
    /// Version 1 counts hits of the limit in a file of their own.
    hits: Option<HeldFile>,
}

/// `cpu.stat` of every level: an ancestor's quota stops this process as well.
#[derive(Debug)]
pub(crate) struct ThrottlingFiles {
    levels: Vec<HeldFile>,
}

// === impl MemoryEvents ===

impl MemoryEvents {
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut events = Self::default();
        for (key, value) in text::fields(text) {
            let slot = match key {
                b"low" => &mut events.low,
                b"high" => &mut events.high,
                b"max" => &mut events.max,
                b"oom" => &mut events.oom,
                b"oom_kill" => &mut events.oom_kill,
                b"oom_group_kill" => &mut events.oom_group_kill,
                _ => continue,
            };
            *slot = Some(value);
        }
        events
    }
}

// === impl Throttling ===

impl Throttling {
    /// Version 2 counts in microseconds, version 1 in nanoseconds; each has a key of its own. `None`
    /// where the group has no quota to be stopped by.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (mut found, mut throttling) = (false, Self::default());
        for (key, value) in text::fields(text) {
            match key {
                b"nr_periods" => throttling.periods = value,
                b"nr_throttled" => throttling.throttled_periods = value,
                b"throttled_usec" => throttling.throttled = Duration::from_micros(value),
                b"throttled_time" => throttling.throttled = Duration::from_nanos(value),
                _ => continue,
            }
            found = true;
        }
        found.then_some(throttling)
    }
}

// === impl EventFiles ===

impl EventFiles {
    pub(crate) fn open(root: &Root, hierarchy: &Hierarchy) -> Self {
        let own = hierarchy.own().map(|own| &hierarchy.levels[own]);
        let open = |name| {
            let dir = root.path(&own?.path);
            HeldFile::open(&dir.join(name)).ok()
        };
        let version = own.map(|own| own.version);
        Self {
            events: version.and_then(|version| open(version.memory_files().events)),
            hits: version
                .filter(|version| *version == Version::V1)
                .and_then(|_| open("memory.failcnt")),
        }
    }

    pub(crate) fn read(&self) -> MemoryEvents {
        let mut buffer = [0; COUNTERS_BYTES];
        let text = self
            .events
            .as_ref()
            .and_then(|file| file.read(&mut buffer).ok());
        let events = text.map(MemoryEvents::parse).unwrap_or_default();
        let hits = self.hits.as_ref().and_then(|file| file.number().ok());
        MemoryEvents {
            max: events.max.or(hits),
            ..events
        }
    }
}

// === impl ThrottlingFiles ===

impl ThrottlingFiles {
    pub(crate) fn open(root: &Root, view: &View) -> Self {
        let paths = match view.place(root, "cpu") {
            Placement::Seen(place) => place.levels,
            Placement::Hidden(_) | Placement::Absent(_) => Vec::new(),
        };
        let files = paths.iter().map(|path| root.path(path).join("cpu.stat"));
        Self {
            levels: files
                .filter_map(|path| HeldFile::open(&path).ok())
                .collect(),
        }
    }

    /// The level that was stopped longest: the stops of several levels overlap, so a sum would count
    /// the same moment twice.
    pub(crate) fn read(&self) -> Option<Throttling> {
        let mut buffer = [0; COUNTERS_BYTES];
        let levels = self.levels.iter();
        levels
            .filter_map(|file| Throttling::parse(file.read(&mut buffer).ok()?))
            .max()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_65_events_match_whole_keys_and_may_be_missing() {
        let events = MemoryEvents::parse(
            b"low 0\nhigh 2\nmax 9\noom 4\noom_kill_new 8\noom_kill 3\nfuture 1\n",
        );
        assert_eq!(events.low, Some(0));
        assert_eq!((events.high, events.max), (Some(2), Some(9)));
        assert_eq!((events.oom, events.oom_kill), (Some(4), Some(3)));
        assert_eq!(events.oom_group_kill, None, "unknown, not zero");
    }

    #[test]
    fn stops_are_counted_in_micro_or_nanoseconds() {
        let v2 = b"usage_usec 5\nuser_usec 1\nnr_periods 10\nnr_throttled 3\nthrottled_usec 1500\n";
        let v1 = b"nr_periods 10\nnr_throttled 3\nthrottled_time 1500000\nnr_bursts 0\n";
        let expected = Throttling {
            throttled: Duration::from_micros(1500),
            throttled_periods: 3,
            periods: 10,
        };
        assert_eq!(Throttling::parse(v2), Some(expected));
        assert_eq!(Throttling::parse(v1), Some(expected));
        assert_eq!(Throttling::parse(b"usage_usec 5\n"), None, "no quota here");
    }

    proptest! {
        #[test]
        fn any_bytes_parse(text in any::<Vec<u8>>()) {
            let _ = (MemoryEvents::parse(&text), Throttling::parse(&text));
        }
    }
}
