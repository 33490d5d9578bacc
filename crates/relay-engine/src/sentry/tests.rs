use super::*;
use relay_sense::{Root, Sampler};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const MARKS: Marks = Marks {
    wake_below_bytes: 15 * MIB,
    shut_below_bytes: 2 * MIB,
};

/// A cgroup v2 container of 100 MiB, made of files, and a sampler that has looked at it once.
fn machine(used_bytes: u64) -> (TempDir, Sampler) {
    let dir = TempDir::new().unwrap();
    for folder in ["proc/self", "sys/fs/cgroup"] {
        std::fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    let mounts = "30 20 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
    for (file, text) in [
        ("proc/self/cgroup", "0::/\n"),
        ("proc/self/mountinfo", mounts),
        ("proc/meminfo", "MemTotal:       16777216 kB\n"),
        ("sys/fs/cgroup/memory.max", "104857600\n"),
        (
            "sys/fs/cgroup/memory.stat",
            "inactive_file 0\nactive_file 0\n",
        ),
    ] {
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    usage(&dir, used_bytes);
    let mut sampler = Sampler::new(&Root::at(dir.path())).unwrap();
    sampler.sample(Instant::now());
    (dir, sampler)
}

fn usage(machine: &TempDir, bytes: u64) {
    let current = machine.path().join("sys/fs/cgroup/memory.current");
    std::fs::write(current, format!("{bytes}\n")).unwrap();
}

fn sentry(sampler: &Sampler, enforces: bool) -> Sentry {
    let gate = Gate::new(ByteBudget::new(MIB));
    let sentry = Sentry::new(gate, Waker::new().unwrap(), enforces);
    sentry.use_gauge(sampler.gauge());
    sentry.post(MARKS, false);
    sentry
}

/// Whether it has been woken; forgets it.
fn was_woken(sentry: &Sentry) -> bool {
    let waker = sentry.waker();
    let now = Some(Duration::ZERO);
    let ready = relay_sense::wait(None, None, Some(waker), now).unwrap();
    sentry.clear();
    ready.wake
}

#[test]
fn with_room_it_does_nothing() {
    let (_machine, sampler) = machine(50 * MIB);
    let sentry = sentry(&sampler, true);
    sentry.look(0);
    assert!(!was_woken(&sentry));
    assert_eq!(sentry.gate.floor(), Priority::Low);
}

#[test]
fn with_little_room_it_wakes_the_pulse_once_and_with_none_it_shuts_the_gate() {
    let (machine, sampler) = machine(50 * MIB);
    let sentry = sentry(&sampler, true);
    usage(&machine, 90 * MIB);
    sentry.look(0);
    sentry.look(0);
    sentry.waker().clear();
    sentry.look(0);
    let ready = relay_sense::wait(None, None, Some(sentry.waker()), Some(Duration::ZERO));
    assert!(!ready.unwrap().wake, "once until it is awake");
    assert_eq!(sentry.gate.floor(), Priority::Low, "the pulse decides");
    sentry.clear();
    // Also when the pulse is within its tick, and posts only afterwards.
    sentry.look(0);
    sentry.post(MARKS, false);
    assert!(was_woken(&sentry));
    usage(&machine, 99 * MIB);
    sentry.look(0);
    assert!(was_woken(&sentry));
    assert_eq!(sentry.gate.floor(), Priority::Control);
}

#[test]
fn what_was_asked_for_but_not_touched_yet_counts() {
    let (_machine, sampler) = machine(50 * MIB);
    let sentry = sentry(&sampler, true);
    sentry.look(49 * MIB);
    assert_eq!(sentry.gate.floor(), Priority::Control);
}

#[test]
fn a_resting_pulse_is_woken_by_whatever_moves() {
    let (_machine, sampler) = machine(10 * MIB);
    let sentry = sentry(&sampler, true);
    sentry.post(MARKS, true);
    sentry.look(0);
    assert!(was_woken(&sentry));
}

#[test]
fn observing_it_turns_nothing() {
    let (machine, sampler) = machine(50 * MIB);
    let sentry = sentry(&sampler, false);
    usage(&machine, 99 * MIB);
    sentry.look(0);
    assert!(was_woken(&sentry));
    assert_eq!(sentry.gate.floor(), Priority::Low);
}

#[test]
fn a_ledger_that_grows_past_its_wire_is_looked_at() {
    let (machine, sampler) = machine(50 * MIB);
    let sentry = Arc::new(sentry(&sampler, true));
    let budget = ByteBudget::new(MIB);
    sentry.watch_budget(&budget);
    usage(&machine, 99 * MIB);
    budget.lay_wire(1000);
    drop(budget.reserve(2000, Priority::Control).unwrap());
    assert!(was_woken(&sentry));
    assert_eq!(sentry.gate.floor(), Priority::Control);
}

#[test]
fn a_look_allocates_nothing() {
    let (_machine, sampler) = machine(97 * MIB);
    let sentry = sentry(&sampler, true);
    let looked = allocation_counter::measure(|| sentry.look(MIB));
    assert_eq!(looked.count_total, 0);
}
