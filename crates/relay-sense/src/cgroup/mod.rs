//! Which control groups this process is in, and where they can be read.
//!
//! Everything is decided per controller: on a hybrid system memory may be ruled by version 1 and CPU
//! by version 2, or the other way round. Neither `/proc/cgroups`, nor the file system type of
//! `/sys/fs/cgroup`, nor the order of lines says anything reliable about that.

mod membership;
pub(crate) mod mountinfo;
mod resolve;
pub(crate) mod v1;
pub(crate) mod v2;

pub(crate) use membership::Membership;
pub(crate) use mountinfo::CgroupMount;
pub(crate) use resolve::{Place, Placement};

use crate::usage::StatLines;
use crate::{Root, file, sys};

/// The version of the interface that rules a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// The names under which one version shows the memory of a group.
#[derive(Debug)]
pub(crate) struct MemoryFiles {
    pub(crate) limit: &'static str,
    /// The throttle point; version 1 has none.
    pub(crate) soft_limit: Option<&'static str>,
    pub(crate) current: &'static str,
    pub(crate) stat: &'static str,
    pub(crate) stat_lines: StatLines,
    /// The file with the counter `oom_kill`.
    pub(crate) events: &'static str,
}

/// What the process can see of its control groups, read once.
#[derive(Debug)]
pub(crate) struct View {
    membership: Membership,
    mounts: Vec<CgroupMount>,
    /// Why a part could not be seen.
    obstacle: Option<String>,
    /// Whether this system has control groups at all.
    is_available: bool,
}

// === impl Version ===

impl Version {
    pub(crate) fn memory_files(self) -> &'static MemoryFiles {
        match self {
            Self::V1 => &v1::MEMORY,
            Self::V2 => &v2::MEMORY,
        }
    }
}

// === impl View ===

impl View {
    pub(crate) fn load(root: &Root) -> Self {
        if !root.has_files() {
            return Self {
                membership: Membership::default(),
                mounts: Vec::new(),
                obstacle: None,
                is_available: false,
            };
        }
        let mut obstacle = None;
        let mut read = |abs: &str| {
            let path = root.path(abs);
            file::read_whole(&path)
                .inspect_err(|error| obstacle = Some(format!("{}: {error}", path.display())))
                .unwrap_or_default()
        };
        let membership = Membership::parse(&read("/proc/self/cgroup"));
        let mounts = mountinfo::parse(&read("/proc/self/mountinfo"));
        Self {
            membership,
            mounts,
            obstacle,
            is_available: true,
        }
    }

    /// Where the group of this process lies for `controller`.
    pub(crate) fn place(&self, root: &Root, controller: &str) -> Placement {
        match &self.obstacle {
            _ if !self.is_available => Placement::Absent(sys::NOT_AVAILABLE.to_owned()),
            Some(obstacle) => Placement::Hidden(obstacle.clone()),
            None => resolve::place(root, &self.membership, &self.mounts, controller),
        }
    }

    /// Where the group of this process lies in the unified hierarchy.
    pub(crate) fn unified(&self, root: &Root) -> Placement {
        match &self.obstacle {
            _ if !self.is_available => Placement::Absent(sys::NOT_AVAILABLE.to_owned()),
            Some(obstacle) => Placement::Hidden(obstacle.clone()),
            None => resolve::unified(root, &self.membership, &self.mounts),
        }
    }
}
