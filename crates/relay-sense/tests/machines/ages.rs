//! Figures that are read seldom, their age, and groups that change under the sampler.

use std::time::{Duration, Instant};

use relay_sense::{Bound, Sampler};

#[cfg(all(target_os = "linux", not(relay_portable)))]
use crate::machine::GIB;
use crate::machine::{MIB, Machine, V2};

fn machine() -> Machine {
    let machine = Machine::v2("/a", &[("/a", "67108864"), ("/b", "33554432")]);
    for group in ["/a", "/b"] {
        let dir = format!("/sys/fs/cgroup{group}");
        machine.file(&format!("{dir}/memory.current"), &(8 * MIB).to_string());
    }
    machine
}

/// A sampler that has looked once, and when.
fn looked(machine: &Machine) -> (Sampler, Instant) {
    let (mut sampler, start) = (machine.sampler(), Instant::now());
    sampler.sample(start);
    (sampler, start)
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn parts_of_the_usage_and_swap() {
    let machine = machine();
    machine.file(
        "/sys/fs/cgroup/a/memory.stat",
        "anon 5\nfile 4\nkernel 3\nkernel_stack 9\nshmem 2\ninactive_file 1\nactive_file 1\n",
    );
    machine.file("/sys/fs/cgroup/a/memory.swap.current", "7\n");
    machine.file("/sys/fs/cgroup/a/memory.swap.max", "100\n");
    let sample = machine.sample();
    assert_eq!((sample.anon_bytes, sample.file_bytes), (Some(5), Some(4)));
    assert_eq!(
        (sample.shmem_bytes, sample.kernel_bytes),
        (Some(2), Some(3))
    );
    assert_eq!(
        (sample.swap_bytes, sample.swap_limit_bytes),
        (Some(7), Bound::Bytes(100))
    );
    assert_eq!(sample.stat_at, Some(sample.at));
}

#[test]
fn case_47_swap_limits_of_version_2() {
    for (text, expected) in [("0\n", Bound::Bytes(0)), ("max\n", Bound::Unlimited)] {
        let machine = machine();
        machine.file("/sys/fs/cgroup/a/memory.swap.max", text);
        assert_eq!(machine.sample().swap_limit_bytes, expected);
    }
    assert_eq!(
        machine().sample().swap_limit_bytes,
        Bound::Unknown,
        "absent"
    );
}

#[test]
fn version_1_counts_hits_and_limits_memory_and_swap_together() {
    let mount = "35 31 0:32 / /cg rw - cgroup cgroup rw,memory";
    let machine = Machine::new("4:memory:/a\n", &[mount]);
    machine.file("/cg/a/memory.limit_in_bytes", "512\n");
    machine.file("/cg/a/memory.memsw.limit_in_bytes", "1024\n");
    machine.file("/cg/a/memory.usage_in_bytes", "100\n");
    machine.file("/cg/a/memory.failcnt", "11\n");
    machine.file(
        "/cg/a/memory.stat",
        "swap 1\ntotal_swap 40\ntotal_cache 30\n",
    );
    let sample = machine.sample();
    assert_eq!(sample.events.max, Some(11));
    assert_eq!(sample.swap_bytes, Some(40));
    assert_eq!((sample.file_bytes, sample.kernel_bytes), (Some(30), None));
    assert_eq!(sample.swap_limit_bytes, Bound::Bytes(512));
    assert_eq!(
        sample.stat_at, None,
        "the statistics do not say what can be reclaimed"
    );
}

#[test]
fn throttling_is_that_of_the_level_stopped_longest() {
    let machine = Machine::v2("/a/b", &[("/a", "67108864")]);
    let stat =
        |us: u64| format!("usage_usec 9\nnr_periods 8\nnr_throttled 2\nthrottled_usec {us}\n");
    machine.file("/sys/fs/cgroup/a/b/cpu.stat", &stat(10));
    machine.file("/sys/fs/cgroup/a/cpu.stat", &stat(70));
    machine.file("/sys/fs/cgroup/cpu.stat", "usage_usec 5\n");
    let throttling = machine.sample().throttling.unwrap();
    assert_eq!(throttling.throttled, Duration::from_micros(70));
    assert_eq!((throttling.periods, throttling.throttled_periods), (8, 2));
    assert_eq!(Machine::v2("/a", &[]).sample().throttling, None);
}

#[test]
fn counters_are_read_once_a_second_and_say_when() {
    let machine = machine();
    let path = "/sys/fs/cgroup/a/cpu.stat";
    machine.file(path, "nr_periods 1\n");
    let (mut sampler, start) = looked(&machine);
    machine.file(path, "nr_periods 2\n");
    let sample = sampler.sample(start + millis(999));
    assert_eq!(sample.throttling.unwrap().periods, 1);
    assert_eq!(sample.surveyed_at, Some(start));
    let sample = sampler.sample(start + millis(1000));
    assert_eq!(sample.throttling.unwrap().periods, 2);
    assert_eq!(sample.surveyed_at, Some(sample.at));
}

// Inotify, too.
#[cfg(all(target_os = "linux", not(relay_portable)))]
#[test]
fn events_are_read_when_the_kernel_tells_of_them() {
    let machine = machine();
    let path = "/sys/fs/cgroup/a/memory.events";
    machine.file(path, "oom_kill 0\n");
    let (mut sampler, start) = looked(&machine);
    machine.file(path, "oom_kill 1\n");
    let sample = sampler.sample(start + millis(1));
    assert!(sample.changed.events);
    assert_eq!(sample.events.oom_kill, Some(1));
    assert!(!sampler.sample(start + millis(2)).changed.any());
}

// Inotify, too.
#[cfg(all(target_os = "linux", not(relay_portable)))]
#[test]
fn a_limit_that_cannot_be_read_any_more_keeps_value_and_age() {
    let machine = machine();
    let (mut sampler, start) = looked(&machine);
    machine.file("/sys/fs/cgroup/a/memory.max", "?\n");
    let sample = sampler.sample(start + millis(2000));
    assert_eq!(sample.limit_bytes, Bound::Bytes(64 * MIB), "no sudden room");
    assert_eq!(sample.limits_at, Some(start));

    machine.file("/sys/fs/cgroup/a/memory.max", "max\n");
    let sample = sampler.sample(start + millis(2001));
    assert_eq!(sample.limits_at, Some(sample.at));
    assert_eq!(
        sample.limit_bytes,
        Bound::Bytes(16 * GIB),
        "the machine's memory"
    );
}

// The resize at its end is told by inotify.
#[cfg(all(target_os = "linux", not(relay_portable)))]
#[test]
fn a_process_that_was_moved_is_unknown_until_it_is_found_again() {
    let machine = machine();
    let (mut sampler, start) = looked(&machine);
    let gauge = sampler.gauge();
    assert!(!sampler.refresh(start).unwrap(), "nothing to do");
    assert_eq!(gauge.headroom_bytes(), Some(56 * MIB));

    machine.file("/proc/self/cgroup", "0::/b\n");
    assert!(!sampler.sample(start + millis(500)).moved, "not looked yet");
    let sample = sampler.sample(start + millis(1000));
    assert!(sample.moved);
    assert_eq!((sample.current_bytes, sample.binding), (None, None));
    assert_eq!(sample.limit_bytes, Bound::Unknown);
    assert_eq!(sampler.level(start + millis(1001)).headroom_bytes, None);
    assert_eq!(gauge.headroom_bytes(), None, "nor does the gauge pretend");

    assert!(sampler.refresh(start + millis(1002)).unwrap());
    let sample = sampler.sample(start + millis(1003));
    assert_eq!(
        (sample.moved, sample.headroom_bytes),
        (false, Some(24 * MIB))
    );
    assert_eq!(gauge.headroom_bytes(), None, "it belongs to the old group");
    assert_eq!(sampler.gauge().headroom_bytes(), Some(24 * MIB));

    let resize = |group: &str| machine.file(&format!("/sys/fs/cgroup/{group}/memory.max"), "9\n");
    resize("a");
    assert!(
        !sampler.sample(start + millis(1004)).changed.any(),
        "the old group is nothing to it"
    );
    resize("b");
    assert_eq!(
        sampler.sample(start + millis(1005)).limit_bytes,
        Bound::Bytes(9)
    );
}

#[test]
fn groups_are_looked_for_again_at_most_once_a_second() {
    let machine = machine();
    let (mut sampler, start) = looked(&machine);
    let mut move_to = |group: &str, at_ms: u64| {
        let at = start + millis(at_ms);
        machine.file("/proc/self/cgroup", &format!("0::{group}\n"));
        sampler.sample(at);
        sampler.refresh(at).unwrap()
    };
    assert!(move_to("/b", 1000));
    assert!(!move_to("/a", 1999));
    assert!(move_to("/a", 2999));
}

#[test]
fn a_configured_limit_survives_a_refresh() {
    let machine = machine();
    let mut sampler = machine.sampler().with_configured(12 * MIB).unwrap();
    let start = Instant::now();
    sampler.sample(start);
    machine.file("/proc/self/cgroup", "0::/b\n");
    sampler.sample(start + millis(1000));
    sampler.refresh(start + millis(1000)).unwrap();
    let sample = sampler.sample(start + millis(1001));
    assert_eq!(sample.limit_bytes, Bound::Bytes(12 * MIB));
}

#[test]
fn an_unreadable_membership_moves_nobody() {
    let machine = Machine::new("0::/a\n", &[V2]);
    machine.file("/sys/fs/cgroup/a/memory.max", "67108864\n");
    machine.file("/sys/fs/cgroup/a/memory.current", "1\n");
    let (mut sampler, start) = looked(&machine);
    machine.file("/proc/self/cgroup", "");
    assert!(!sampler.sample(start + millis(1000)).moved);
}
