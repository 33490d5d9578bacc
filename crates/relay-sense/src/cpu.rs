//! How much processor this process may use.
//!
//! The quota is a ratio of microseconds per period, so it stays a fraction; of all levels the
//! smallest *ratio* binds, since periods differ. Shares and weights are no limits. A burst does not
//! raise what may be used for long. Sources: kernel `admin-guide/cgroup-v2` (`cpu.max`),
//! `scheduler/sched-bwc`, and `sched_setaffinity(2)`.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::cgroup::{Placement, Version, View, v1, v2};
use crate::{Root, file, text};

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
    /// How many processors the process may run on (affinity, which includes cpusets).
    pub affinity_cpus: Option<NonZeroUsize>,
}

/// A quota over a period, both as text in microseconds. A zero on either side, seen in the field,
/// says nothing.
pub(crate) fn ratio(quota_us: &[u8], period_us: &[u8]) -> CpuQuota {
    match (text::number(quota_us), text::number(period_us)) {
        (Some(quota @ 1..), Some(period @ 1..)) => CpuQuota::Cpus(quota as f64 / period as f64),
        _ => CpuQuota::Unknown,
    }
}

pub(crate) fn detect(root: &Root, view: &View, notes: &mut Vec<String>) -> CpuLimit {
    let mut limit = CpuLimit {
        quota: CpuQuota::Unlimited,
        source: None,
        path: None,
        affinity_cpus: affinity(root),
    };
    match view.place(root, "cpu") {
        Placement::Seen(place) => {
            for level in &place.levels {
                limit.narrow(root, place.version, level, notes);
            }
        }
        Placement::Absent(_) => {}
        Placement::Hidden(reason) => {
            limit.quota = CpuQuota::Unknown;
            notes.push(format!("CPU quota unknown: {reason}"));
        }
    }
    limit
}

/// The processors the process may run on, from `/proc/self/status`, which a folder can hold; where a
/// sandbox leaves the line out, from the running system.
fn affinity(root: &Root) -> Option<NonZeroUsize> {
    let status = file::read_whole(&root.path("/proc/self/status")).unwrap_or_default();
    let listed = status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Cpus_allowed_list:"))
        .and_then(|list| count_cpus(list.trim_ascii()));
    let count = match listed {
        None if root.is_system() => rustix::thread::sched_getaffinity(None)
            .ok()
            .map(|set| set.count() as usize),
        listed => listed,
    };
    count.and_then(NonZeroUsize::new)
}

/// Counts a list such as `0-3,7`; `None` where it is not one.
fn count_cpus(list: &[u8]) -> Option<usize> {
    list.split(|byte| *byte == b',')
        .try_fold(0_usize, |sum, range| {
            let mut ends = range.splitn(2, |byte| *byte == b'-');
            let from = text::number(ends.next()?)?;
            let to = ends.next().map_or(Some(from), text::number)?;
            let count = to.checked_sub(from)?.checked_add(1)?;
            sum.checked_add(usize::try_from(count).ok()?)
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
        let by_quota = match self.quota {
            CpuQuota::Cpus(cpus) => NonZeroUsize::new(cpus as usize).or(Some(NonZeroUsize::MIN)),
            CpuQuota::Unlimited | CpuQuota::Unknown => None,
        };
        let limits = [by_quota, self.affinity_cpus];
        let least = limits.into_iter().flatten().min();
        least.unwrap_or(NonZeroUsize::MIN)
    }

    /// Takes one more level into account.
    fn narrow(&mut self, root: &Root, version: Version, level: &str, notes: &mut Vec<String>) {
        let dir = root.path(level);
        let (quota, source) = match version {
            Version::V1 => (v1::cpu_quota(&dir), CpuSource::CgroupV1),
            Version::V2 => (v2::cpu_quota(&dir), CpuSource::CgroupV2),
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
                self.source = Some(source);
                self.path = Some(PathBuf::from(level));
            }
            (Some(CpuQuota::Unlimited) | None, _) => {}
        }
    }
}

// === impl CpuSource ===

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

    #[test]
    fn cpu_lists_are_counted() {
        let cases: [(&[u8], Option<usize>); 7] = [
            (b"0-1", Some(2)),
            (b"3", Some(1)),
            (b"0-3,7,9-10", Some(7)),
            (b"", None),
            (b"3-1", None),
            (b"0-18446744073709551615", None),
            (b"a-b", None),
        ];
        for (list, expected) in cases {
            assert_eq!(count_cpus(list), expected, "{list:?}");
        }
    }

    proptest! {
        #[test]
        fn any_list_parses(list in any::<Vec<u8>>()) {
            let _ = count_cpus(&list);
        }

        #[test]
        fn worker_threads_fit_both_limits(
            cpus in 0.001_f64..1000.0, allowed in 1_usize..1000
        ) {
            let limit = CpuLimit {
                quota: CpuQuota::Cpus(cpus),
                source: None,
                path: None,
                affinity_cpus: NonZeroUsize::new(allowed),
            };
            let threads = limit.worker_threads().get();
            prop_assert!(threads <= allowed);
            prop_assert!(threads as f64 <= cpus.max(1.0));
        }
    }
}
