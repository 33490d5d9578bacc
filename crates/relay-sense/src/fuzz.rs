//! The way in for fuzzers: each parser of text from outside, by name. Not for use.

use crate::cgroup::{Membership, mountinfo};
use crate::cpu::parse_cpus;
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
