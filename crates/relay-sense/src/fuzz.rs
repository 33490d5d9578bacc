//! The way in for fuzzers: each parser of text from outside, by name. Not for use.

use crate::cgroup::{Membership, mountinfo, v1, v2};
use crate::counters::{MemoryEvents, Throttling};
use crate::cpu::parse_cpus;
use crate::usage::{Stat, Usage};
use crate::{Bound, Quantity, parse_size, rlimit};

/// `/proc/self/mountinfo`.
pub fn mountinfo(text: &[u8]) {
    let _ = mountinfo::parse(text);
}

/// `/proc/self/cgroup`.
pub fn cgroup(text: &[u8]) {
    let membership = Membership::parse(text);
    let _ = (membership.find("memory"), membership.unified());
}

/// Sizes and ratios that people type.
///
/// # Panics
///
/// When a part is larger than the whole: what a fuzzer looks for.
pub fn size(text: &str) {
    let _ = parse_size(text);
    if let Ok(Quantity::Share(share)) = text.parse() {
        assert!(share.of(1 << 30) <= 1 << 30, "{text:?}");
    }
}

/// Files of one limit, of processors, and `/proc/self/limits`.
pub fn limits(text: &[u8]) {
    let _ = Bound::parse(text);
    let _ = rlimit::soft_bytes(text, b"Max address space ");
    parse_cpus(text);
}

/// Reads any bytes as `memory.stat` of both versions, beside any usage.
///
/// # Panics
///
/// If what follows contradicts itself: that is the finding.
pub fn memory_stat(text: &[u8], current_bytes: u64) {
    for lines in [&v1::MEMORY.stat_lines, &v2::MEMORY.stat_lines] {
        let stat = Stat::parse(text, lines);
        let usage = Usage::new(current_bytes, &stat);
        let pinned = stat
            .anon
            .unwrap_or(0)
            .saturating_add(stat.shmem.unwrap_or(0));
        assert!(usage.unreclaimable >= pinned, "the floor");
        assert!(
            usage.unreclaimable <= current_bytes.max(pinned),
            "the ceiling"
        );
        assert!(usage.reclaimable() <= current_bytes);
        assert!(usage.working_set.is_none_or(|set| set <= current_bytes));
        assert!(
            stat.knows_reclaimable() || usage.reclaimable() == 0,
            "unknown is not calm"
        );
    }
}

/// Reads any bytes as `memory.events`, `memory.oom_control` and `cpu.stat`.
pub fn counters(text: &[u8]) {
    let _ = (MemoryEvents::parse(text), Throttling::parse(text));
}
