//! The memory of one group in the hierarchy, behind held descriptors.

use crate::cgroup::Version;
use crate::file::{HeldFile, Silence};
use crate::usage::Stat;
use crate::{Bound, Root};

/// Room for `memory.stat`: about 2 KiB on today's kernels, which add a few lines a year.
pub(crate) const STAT_BYTES: usize = 8 << 10;

/// One group, the own one or an ancestor.
#[derive(Debug)]
pub(crate) struct Level {
    /// The group's folder in the machine's own names.
    pub(crate) path: String,
    pub(crate) version: Version,
    limit: Option<HeldFile>,
    soft_limit: Option<HeldFile>,
    current: Option<HeldFile>,
    stat: Option<HeldFile>,
}

// === impl Level ===

impl Level {
    /// Opens a group; `None` where it shows no memory at all: the true root of version 2, a group
    /// for which the controller is off, or one that is gone.
    pub(crate) fn open(
        root: &Root,
        version: Version,
        path: &str,
        notes: &mut Vec<String>,
    ) -> Option<Self> {
        let files = version.memory_files();
        let dir = root.path(path);
        let mut hold = |name: &str| HeldFile::open_optional(&dir.join(name), notes);
        let level = Self {
            path: path.to_owned(),
            version,
            limit: hold(files.limit),
            soft_limit: files.soft_limit.and_then(&mut hold),
            current: hold(files.current),
            stat: hold(files.stat),
        };
        (level.limit.is_some() || level.current.is_some()).then_some(level)
    }

    /// Whether the memory of the process is counted here. Where the controller is off for a group,
    /// its memory is charged to the nearest ancestor for which it is on.
    pub(crate) fn counts_usage(&self) -> bool {
        self.current.is_some()
    }

    /// The hard limit set on this very group.
    pub(crate) fn limit(&self) -> Bound {
        read_bound(self.limit.as_ref())
    }

    /// The limit above which the kernel slows the group down.
    pub(crate) fn soft_limit(&self) -> Bound {
        read_bound(self.soft_limit.as_ref())
    }

    /// The statistics; empty where they cannot be read.
    pub(crate) fn stat(&self, buffer: &mut [u8]) -> Stat {
        self.stat
            .as_ref()
            .and_then(|file| file.read(buffer).ok())
            .map(|text| Stat::parse(text, &self.version.memory_files().stat_lines))
            .unwrap_or_default()
    }

    /// All memory charged to the group and its children now, in bytes.
    pub(crate) fn current(&self) -> Result<u64, Silence> {
        self.current
            .as_ref()
            .map_or(Err(Silence::Unreadable), HeldFile::number)
    }

    /// The file behind [`limit`](Self::limit), for people.
    pub(crate) fn limit_file(&self) -> String {
        format!("{}/{}", self.path, self.version.memory_files().limit)
    }
}

fn read_bound(file: Option<&HeldFile>) -> Bound {
    file.and_then(|file| file.value(Bound::parse))
        .unwrap_or(Bound::Unknown)
}
