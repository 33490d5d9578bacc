//! How much memory a group uses, and how much of it could not be given back.
//!
//! ```text
//! working set   = current − inactive_file
//! unreclaimable = max(current − inactive_file − active_file − slab_reclaimable,  anon + shmem)
//! ```
//!
//! Page cache counts as usage and fills any limit as soon as something writes a file, so usage alone
//! warns falsely; the working set still contains the active part of the cache. What is left after
//! both lists and the reclaimable slab are taken away is what reclaim cannot free without swap. The
//! floor is there because `memory.stat` lags behind the counter, and because files in memory (tmpfs,
//! shared memory) cannot be dropped although they are files. Sources: kernel `admin-guide/cgroup-v2`
//! (`memory.stat`); the working set is that of kubelet, cadvisor and `docker stats`.

use crate::text;

/// The lines that are used here; each version has keys of its own for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatKey {
    Anon,
    /// Page cache, files in memory included.
    File,
    /// All kernel memory. Version 2 prints it since Linux 5.18, version 1 not at all.
    Kernel,
    Shmem,
    /// Version 2 has a file for it.
    Swap,
    InactiveFile,
    ActiveFile,
    SlabReclaimable,
    HierarchicalLimit,
}

/// How one version prints its statistics.
#[derive(Debug)]
pub(crate) struct StatLines {
    /// What a line means, if it is used here.
    pub(crate) key: fn(&[u8]) -> Option<StatKey>,
    /// How many lines are used here.
    pub(crate) count: usize,
    /// Whether they stand near the end.
    pub(crate) near_the_end: bool,
}

/// The lines of `memory.stat` that matter, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) anon: Option<u64>,
    pub(crate) file: Option<u64>,
    pub(crate) shmem: Option<u64>,
    pub(crate) kernel: Option<u64>,
    pub(crate) swap: Option<u64>,
    inactive_file: Option<u64>,
    active_file: Option<u64>,
    slab_reclaimable: Option<u64>,
    /// Version 1: the smallest limit of this group and all above it.
    pub(crate) hierarchical_limit: Option<u64>,
}

/// The memory of one group, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) current: u64,
    pub(crate) working_set: Option<u64>,
    pub(crate) unreclaimable: u64,
}

// === impl Stat ===

impl Stat {
    /// Reads the lines that are used, in whatever order they come. Those are the smaller half and stand
    /// together, so it begins at their end of the file and stops when it has all; the numbers of other
    /// lines are not read at all.
    pub(crate) fn parse(text: &[u8], used: &StatLines) -> Self {
        let mut stat = Self::default();
        let mut lines = text::lines(text);
        let mut missing = used.count;
        while missing > 0 {
            let line = if used.near_the_end {
                lines.next_back()
            } else {
                lines.next()
            };
            let Some(line) = line else { break };
            let Some((key, value)) = text::pair(line) else {
                continue;
            };
            if let Some(key) = (used.key)(key) {
                *stat.slot(key) = text::number(value);
                missing -= 1;
            }
        }
        stat
    }

    fn slot(&mut self, key: StatKey) -> &mut Option<u64> {
        match key {
            StatKey::Anon => &mut self.anon,
            StatKey::File => &mut self.file,
            StatKey::Kernel => &mut self.kernel,
            StatKey::Shmem => &mut self.shmem,
            StatKey::Swap => &mut self.swap,
            StatKey::InactiveFile => &mut self.inactive_file,
            StatKey::ActiveFile => &mut self.active_file,
            StatKey::SlabReclaimable => &mut self.slab_reclaimable,
            StatKey::HierarchicalLimit => &mut self.hierarchical_limit,
        }
    }

    /// Whether what can be reclaimed is known, so that unreclaimable is an estimate and not a bound.
    pub(crate) fn knows_reclaimable(&self) -> bool {
        self.reclaimable_bytes().is_some()
    }

    /// What reclaim could free, where the lists of files are known.
    fn reclaimable_bytes(&self) -> Option<u64> {
        let files = self.inactive_file?.saturating_add(self.active_file?);
        Some(files.saturating_add(self.slab_reclaimable.unwrap_or(0)))
    }

    fn floor_bytes(&self) -> u64 {
        let anon = self.anon.unwrap_or(0);
        anon.saturating_add(self.shmem.unwrap_or(0))
    }
}

// === impl Usage ===

impl Usage {
    /// Without the lists of files, everything counts as unreclaimable: too much rather than too
    /// little.
    pub(crate) fn new(current_bytes: u64, stat: &Stat) -> Self {
        let reclaimable = stat.reclaimable_bytes().unwrap_or(0);
        Self {
            current: current_bytes,
            working_set: stat
                .inactive_file
                .map(|inactive| current_bytes.saturating_sub(inactive)),
            unreclaimable: current_bytes
                .saturating_sub(reclaimable)
                .max(stat.floor_bytes()),
        }
    }

    /// What reclaim can free, as it was counted.
    pub(crate) fn reclaimable(self) -> u64 {
        self.current.saturating_sub(self.unreclaimable)
    }

    /// A process of which only the resident size is known.
    pub(crate) fn resident(bytes: u64) -> Self {
        Self {
            current: bytes,
            working_set: Some(bytes),
            unreclaimable: bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cgroup::{v1, v2};

    const V2: &[u8] = b"foof 1\nanon_thp 5\nanon 40\nfile 50\nshmem 4\ninactive_file 30\n\
        active_file 16\nslab_reclaimable 3\nslab_unreclaimable 2\n";
    const V1: &[u8] = b"cache 1\nrss 1\nshmem 1\ninactive_file 1\nactive_file 1\n\
        hierarchical_memory_limit 512\ntotal_rss 40\ntotal_shmem 4\ntotal_inactive_file 30\n\
        total_active_file 16\n";

    #[test]
    fn file_caches_and_reclaimable_slab_do_not_count() {
        let usage = Usage::new(100, &Stat::parse(V2, &v2::MEMORY.stat_lines));
        assert_eq!(usage.working_set, Some(70));
        assert_eq!(usage.unreclaimable, 51);
    }

    #[test]
    fn version_1_counts_the_subtree() {
        let stat = Stat::parse(V1, &v1::MEMORY.stat_lines);
        assert_eq!(Usage::new(100, &stat).unreclaimable, 54);
        assert_eq!(Usage::new(60, &stat).unreclaimable, 44, "the floor");
        assert_eq!(stat.hierarchical_limit, Some(512));
    }

    #[test]
    fn a_lagging_stat_never_hides_anonymous_and_shared_memory() {
        let usage = Usage::new(60, &Stat::parse(V2, &v2::MEMORY.stat_lines));
        assert_eq!(usage.unreclaimable, 44);
    }

    #[test]
    fn without_a_stat_all_counts() {
        let usage = Usage::new(60, &Stat::default());
        assert_eq!(usage.unreclaimable, 60);
        assert_eq!(usage.working_set, None);
    }

    proptest! {
        #[test]
        fn unreclaimable_lies_between_floor_and_current(
            current: u64, anon: u64, shmem: u64, inactive: u64, active: u64, slab: u64
        ) {
            let text = format!(
                "anon {anon}\nshmem {shmem}\ninactive_file {inactive}\nactive_file {active}\n\
                 slab_reclaimable {slab}\n"
            );
            let usage = Usage::new(current, &Stat::parse(text.as_bytes(), &v2::MEMORY.stat_lines));
            let floor = anon.saturating_add(shmem);
            prop_assert!(usage.unreclaimable >= floor);
            prop_assert!(usage.unreclaimable <= current.max(floor));
            prop_assert!(usage.working_set.unwrap() <= current);
        }

        #[test]
        fn any_bytes_parse(text in any::<Vec<u8>>()) {
            let _ = Stat::parse(&text, &v1::MEMORY.stat_lines);
        }
    }
}
