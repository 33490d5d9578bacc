//! The running system, beside other readers of the same files.

#![cfg(all(target_os = "linux", not(relay_portable)))]
#![expect(
    clippy::unwrap_used,
    reason = "without these files there is nothing to compare with"
)]

use std::path::PathBuf;
use std::time::Instant;

use cgroups_rs::fs::hierarchies;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::{Cgroup, MaxValue};
use relay_sense::{Root, Sampler, Scope, detect};

const MIB: u64 = 1 << 20;

/// Where a plain system shows the memory of this process: the controller's mount and the group in
/// it, found without the code under test.
fn plain_place() -> (PathBuf, String, &'static str) {
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let group = |prefix: &str| {
        let line = cgroup.lines().find(|line| line.contains(prefix))?;
        line.split_once(prefix).map(|(_, path)| path.to_owned())
    };
    match group(":memory:") {
        Some(path) => (
            "/sys/fs/cgroup/memory".into(),
            path,
            "memory.usage_in_bytes",
        ),
        None => (
            "/sys/fs/cgroup".into(),
            group("0::").unwrap(),
            "memory.current",
        ),
    }
}

fn read_bytes(path: PathBuf) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[test]
fn i01_the_sampler_reads_what_the_file_says() {
    let (mount, group, file) = plain_place();
    let path = mount.join(group.trim_start_matches('/')).join(file);
    let mut sampler = Sampler::new(&Root::system()).unwrap();

    // Others allocate in the same group meanwhile: the nearest of several looks counts.
    let distance = (0..20).filter_map(|_| {
        let sample = sampler.sample(Instant::now());
        match read_bytes(path.clone()) {
            Some(bytes) => Some(sample.current_bytes?.abs_diff(bytes)),
            None => (sample.scope == Scope::Process).then_some(0),
        }
    });
    let nearest = distance.min().expect("a sample where the file can be read");
    assert!(nearest <= MIB, "{nearest} bytes apart");
}

#[test]
fn the_resident_size_agrees_with_procfs() {
    let mut sampler = Sampler::new(&Root::system()).unwrap();
    let statm = procfs::process::Process::myself().unwrap().statm().unwrap();
    let resident = sampler.sample(Instant::now()).resident_bytes.unwrap();
    assert!(resident.abs_diff(statm.resident * procfs::page_size()) <= 4 * MIB);
}

#[test]
fn h11_the_limit_agrees_with_cgroups_rs() {
    let (_, group, _) = plain_place();
    let total = procfs::Current::current()
        .map(|info: procfs::Meminfo| info.mem_total)
        .unwrap();
    let ancestors = PathBuf::from(group.trim_start_matches('/'));
    let oracle = ancestors
        .ancestors()
        .filter_map(cgroups_rs_limit)
        .fold(total, u64::min);

    let memory = detect(&Root::system(), None).unwrap().memory.unwrap();
    assert_eq!(memory.bytes, oracle, "{memory:?}");
}

/// The limit of one group according to cgroups-rs; it shows "none" as a negative or huge number.
fn cgroups_rs_limit(group: &std::path::Path) -> Option<u64> {
    let hierarchy = hierarchies::auto();
    let is_v2 = hierarchy.v2();
    let cgroup = Cgroup::load(hierarchy, group);
    let memory: &MemController = cgroup.controller_of()?;
    if is_v2 {
        return match memory.get_mem().ok()?.max? {
            MaxValue::Max => None,
            MaxValue::Value(bytes) => u64::try_from(bytes).ok(),
        };
    }
    u64::try_from(memory.memory_stat().limit_in_bytes).ok()
}
