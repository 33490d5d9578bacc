//! Version 2: one hierarchy for all controllers.
//!
//! Source: kernel `admin-guide/cgroup-v2`.

use std::path::Path;

use super::MemoryFiles;
use crate::cpu::{CpuQuota, ratio};
use crate::file;
use crate::usage::{StatKey, StatLines};

/// The period that `cpu.max` means when it names none.
const DEFAULT_PERIOD_US: &[u8] = b"100000";

/// Memory. `memory.low` and `memory.min` protect and do not limit; they are not asked.
pub(crate) const MEMORY: MemoryFiles = MemoryFiles {
    limit: "memory.max",
    soft_limit: Some("memory.high"),
    current: "memory.current",
    stat: "memory.stat",
    stat_lines: StatLines {
        key: |key| {
            Some(match key {
                b"anon" => StatKey::Anon,
                b"file" => StatKey::File,
                b"kernel" => StatKey::Kernel,
                b"shmem" => StatKey::Shmem,
                b"inactive_file" => StatKey::InactiveFile,
                b"active_file" => StatKey::ActiveFile,
                b"slab_reclaimable" => StatKey::SlabReclaimable,
                _ => return None,
            })
        },
        count: 7,
        near_the_end: false,
    },
    events: "memory.events",
};

/// Whether a group's `cgroup.controllers` can be read and does not list `controller`.
pub(crate) fn lacks_controller(dir: &Path, controller: &str) -> bool {
    file::read_whole(&dir.join("cgroup.controllers")).is_ok_and(|text| {
        let mut names = text.split(u8::is_ascii_whitespace);
        names.all(|name| name != controller.as_bytes())
    })
}

/// The CPU quota of one group; `None` where it has no `cpu.max`.
pub(crate) fn cpu_quota(dir: &Path) -> Option<CpuQuota> {
    let text = file::read_whole(&dir.join("cpu.max")).ok()?;
    Some(parse_cpu_max(&text))
}

/// Reads `cpu.max`: a quota or `max`, and a period, both in microseconds.
pub(crate) fn parse_cpu_max(text: &[u8]) -> CpuQuota {
    let mut words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let quota = words.next().unwrap_or_default();
    let period = words.next().unwrap_or(DEFAULT_PERIOD_US);
    match (quota, words.next()) {
        (_, Some(_)) => CpuQuota::Unknown,
        (b"max", None) => CpuQuota::Unlimited,
        (quota, None) => ratio(quota, period),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cases_48_49_52_54_55_texts_of_cpu_max() {
        let huge = "9223372036854775807 9223372036854775807";
        let cases = [
            ("max 100000\n", CpuQuota::Unlimited),
            ("max", CpuQuota::Unlimited),
            ("150000 100000\n", CpuQuota::Cpus(1.5)),
            ("50000 100000", CpuQuota::Cpus(0.5)),
            ("500000", CpuQuota::Cpus(5.0)),
            (huge, CpuQuota::Cpus(1.0)),
            ("100000 0", CpuQuota::Unknown),
            ("0 100000", CpuQuota::Unknown),
            ("", CpuQuota::Unknown),
            ("asdf 100000", CpuQuota::Unknown),
            ("500000 njn", CpuQuota::Unknown),
            ("1 2 3", CpuQuota::Unknown),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_cpu_max(text.as_bytes()), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_quota_is_positive_and_finite(text in any::<Vec<u8>>()) {
            if let CpuQuota::Cpus(cpus) = parse_cpu_max(&text) {
                prop_assert!(cpus.is_finite() && cpus > 0.0);
            }
        }
    }
}
