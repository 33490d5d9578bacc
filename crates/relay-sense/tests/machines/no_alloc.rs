//! The sampling path allocates nothing, neither on the running system nor on a machine with several
//! limited levels, nor when files fail.

use std::hint::black_box;
use std::time::Instant;

use crate::machine::{MIB, Machine};
use relay_sense::{Root, Sampler};

#[track_caller]
fn assert_allocates_nothing(sampler: &mut Sampler) {
    let info = allocation_counter::measure(|| {
        for _ in 0..100 {
            black_box(sampler.sample(Instant::now()));
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn the_counter_counts() {
    let info = allocation_counter::measure(|| drop(black_box(vec![0_u8; 64])));
    assert_eq!(info.count_total, 1);
}

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
