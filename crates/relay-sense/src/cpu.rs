//! How much processor this process may use.
//!
//! ```text
//! usable         = scheduler's mask ∩ cpuset ∩ processors that run
//! quota          = min over levels of quota ÷ period
//! worker_threads = max(1, min(usable, ⌊quota⌋))
//! ```
//!
//! The quota is a ratio of microseconds per period, so it stays a fraction; of all levels the
//! smallest *ratio* binds, since periods differ. Shares and weights are no limits. A burst does not
//! raise what may be used for long. Sources: kernel `admin-guide/cgroup-v2` (`cpu.max`),
//! `scheduler/sched-bwc`, and `sched_setaffinity(2)`.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::cgroup::{Place, Placement, Version, View, v1, v2};
use crate::{Root, text};

mod affinity;
mod set;

use affinity::Affinity;
pub(crate) use set::CpuSet;

/// A share of processors. *No limit* and *unknown* are different.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CpuQuota {
    /// As much time as this many processors give: positive and finite.
    Cpus(f64),
    /// It was read, and there is no limit.
    Unlimited,
    /// It could not be read, so there may be one.
    Unknown,
}

/// Which interface the quota was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CpuSource {
    /// `cpu.max` of cgroup version 2.
    CgroupV2,
    /// `cpu.cfs_quota_us` of cgroup version 1.
    CgroupV1,
}

/// What limits the processors of this process.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CpuLimit {
    /// The smallest quota of all visible levels.
    pub quota: CpuQuota,
    /// Where the quota comes from; `None` where none binds.
    pub source: Option<CpuSource>,
    /// The group whose quota it is.
    pub path: Option<PathBuf>,
    /// How many processors the process may run on: those of its scheduling mask and of its cpuset
    /// that the machine runs. `None` where none of the three can be read.
    pub affinity_cpus: Option<NonZeroUsize>,
    /// How many of the machine's processors the cpuset of its control group names, where one can be
    /// read.
    pub cpuset_cpus: Option<NonZeroUsize>,
    /// Where the kernel counts how often the quota stopped this process.
    pub throttling: Option<ThrottleFile>,
}

/// The `cpu.stat` of the own control group, or of the nearest above that has one.
///
/// Both interfaces count stops in `nr_throttled`. The time lost is `throttled_usec` (µs) on version 2
/// and `throttled_time` (ns) on version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThrottleFile {
    /// Which interface the file belongs to.
    pub source: CpuSource,
    /// The file, in the machine's own names.
    pub path: PathBuf,
}

/// A quota over a period, both as text in microseconds. A zero on either side, seen in the field,
/// says nothing.
pub(crate) fn ratio(quota_us: &[u8], period_us: &[u8]) -> CpuQuota {
    match (text::number(quota_us), text::number(period_us)) {
        (Some(quota @ 1..), Some(period @ 1..)) => CpuQuota::Cpus(quota as f64 / period as f64),
        _ => CpuQuota::Unknown,
    }
}

/// Reads every text about processors, for fuzzing.
pub(crate) fn parse_cpus(text: &[u8]) {
    let _ = set::CpuSet::parse(text).map(|set| set.count());
    let _ = v2::parse_cpu_max(text);
}

pub(crate) fn detect(root: &Root, view: &View, notes: &mut Vec<String>) -> CpuLimit {
    let Affinity { usable, cpuset } = affinity::detect(root, view, notes);
    let mut limit = CpuLimit {
        quota: CpuQuota::Unlimited,
        source: None,
        path: None,
        affinity_cpus: usable,
        cpuset_cpus: cpuset,
        throttling: None,
    };
    match view.place(root, "cpu") {
        Placement::Seen(place) => {
            limit.throttling = throttling(root, &place);
            for level in &place.levels {
                limit.narrow(root, place.version, level, notes);
            }
        }
        Placement::Absent(_) if root.has_files() => {}
        Placement::Absent(reason) | Placement::Hidden(reason) => {
            limit.quota = CpuQuota::Unknown;
            notes.push(format!("CPU quota unknown: {reason}"));
        }
    }
    limit
}

fn throttling(root: &Root, place: &Place) -> Option<ThrottleFile> {
    let mut files = place.levels.iter().map(|level| format!("{level}/cpu.stat"));
    let file = files.find(|file| root.path(file).is_file())?;
    Some(ThrottleFile {
        source: place.version.into(),
        path: PathBuf::from(file),
    })
}

// === impl CpuLimit ===

impl CpuLimit {
    /// How many threads of steady work fit: the smaller of affinity and quota, the quota rounded
    /// **down**, at least one.
    ///
    /// Down, as [`std::thread::available_parallelism`] does it: one busy thread more than the quota
    /// exhausts it before the period ends, and then every thread of the process is stopped until the
    /// next, the one that watches memory included. Whoever prefers to round up finds the exact
    /// number in [`quota`](Self::quota).
    ///
    /// ```
    /// use relay_sense::{Root, detect};
    ///
    /// let cpu = detect(&Root::system(), None)?.cpu;
    /// println!("{} worker threads", cpu.worker_threads());
    /// # Ok::<(), relay_sense::SenseError>(())
    /// ```
    pub fn worker_threads(&self) -> NonZeroUsize {
        self.known_worker_threads().unwrap_or(NonZeroUsize::MIN)
    }

    /// [`worker_threads`](Self::worker_threads), but `None` where neither a quota nor the number of
    /// processors is known.
    pub fn known_worker_threads(&self) -> Option<NonZeroUsize> {
        let by_quota = match self.quota {
            CpuQuota::Cpus(cpus) => NonZeroUsize::new(cpus as usize).or(Some(NonZeroUsize::MIN)),
            CpuQuota::Unlimited | CpuQuota::Unknown => None,
        };
        let limits = [by_quota, self.affinity_cpus];
        limits.into_iter().flatten().min()
    }

    /// Takes one more level into account.
    fn narrow(&mut self, root: &Root, version: Version, level: &str, notes: &mut Vec<String>) {
        let dir = root.path(level);
        let quota = match version {
            Version::V1 => v1::cpu_quota(&dir),
            Version::V2 => v2::cpu_quota(&dir),
        };
        match (quota, self.quota) {
            (Some(CpuQuota::Unknown), known) => {
                notes.push(format!("{level}: CPU quota not readable, level ignored"));
                if known == CpuQuota::Unlimited {
                    self.quota = CpuQuota::Unknown;
                }
            }
            (Some(CpuQuota::Cpus(cpus)), CpuQuota::Cpus(least)) if cpus >= least => {}
            (Some(quota @ CpuQuota::Cpus(_)), _) => {
                self.quota = quota;
                self.source = Some(version.into());
                self.path = Some(PathBuf::from(level));
            }
            (Some(CpuQuota::Unlimited) | None, _) => {}
        }
    }
}

// === impl CpuSource ===

impl From<Version> for CpuSource {
    fn from(version: Version) -> Self {
        match version {
            Version::V1 => Self::CgroupV1,
            Version::V2 => Self::CgroupV2,
        }
    }
}

impl fmt::Display for CpuSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CgroupV2 => "cgroup-v2",
            Self::CgroupV1 => "cgroup-v1",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn worker_threads_fit_both_limits(
            cpus in 0.001_f64..1000.0, allowed in 1_usize..1000
        ) {
            let limit = CpuLimit {
                quota: CpuQuota::Cpus(cpus),
                source: None,
                path: None,
                affinity_cpus: NonZeroUsize::new(allowed),
                cpuset_cpus: None,
                throttling: None,
            };
            let threads = limit.worker_threads().get();
            prop_assert!(threads <= allowed);
            prop_assert!(threads as f64 <= cpus.max(1.0));
        }
    }
}
