//! Which processors the process may run on.
//!
//! Three sets, of which all hold: what the scheduler allows (`sched_setaffinity(2)`), what the
//! control group allows (its cpuset), and which processors run at all. The first contains the second
//! on a live system, but the mask that `/proc` shows also names processors that the machine does not
//! have.

use std::num::NonZeroUsize;

use super::set::CpuSet;
use crate::cgroup::{Place, Placement, Version, View};
use crate::{Root, file, sys};

/// Processors that may be used; `None` is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Affinity {
    pub(crate) usable: Option<NonZeroUsize>,
    pub(crate) cpuset: Option<NonZeroUsize>,
}

pub(crate) fn detect(root: &Root, view: &View, notes: &mut Vec<String>) -> Affinity {
    let cpuset = match view.place(root, "cpuset") {
        Placement::Seen(place) => cpuset(root, &place),
        Placement::Hidden(_) | Placement::Absent(_) => None,
    };
    let online = listed(root, "/sys/devices/system/cpu/online");
    let sets = [allowed(root), cpuset.clone(), online];
    let usable = sets.into_iter().flatten().reduce(|usable, set| {
        usable.intersection(&set).unwrap_or_else(|| {
            notes.push("the processors allowed and those present exclude each other".to_owned());
            usable
        })
    });
    if usable.is_none() {
        notes.push(format!(
            "{}: no line `Cpus_allowed_list`: number of processors unknown",
            root.path("/proc/self/status").display()
        ));
    }
    Affinity {
        usable: usable.as_ref().and_then(count),
        cpuset: cpuset.as_ref().and_then(count),
    }
}

fn count(set: &CpuSet) -> Option<NonZeroUsize> {
    NonZeroUsize::new(set.count())
}

/// What the scheduler allows: `/proc/self/status`, which a folder can hold; where a sandbox leaves
/// the line out, the running system is asked.
fn allowed(root: &Root) -> Option<CpuSet> {
    if !root.has_files() {
        return sys::allowed_cpus();
    }
    let status = file::read_whole(&root.path("/proc/self/status")).unwrap_or_default();
    let listed = status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Cpus_allowed_list:"))
        .and_then(CpuSet::parse);
    if listed.is_some() || !root.is_system() {
        return listed;
    }
    sys::allowed_cpus()
}

/// What the nearest group says that says anything. A group for which the controller is off has the
/// processors of its parent.
fn cpuset(root: &Root, place: &Place) -> Option<CpuSet> {
    let name = match place.version {
        Version::V1 => "cpuset.effective_cpus",
        Version::V2 => "cpuset.cpus.effective",
    };
    let mut levels = place.levels.iter();
    levels.find_map(|level| listed(root, &format!("{level}/{name}")))
}

fn listed(root: &Root, abs: &str) -> Option<CpuSet> {
    if !root.has_files() {
        return None;
    }
    CpuSet::parse(&file::read_whole(&root.path(abs)).ok()?)
}
