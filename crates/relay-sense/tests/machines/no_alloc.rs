//! The sampling path allocates nothing, neither on the running system nor on a machine with several
//! limited levels, nor when files fail.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::machine::{MIB, Machine};
#[cfg(all(target_os = "linux", not(relay_portable)))]
use relay_sense::Root;
use relay_sense::{Pressure, Sampler};
#[cfg(all(target_os = "linux", not(relay_portable)))]
use relay_sense::{Waker, wait};

#[track_caller]
fn assert_allocates_nothing(sampler: &mut Sampler) {
    let gauge = sampler.gauge();
    let start = Instant::now();
    let info = allocation_counter::measure(|| {
        // Half a second each: every other one reads what is read once a second too.
        for half_seconds in 0..100 {
            let now = start + half_seconds * Duration::from_millis(500);
            black_box(sampler.sample(now));
            black_box(sampler.level(now));
            black_box(gauge.headroom_bytes());
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn the_counter_counts() {
    let info = allocation_counter::measure(|| drop(black_box(vec![0_u8; 64])));
    assert_eq!(info.count_total, 1);
}

// What asks other systems for the resident size allocates on this one, where it reads a file.
#[cfg(all(target_os = "linux", not(relay_portable)))]
#[test]
fn on_the_running_system() {
    assert_allocates_nothing(&mut Sampler::new(&Root::system()).unwrap());
}

#[test]
fn with_limits_on_every_level_and_with_failing_files() {
    let machine = Machine::v2(
        "/a/b",
        &[("", "max"), ("/a", "134217728"), ("/a/b", "67108864")],
    );
    machine.file("/proc/self/statm", "1000 300 100 1 0 200 0\n");
    for level in ["", "/a", "/a/b"] {
        machine.file(
            &format!("/sys/fs/cgroup{level}/memory.current"),
            &MIB.to_string(),
        );
        machine.file(&format!("/sys/fs/cgroup{level}/memory.high"), "max\n");
        machine.file(
            &format!("/sys/fs/cgroup{level}/memory.stat"),
            "anon 1\ninactive_file 2\n",
        );
        machine.file(
            &format!("/sys/fs/cgroup{level}/memory.events"),
            "oom_kill 0\n",
        );
    }
    let mut sampler = machine.sampler();
    assert!(sampler.sample(Instant::now()).headroom_bytes.is_some());
    assert_allocates_nothing(&mut sampler);

    for file in [
        "memory.current",
        "memory.max",
        "memory.stat",
        "memory.events",
    ] {
        machine.file(&format!("/sys/fs/cgroup/a/b/{file}"), "\u{fffd}\n");
    }
    assert_eq!(sampler.sample(Instant::now()).current_bytes, None);
    assert_allocates_nothing(&mut sampler);
}

// Elsewhere nothing tells of files.
#[cfg(all(target_os = "linux", not(relay_portable)))]
#[test]
fn waiting_and_draining() {
    let machine = Machine::v2("/a", &[("/a", "67108864")]);
    machine.file("/sys/fs/cgroup/a/memory.current", "1\n");
    let mut sampler = machine.sampler();
    let waker = Waker::new().unwrap();
    for limit in ["1048576\n", "2097152\n"] {
        machine.file("/sys/fs/cgroup/a/memory.max", limit);
    }
    let info = allocation_counter::measure(|| {
        waker.wake();
        let ready = wait(sampler.watch(), None, Some(&waker), None).unwrap();
        assert!(ready.watch && ready.wake);
        assert!(sampler.sample(Instant::now()).changed.limits);
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn reading_pressure() {
    let machine = Machine::bare();
    machine.file(
        "/proc/pressure/memory",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
    );
    let mut pressure = Pressure::open(&machine.root());
    let start = Instant::now();
    let info = allocation_counter::measure(|| {
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            assert!(black_box(pressure.read(now)).is_some());
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}
