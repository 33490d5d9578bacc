//! Swap: how much of it the own group has taken, and how much it may take.
//!
//! Version 2 limits swap apart from memory; version 1 limits the sum of both, so that its swap limit
//! is the sum's less the memory's. Source: kernel `admin-guide/cgroup-v2` (`memory.swap.max`) and
//! `admin-guide/cgroup-v1/memory` (`memory.memsw.limit_in_bytes`).

use crate::cgroup::Version;
use crate::file::HeldFile;
use crate::hierarchy::Hierarchy;
use crate::{Bound, Root};

/// The swap files of every level, behind held descriptors.
#[derive(Debug)]
pub(crate) struct SwapFiles {
    version: Option<Version>,
    /// Version 2 only; version 1 prints it among its statistics.
    current: Option<HeldFile>,
    /// By level; `None` where the kernel does not account swap.
    limits: Vec<Option<HeldFile>>,
}

// === impl SwapFiles ===

impl SwapFiles {
    pub(crate) fn open(root: &Root, hierarchy: &Hierarchy) -> Self {
        let own = hierarchy.own().map(|own| &hierarchy.levels[own]);
        let version = own.map(|own| own.version);
        let limit = match version {
            Some(Version::V1) => "memory.memsw.limit_in_bytes",
            Some(Version::V2) | None => "memory.swap.max",
        };
        let open = |path: &str, name| HeldFile::open(&root.path(path).join(name)).ok();
        Self {
            version,
            current: own
                .filter(|own| own.version == Version::V2)
                .and_then(|own| open(&own.path, "memory.swap.current")),
            limits: hierarchy
                .levels
                .iter()
                .map(|level| open(&level.path, limit))
                .collect(),
        }
    }

    /// The swap of the own group in bytes.
    pub(crate) fn current(&self) -> Option<u64> {
        self.current.as_ref()?.number().ok()
    }

    /// The smallest limit of all levels. `memory` gives the memory limit of each level, which version
    /// 1 needs. A level without the file sets no limit; without any, the limit is unknown.
    pub(crate) fn limit(&self, memory: impl Fn(usize) -> Bound) -> Bound {
        let mut least: Option<Bound> = None;
        for (index, file) in self.limits.iter().enumerate() {
            let Some(file) = file else { continue };
            let read = file.value(Bound::parse).unwrap_or(Bound::Unknown);
            let limit = match self.version {
                Some(Version::V1) => less(read, memory(index)),
                Some(Version::V2) | None => read,
            };
            least = Some(least.map_or(limit, |least| least.tighter(limit)));
        }
        least.unwrap_or(Bound::Unknown)
    }
}

/// The limit of the sum less that of the memory.
fn less(sum: Bound, memory: Bound) -> Bound {
    match (sum, memory) {
        (Bound::Bytes(sum), Bound::Bytes(memory)) => Bound::Bytes(sum.saturating_sub(memory)),
        (Bound::Unlimited, _) => Bound::Unlimited,
        // All of the sum might be taken by swap.
        (Bound::Bytes(sum), Bound::Unlimited) => Bound::Bytes(sum),
        (Bound::Bytes(_), Bound::Unknown) | (Bound::Unknown, _) => Bound::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_46_version_1_limits_the_sum() {
        let limit = Bound::Bytes(512);
        assert_eq!(less(Bound::Unknown, limit), Bound::Unknown);
        assert_eq!(less(Bound::Bytes(512), limit), Bound::Bytes(0));
        assert_eq!(less(Bound::Bytes(1024), limit), Bound::Bytes(512));
        assert_eq!(less(Bound::Unlimited, limit), Bound::Unlimited);
    }
}
