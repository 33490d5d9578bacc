//! Level samples and gauges: what they may believe between two full samples.

use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use relay_sense::{Bound, LevelSample};

use crate::machine::{MIB, Machine};

const A: &str = "/sys/fs/cgroup/a";

/// A group with this limit, usage, and part of it that is page cache, all in MiB.
fn group(machine: &Machine, dir: &str, limit: u64, current: u64, cache: u64) {
    machine.file(&format!("{dir}/memory.max"), &(limit * MIB).to_string());
    usage(machine, dir, current, cache);
}

fn usage(machine: &Machine, dir: &str, current: u64, cache: u64) {
    let stat = format!(
        "anon {}\nfile {cache}\ninactive_file {}\nactive_file 0\n",
        (current - cache) * MIB,
        cache * MIB,
        cache = cache * MIB
    );
    machine.file(
        &format!("{dir}/memory.current"),
        &(current * MIB).to_string(),
    );
    machine.file(&format!("{dir}/memory.stat"), &stat);
}

fn soon(at: Instant) -> Instant {
    at + Duration::from_millis(20)
}

fn rested(level: &LevelSample) -> bool {
    level.full_at < level.at
}

#[test]
fn growth_counts_as_unreclaimable_and_shrinkage_is_not_believed() {
    let machine = Machine::v2("/a", &[]);
    group(&machine, A, 200, 50, 20);
    let (mut sampler, start) = (machine.sampler(), Instant::now());
    assert_eq!(sampler.sample(start).unreclaimable_bytes, Some(30 * MIB));

    usage(&machine, A, 60, 20);
    let grown = sampler.level(soon(start));
    assert!(rested(&grown), "{grown:?}");
    assert_eq!(grown.current_bytes, Some(60 * MIB));
    assert_eq!(grown.unreclaimable_bytes, Some(40 * MIB));
    assert_eq!(grown.headroom_bytes, Some(160 * MIB));

    usage(&machine, A, 40, 10);
    let shrunk = sampler.level(soon(start));
    assert!(rested(&shrunk));
    assert_eq!(shrunk.current_bytes, Some(40 * MIB));
    assert_eq!(
        shrunk.unreclaimable_bytes,
        Some(30 * MIB),
        "only a full sample relieves"
    );
    assert_eq!(
        sampler.sample(soon(start)).unreclaimable_bytes,
        Some(30 * MIB)
    );
}

/// At the limit the usage stands still while the kernel turns caches into memory that stays.
#[test]
fn at_the_limit_a_level_sample_is_a_full_one() {
    let machine = Machine::v2("/a", &[]);
    group(&machine, A, 512, 512, 300);
    let (mut sampler, start) = (machine.sampler(), Instant::now());
    assert_eq!(sampler.level(start).headroom_bytes, Some(300 * MIB));

    usage(&machine, A, 512, 10);
    let level = sampler.level(soon(start));
    assert!(!rested(&level), "{level:?}");
    assert_eq!(level.headroom_bytes, Some(10 * MIB));
}

#[test]
fn reaching_the_limit_is_noticed_between_full_samples() {
    let machine = Machine::v2("/a", &[]);
    group(&machine, A, 512, 200, 100);
    let (mut sampler, start) = (machine.sampler(), Instant::now());
    sampler.sample(start);
    usage(&machine, A, 512, 100);
    let level = sampler.level(soon(start));
    assert!(!rested(&level));
    assert_eq!(level.headroom_bytes, Some(100 * MIB));
}

/// A parent that is full of its own caches does not bind, yet reclaims from its children.
#[test]
fn a_full_parent_reclaims_from_its_children() {
    let machine = Machine::v2("/a/b", &[]);
    group(&machine, "/sys/fs/cgroup/a/b", 200, 100, 80);
    group(&machine, A, 1000, 1000, 900);
    let (mut sampler, start) = (machine.sampler(), Instant::now());
    assert_eq!(sampler.sample(start).headroom_bytes, Some(180 * MIB));
    usage(&machine, "/sys/fs/cgroup/a/b", 100, 0);
    assert_eq!(
        sampler.level(soon(start)).headroom_bytes,
        Some(100 * MIB),
        "its caches are gone, and its usage is the same"
    );
}

#[test]
fn the_throttle_point_reclaims_too() {
    let machine = Machine::v2("/a", &[]);
    group(&machine, A, 4096, 1000, 500);
    machine.file("/sys/fs/cgroup/a/memory.high", &(1000 * MIB).to_string());
    let (mut sampler, start) = (machine.sampler(), Instant::now());
    sampler.sample(start);
    assert!(!rested(&sampler.level(soon(start))));
}

#[test]
fn a_level_sample_rests_on_nothing_older_than_100_ms() {
    let machine = Machine::v2("/a", &[]);
    group(&machine, A, 200, 50, 20);
    let (mut sampler, start) = (machine.sampler(), Instant::now());
    sampler.sample(start);
    assert!(rested(&sampler.level(start + Duration::from_millis(99))));
    assert!(!rested(&sampler.level(start + Duration::from_millis(100))));
}

#[test]
fn the_binding_parent_is_followed() {
    let machine = Machine::v2("/a/b", &[]);
    group(&machine, "/sys/fs/cgroup/a/b", 200, 50, 0);
    group(&machine, A, 500, 420, 20);
    let (mut sampler, start) = (machine.sampler(), Instant::now());
    assert_eq!(sampler.sample(start).headroom_bytes, Some(100 * MIB));
    usage(&machine, A, 450, 20);
    let level = sampler.level(soon(start));
    assert!(rested(&level));
    assert_eq!(level.current_bytes, Some(50 * MIB), "of the own group");
    assert_eq!(level.headroom_bytes, Some(70 * MIB), "of the parent");
}

#[test]
fn a_silent_counter_is_unknown_in_a_level_sample_too() {
    let machine = Machine::v2("/a", &[]);
    group(&machine, A, 200, 50, 20);
    let (mut sampler, start) = (machine.sampler(), Instant::now());
    sampler.sample(start);
    machine.file("/sys/fs/cgroup/a/memory.current", "");
    let level = sampler.level(soon(start));
    assert_eq!((level.current_bytes, level.headroom_bytes), (None, None));
    assert_eq!(sampler.gauge().headroom_bytes(), None);
}

#[test]
fn a_gauge_follows_the_level_that_binds() {
    let machine = Machine::v2("/a/b", &[]);
    group(&machine, "/sys/fs/cgroup/a/b", 200, 50, 10);
    group(&machine, A, 500, 60, 10);
    let (mut sampler, start) = (machine.sampler(), Instant::now());
    let gauge = sampler.gauge();
    assert_eq!(
        gauge.headroom_bytes(),
        None,
        "unknown before the first sample"
    );

    sampler.sample(start);
    assert_eq!(gauge.headroom_bytes(), Some(160 * MIB));
    usage(&machine, "/sys/fs/cgroup/a/b", 90, 10);
    assert_eq!(gauge.headroom_bytes(), Some(120 * MIB));

    usage(&machine, A, 480, 0);
    sampler.sample(start);
    assert_eq!(
        gauge.headroom_bytes(),
        Some(20 * MIB),
        "the parent binds now"
    );
    let elsewhere = gauge.clone();
    let there = thread::spawn(move || elsewhere.headroom_bytes());
    assert_eq!(there.join().unwrap(), Some(20 * MIB));
}

#[test]
fn a_gauge_reads_the_statistics_at_the_limit() {
    let machine = Machine::v2("/a", &[]);
    group(&machine, A, 512, 512, 300);
    let mut sampler = machine.sampler();
    sampler.sample(Instant::now());
    usage(&machine, A, 512, 10);
    assert_eq!(sampler.gauge().headroom_bytes(), Some(10 * MIB));
}

#[test]
fn a_gauge_without_a_group_reads_the_resident_size() {
    let machine = Machine::v2("/a", &[("/a", "67108864")]);
    machine.file("/proc/self/statm", "1000 300 100 1 0 200 0\n");
    let mut sampler = machine.sampler();
    let sample = sampler.sample(Instant::now());
    assert_eq!(sampler.gauge().headroom_bytes(), sample.headroom_bytes);
    let grown = sample.resident_bytes.unwrap() / 3;
    machine.file("/proc/self/statm", "1000 400 100 1 0 200 0\n");
    let less = sample.headroom_bytes.map(|bytes| bytes - grown);
    assert_eq!(sampler.gauge().headroom_bytes(), less);
    assert_eq!(sampler.level(sample.at).headroom_bytes, less);
}

/// Its statistics would bind, had they been read: they contradict its counter.
#[test]
fn the_statistics_of_a_parent_that_cannot_bind_are_not_read() {
    let machine = Machine::v2("/a/b", &[]);
    group(&machine, "/sys/fs/cgroup/a/b", 200, 100, 50);
    group(&machine, A, 500, 110, 0);
    machine.file(
        "/sys/fs/cgroup/a/memory.stat",
        &format!("anon {}\n", 499 * MIB),
    );
    let mut sampler = machine.sampler();
    assert_eq!(
        sampler.sample(Instant::now()).headroom_bytes,
        Some(150 * MIB)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Reading fewer files finds the same room as reading all of them.
    #[test]
    fn the_room_is_the_least_of_all_levels(
        own in (1_u64..2000, 0_u64..1000),
        siblings in proptest::collection::vec((0_u64..1000, 0_u64..1000), 3),
        limits in proptest::collection::vec(1_u64..8000, 4),
    ) {
        let machine = Machine::v2("/a/b/c", &[]);
        let dirs = ["/sys/fs/cgroup/a/b/c", "/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"];
        let (mut stays, mut cache) = own;
        let mut least = 16 * 1024 - stays;
        for (level, dir) in dirs.iter().enumerate() {
            if level > 0 {
                let (more_stays, more_cache) = siblings[level - 1];
                stays += more_stays;
                cache += more_cache;
            }
            group(&machine, dir, limits[level], stays + cache, cache);
            least = least.min(limits[level].saturating_sub(stays));
        }
        let sample = machine.sampler().sample(Instant::now());
        prop_assert_eq!(sample.headroom_bytes, Some(least * MIB));
        let limit = limits.iter().copied().min().unwrap();
        prop_assert_eq!(sample.limit_bytes, Bound::Bytes(limit * MIB));
    }
}
