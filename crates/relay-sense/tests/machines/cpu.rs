//! CPU quota and worker threads.

use std::path::Path;

use crate::machine::{Machine, V2};
use relay_sense::{CpuLimit, CpuQuota, CpuSource};

const CPU: &str = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct";

fn v2(levels: &[(&str, &str)]) -> CpuLimit {
    let machine = Machine::new("0::/a/b\n", &[V2]);
    machine.folder("/sys/fs/cgroup/a/b");
    for (level, text) in levels {
        machine.file(&format!("/sys/fs/cgroup{level}/cpu.max"), text);
    }
    machine.detect().cpu
}

fn v1(levels: &[(&str, &str, &str)]) -> CpuLimit {
    let machine = Machine::new("2:cpu,cpuacct:/a/b\n", &[CPU]);
    machine.folder("/sys/fs/cgroup/cpu/a/b");
    for (level, quota, period) in levels {
        machine.file(
            &format!("/sys/fs/cgroup/cpu{level}/cpu.cfs_quota_us"),
            quota,
        );
        machine.file(
            &format!("/sys/fs/cgroup/cpu{level}/cpu.cfs_period_us"),
            period,
        );
    }
    machine.detect().cpu
}

#[test]
fn case_48_no_quota() {
    let cpu = v2(&[("/a/b", "max 100000\n")]);
    assert_eq!(
        (cpu.quota, cpu.source, cpu.path.as_deref()),
        (CpuQuota::Unlimited, None, None)
    );
    assert_eq!(cpu.worker_threads().get(), 4, "affinity");
}

#[test]
fn case_49_a_fraction_rounds_down() {
    let cpu = v2(&[("/a/b", "150000 100000\n")]);
    assert_eq!(
        (cpu.quota, cpu.source),
        (CpuQuota::Cpus(1.5), Some(CpuSource::CgroupV2))
    );
    assert_eq!(cpu.worker_threads().get(), 1);
}

#[test]
fn case_51_the_parent_binds_and_one_thread_is_left() {
    let cpu = v2(&[("/a/b", "max 100000\n"), ("/a", "50000 100000\n")]);
    assert_eq!(cpu.quota, CpuQuota::Cpus(0.5));
    assert_eq!(cpu.path.as_deref(), Some(Path::new("/sys/fs/cgroup/a")));
    assert_eq!(cpu.worker_threads().get(), 1);
}

#[test]
fn the_smallest_ratio_binds_not_the_smallest_quota() {
    let cpu = v2(&[("/a/b", "30000 10000\n"), ("/a", "200000 100000\n")]);
    assert_eq!(cpu.quota, CpuQuota::Cpus(2.0));
}

#[test]
fn case_52_a_period_of_zero_is_ignored() {
    let two = v2(&[("/a/b", "100000 0\n"), ("/a", "200000 100000\n")]);
    assert_eq!(two.quota, CpuQuota::Cpus(2.0));
    let one = v1(&[("/a/b", "100000\n", "0\n"), ("/a", "200000\n", "100000\n")]);
    assert_eq!(one.quota, CpuQuota::Cpus(2.0));
}

#[test]
fn case_53_version_1_walks_to_the_parent() {
    let cpu = v1(&[("/a/b", "-1\n", "100000\n"), ("/a", "150000\n", "100000\n")]);
    assert_eq!(
        (cpu.quota, cpu.source),
        (CpuQuota::Cpus(1.5), Some(CpuSource::CgroupV1))
    );
}

#[test]
fn case_54_garbage_alone_is_unknown_and_noted() {
    let machine = Machine::new("0::/a\n", &[V2]);
    machine.file("/sys/fs/cgroup/a/cpu.max", "asdf 100000\n");
    assert_eq!(machine.detect().cpu.quota, CpuQuota::Unknown);
    machine.assert_note("/a: CPU quota not readable");
}

#[test]
fn case_58_cpuacct_and_cpuset_are_not_cpu() {
    let mount = "33 31 0:30 / /sys/fs/cgroup/cs rw - cgroup cgroup rw,cpuset,cpuacct";
    let machine = Machine::new("3:cpuset,cpuacct:/a\n", &[mount]);
    machine.file("/sys/fs/cgroup/cs/a/cpu.cfs_quota_us", "150000\n");
    machine.file("/sys/fs/cgroup/cs/a/cpu.cfs_period_us", "100000\n");
    assert_eq!(machine.detect().cpu.quota, CpuQuota::Unlimited);
}

#[test]
fn memory_on_version_2_and_cpu_on_version_1() {
    let machine = Machine::new("3:cpu,cpuacct:/c\n0::/m\n", &[V2, CPU]);
    machine.file("/sys/fs/cgroup/m/memory.max", "67108864\n");
    machine.file("/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "250000\n");
    machine.file("/sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n");
    machine.assert_limit(64 << 20, "cgroup-v2", Some("/sys/fs/cgroup/m"));
    assert_eq!(machine.detect().cpu.source, Some(CpuSource::CgroupV1));
}

#[test]
fn affinity_bounds_a_larger_quota() {
    let cpu = v2(&[("/a/b", "800000 100000\n")]);
    assert_eq!(
        (cpu.quota, cpu.affinity_cpus.unwrap().get()),
        (CpuQuota::Cpus(8.0), 4)
    );
    assert_eq!(cpu.worker_threads().get(), 4);
}
