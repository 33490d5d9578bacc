//! Being told of changes, by the real inotify over plain files, which tells the same of control groups.

use std::time::{Duration, Instant};

use relay_sense::{Bound, Changes, Ready, Waker, Watch, wait};

use crate::machine::{MIB, Machine};

const NOW: Option<Duration> = Some(Duration::ZERO);

fn watch(machine: &Machine) -> Watch {
    Watch::open(&machine.root()).unwrap()
}

fn is_ready(watch: &Watch) -> bool {
    wait(Some(watch), None, None, NOW).unwrap().watch
}

/// Asserts that writing this file is told as `expected`, once.
#[track_caller]
fn assert_told(machine: &Machine, file: &str, expected: fn(&Changes) -> bool) {
    machine.file(file, "1\n");
    let mut watch = watch(machine);
    assert_eq!(watch.unwatched(), 0);
    assert!(!is_ready(&watch), "nothing has happened yet");

    machine.file(file, "2\n");
    assert!(is_ready(&watch), "{file}");
    let changes = watch.drain();
    assert!(expected(&changes), "{file}: {changes:?}");
    assert!(!is_ready(&watch), "it was taken");
    assert!(!watch.drain().any());
}

#[test]
fn limits_of_every_level_are_watched() {
    let machine = Machine::v2("/a/b", &[("/a/b", "max"), ("/a", "max")]);
    for level in ["/a/b", "/a"] {
        for file in ["memory.max", "memory.high"] {
            assert_told(
                &machine,
                &format!("/sys/fs/cgroup{level}/{file}"),
                |changes| changes.limits && !changes.events && !changes.cpu && !changes.groups,
            );
        }
    }
}

#[test]
fn quotas_and_events_are_told_apart() {
    let machine = Machine::v2("/a", &[("/a", "max")]);
    machine.file("/sys/fs/cgroup/a/memory.current", "1\n");
    let told = |file, expected| assert_told(&machine, file, expected);
    told("/sys/fs/cgroup/a/cpu.max", |changes| {
        changes.cpu && !changes.limits
    });
    told("/sys/fs/cgroup/cpu.max", |changes| changes.cpu);
    told("/sys/fs/cgroup/a/memory.events", |changes| {
        changes.events && !changes.limits
    });
}

#[test]
fn version_1_is_watched_too() {
    let mounts = [
        "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory",
        "36 31 0:33 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct",
    ];
    let machine = Machine::new("5:cpu,cpuacct:/c\n4:memory:/a\n", &mounts);
    assert_told(&machine, "/cg/memory/a/memory.limit_in_bytes", |changes| {
        changes.limits
    });
    for file in ["cpu.cfs_quota_us", "cpu.cfs_period_us"] {
        assert_told(&machine, &format!("/cg/cpu/c/{file}"), |changes| {
            changes.cpu
        });
    }
}

/// The next sample knows the new limit, whatever the clock says.
#[test]
fn a_resize_is_seen_in_both_directions_without_time_passing() {
    let machine = Machine::v2("/a", &[("/a", "67108864")]);
    machine.file("/sys/fs/cgroup/a/memory.current", "1\n");
    let mut sampler = machine.sampler();
    let now = Instant::now();
    assert_eq!(sampler.sample(now).limit_bytes, Bound::Bytes(64 * MIB));
    for mib in [128, 32, 256] {
        let path = "/sys/fs/cgroup/a/memory.max";
        machine.file(path, &(mib * MIB).to_string());
        let watch = sampler.watch().unwrap();
        assert!(wait(Some(watch), None, None, None).unwrap().watch);
        let sample = sampler.sample(now);
        assert!(sample.changed.limits);
        assert_eq!(sample.limit_bytes, Bound::Bytes(mib * MIB));
    }
}

#[test]
fn a_storm_of_events_is_taken_at_once() {
    let machine = Machine::v2("/a", &[("/a", "max")]);
    machine.file("/sys/fs/cgroup/a/memory.high", "1\n");
    let mut watch = watch(&machine);
    for _ in 0..1000 {
        // In turn, so that the kernel cannot merge them.
        machine.file("/sys/fs/cgroup/a/memory.max", "1\n");
        machine.file("/sys/fs/cgroup/a/memory.high", "1\n");
    }
    assert!(watch.drain().limits);
    assert!(!is_ready(&watch));
}

#[test]
fn a_machine_without_groups_can_be_watched_in_vain() {
    let mut watch = watch(&Machine::bare());
    assert!(!is_ready(&watch));
    assert_eq!(watch.drain(), Changes::default());
}

#[test]
fn a_wait_ends_by_the_waker_or_by_time() {
    let waker = Waker::new().unwrap();
    let ready = |timeout| wait(None, None, Some(&waker), timeout).unwrap();
    assert_eq!(ready(Some(Duration::from_millis(1))), Ready::default());
    waker.wake();
    waker.wake();
    assert!(ready(None).wake);
    assert!(ready(None).wake, "until it is cleared");
    waker.clear();
    assert_eq!(ready(Some(Duration::ZERO)), Ready::default());
    let other = waker.clone();
    let thread = std::thread::spawn(move || other.wake());
    assert!(ready(None).wake, "from another thread");
    thread.join().unwrap();

    let nothing = wait(None, None, None, Some(Duration::from_micros(10))).unwrap();
    assert_eq!(nothing, Ready::default());
}
