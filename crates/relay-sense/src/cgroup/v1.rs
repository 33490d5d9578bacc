//! Version 1: one hierarchy per controller or set of controllers.
//!
//! Source: kernel `admin-guide/cgroup-v1/memory` and `scheduler/sched-bwc`.

use std::path::Path;

use super::MemoryFiles;
use crate::cpu::{CpuQuota, ratio};
use crate::file;
use crate::usage::{StatKey, StatLines};

/// Memory. The keys with `total_` cover the whole subtree, the bare ones miss children; `rss` is
/// what version 2 calls `anon`. `memory.soft_limit_in_bytes` throttles nothing and is not asked.
pub(crate) const MEMORY: MemoryFiles = MemoryFiles {
    limit: "memory.limit_in_bytes",
    soft_limit: None,
    current: "memory.usage_in_bytes",
    stat: "memory.stat",
    stat_lines: StatLines {
        key: |key| {
            Some(match key {
                b"total_rss" => StatKey::Anon,
                b"total_cache" => StatKey::File,
                b"total_shmem" => StatKey::Shmem,
                b"total_swap" => StatKey::Swap,
                b"total_inactive_file" => StatKey::InactiveFile,
                b"total_active_file" => StatKey::ActiveFile,
                b"hierarchical_memory_limit" => StatKey::HierarchicalLimit,
                _ => return None,
            })
        },
        count: 7,
        near_the_end: true,
    },
    events: "memory.oom_control",
};

/// Whether this group says that the memory of children is not charged to their parents. A parent
/// that charges its children hands that on, so a child that says so speaks for its parent too. No
/// group says so since Linux 5.11.
pub(crate) fn stands_alone(dir: &Path) -> bool {
    let answer = file::read_whole(&dir.join("memory.use_hierarchy"));
    answer.is_ok_and(|text| text.trim_ascii() == b"0")
}

/// The CPU quota of one group; `None` where it has no such files.
pub(crate) fn cpu_quota(dir: &Path) -> Option<CpuQuota> {
    let quota = file::read_whole(&dir.join("cpu.cfs_quota_us")).ok()?;
    if quota.trim_ascii() == b"-1" {
        return Some(CpuQuota::Unlimited);
    }
    let period = file::read_whole(&dir.join("cpu.cfs_period_us")).ok()?;
    Some(ratio(quota.trim_ascii(), period.trim_ascii()))
}
