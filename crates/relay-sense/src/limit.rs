//! The memory limit: the smallest of all that hold, and why it is that one.

use std::fmt;
use std::path::PathBuf;

use crate::cgroup::Version;
use crate::hierarchy::Hierarchy;
use crate::{Bound, Root, meminfo};

/// Where a limit comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitSource {
    /// `memory.max` of cgroup version 2.
    CgroupV2,
    /// `memory.limit_in_bytes`, or the hierarchical limit, of cgroup version 1.
    CgroupV1,
    /// The caller's configuration.
    Config,
    /// All the memory the machine has: no smaller limit is known.
    Physical,
}

/// The hard memory limit in force, and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimit {
    /// The effective limit: the smallest of every visible level, the machine's memory and the
    /// configuration. It may be zero.
    pub bytes: u64,
    /// Which of them it is.
    pub source: LimitSource,
    /// The control group that sets it, for the cgroup sources.
    pub path: Option<PathBuf>,
    /// The smallest `memory.high` of all visible levels, where it lies below the hard limit: the
    /// kernel slows the process down from there on.
    pub soft_bytes: Option<u64>,
    /// Whether there are control groups above those that can be seen, or may be. Their limits would
    /// bind as well.
    pub ancestors_hidden: bool,
    /// What could not be seen, in words.
    pub notes: Vec<String>,
}

/// The smallest limit so far.
#[derive(Default)]
struct Least<'a> {
    found: Option<(u64, LimitSource)>,
    path: Option<&'a str>,
}

/// Finds the limit; `None` where neither a group, nor the machine, nor the caller tells one.
pub(crate) fn detect(
    root: &Root,
    hierarchy: &Hierarchy,
    configured: Option<u64>,
    notes: &mut Vec<String>,
) -> Option<MemoryLimit> {
    let mut least = Least::default();
    if let Some(bytes) = meminfo::total_bytes(root, notes) {
        least.lower(bytes, LimitSource::Physical, None);
    }
    least.lower_by_groups(hierarchy, notes);
    if let Some(bytes) = configured {
        least.lower(bytes, LimitSource::Config, None);
        least.note_if_above(bytes, notes);
    }
    let (bytes, source) = least.found?;
    Some(MemoryLimit {
        bytes,
        source,
        path: least.path.map(PathBuf::from),
        soft_bytes: soft_limit(hierarchy).filter(|soft| *soft < bytes),
        ancestors_hidden: hierarchy.ancestors_hidden,
        notes: notes.clone(),
    })
}

/// The smallest throttle point of all levels.
fn soft_limit(hierarchy: &Hierarchy) -> Option<u64> {
    let levels = hierarchy.levels.iter();
    levels.filter_map(|level| level.soft_limit().bytes()).min()
}

// === impl LimitSource ===

impl From<Version> for LimitSource {
    fn from(version: Version) -> Self {
        match version {
            Version::V1 => Self::CgroupV1,
            Version::V2 => Self::CgroupV2,
        }
    }
}

impl fmt::Display for LimitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CgroupV2 => "cgroup-v2",
            Self::CgroupV1 => "cgroup-v1",
            Self::Config => "config",
            Self::Physical => "physical",
        })
    }
}

// === impl Least ===

impl<'a> Least<'a> {
    /// Takes a limit into account. The first of two equal ones stays: the machine's memory before a
    /// group's limit that does not lower it, the own group before its ancestors.
    fn lower(&mut self, bytes: u64, source: LimitSource, path: Option<&'a str>) {
        if self.found.is_none_or(|(least, _)| bytes < least) {
            self.found = Some((bytes, source));
            self.path = path;
        }
    }

    fn lower_by_groups(&mut self, hierarchy: &'a Hierarchy, notes: &mut Vec<String>) {
        for level in &hierarchy.levels {
            match level.limit() {
                Bound::Bytes(bytes) => self.lower(bytes, level.version.into(), Some(&level.path)),
                Bound::Unlimited => {}
                Bound::Unknown => notes.push(format!(
                    "{}: not readable as a limit, level ignored",
                    level.limit_file()
                )),
            }
        }
        if let Some((own, bytes)) = hierarchy.hierarchical_limit() {
            self.lower(bytes, own.version.into(), Some(&own.path));
        }
    }

    fn note_if_above(&self, configured: u64, notes: &mut Vec<String>) {
        if let Some((bytes, source)) = self.found.filter(|(bytes, _)| *bytes < configured) {
            notes.push(format!(
                "the configured limit of {configured} bytes lies above the {bytes} bytes of \
                 {source}, which hold"
            ));
        }
    }
}
