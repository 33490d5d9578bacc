//! Memory limits on version 1.

use crate::machine::{GIB, MIB, Machine};

const MEMORY: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
const NONE: &str = "9223372036854771712";

/// A machine with one version 1 memory mount and a group in it.
fn machine(group: &str, mount: &str) -> Machine {
    Machine::new(&format!("4:memory:{group}\n1:name=systemd:/x\n"), &[mount])
}

fn level(machine: &Machine, dir: &str, limit: &str, hierarchical: &str) {
    machine.file(
        &format!("{dir}/memory.limit_in_bytes"),
        &format!("{limit}\n"),
    );
    let stat = format!("cache 1\nhierarchical_memory_limit {hierarchical}\ntotal_cache 1\n");
    machine.file(&format!("{dir}/memory.stat"), &stat);
    machine.file(&format!("{dir}/memory.usage_in_bytes"), "1048576\n");
}

#[test]
fn case_11_kubernetes_with_colons_in_the_path() {
    let group =
        "/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:0abc";
    let mount = format!("35 31 0:32 {group} /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory");
    let machine = machine(group, &mount);
    level(
        &machine,
        "/sys/fs/cgroup/memory",
        "1073741824",
        "1073741824",
    );
    machine.assert_limit(GIB, "cgroup-v1", Some("/sys/fs/cgroup/memory"));
    assert!(machine.detect().ancestors_hidden);
}

#[test]
fn case_30_docker_shows_the_host_path() {
    let mount = "35 31 0:32 /docker/0abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
    let machine = machine("/docker/0abc", mount);
    level(&machine, "/sys/fs/cgroup/memory", "536870912", "536870912");
    machine.assert_limit(512 * MIB, "cgroup-v1", Some("/sys/fs/cgroup/memory"));
}

#[test]
fn case_31_the_absent_limit_is_a_large_number() {
    for none in [NONE, "9223372036854710272"] {
        let machine = machine("/a", MEMORY);
        level(&machine, "/sys/fs/cgroup/memory/a", none, none);
        machine.assert_limit(16 * GIB, "physical", None);
    }
}

#[test]
fn case_33_a_hidden_parent_limits() {
    let machine = machine("/a", MEMORY);
    level(&machine, "/sys/fs/cgroup/memory/a", NONE, "536870912");
    machine.assert_limit(512 * MIB, "cgroup-v1", Some("/sys/fs/cgroup/memory/a"));
}

#[test]
fn a_hidden_limit_counts_where_no_group_shows_its_usage() {
    let machine = machine("/a", MEMORY);
    level(&machine, "/sys/fs/cgroup/memory/a", NONE, "536870912");
    machine.remove("/sys/fs/cgroup/memory/a/memory.usage_in_bytes");
    machine.file("/proc/self/statm", "1000 300 100 1 0 200 0\n");
    machine.assert_limit(512 * MIB, "cgroup-v1", Some("/sys/fs/cgroup/memory/a"));
    let sample = machine.sample();
    let binding = sample.binding.unwrap();
    assert_eq!(binding.limit_bytes, 512 * MIB);
    assert_eq!(Some(binding.unreclaimable_bytes), sample.resident_bytes);
}

#[test]
fn a_hidden_limit_counts_where_only_the_parent_shows_its_usage() {
    let machine = machine("/p/a", MEMORY);
    level(&machine, "/sys/fs/cgroup/memory/p/a", NONE, "536870912");
    machine.remove("/sys/fs/cgroup/memory/p/a/memory.usage_in_bytes");
    level(&machine, "/sys/fs/cgroup/memory/p", NONE, "536870912");
    machine.file("/sys/fs/cgroup/memory/p/memory.stat", "cache 1\n");
    let sample = machine.sample();
    let binding = sample.binding.unwrap();
    assert_eq!(
        (binding.limit_bytes, binding.unreclaimable_bytes),
        (512 * MIB, MIB)
    );
}

#[test]
fn a_visible_parent_that_limits_is_named() {
    let machine = machine("/a/b", MEMORY);
    level(&machine, "/sys/fs/cgroup/memory/a/b", NONE, "536870912");
    level(
        &machine,
        "/sys/fs/cgroup/memory/a",
        "536870912",
        "536870912",
    );
    level(&machine, "/sys/fs/cgroup/memory", NONE, NONE);
    machine.file("/sys/fs/cgroup/memory/release_agent", "\n");
    machine.assert_limit(512 * MIB, "cgroup-v1", Some("/sys/fs/cgroup/memory/a"));
    assert!(!machine.detect().ancestors_hidden);
}

#[test]
fn case_35_a_parent_without_use_hierarchy_does_not_bind() {
    let machine = machine("/a/b", MEMORY);
    level(
        &machine,
        "/sys/fs/cgroup/memory/a/b",
        "314572800",
        "314572800",
    );
    level(
        &machine,
        "/sys/fs/cgroup/memory/a",
        "104857600",
        "104857600",
    );
    machine.file("/sys/fs/cgroup/memory/a/memory.use_hierarchy", "0\n");
    machine.assert_limit(300 * MIB, "cgroup-v1", Some("/sys/fs/cgroup/memory/a/b"));

    machine.file("/sys/fs/cgroup/memory/a/memory.use_hierarchy", "1\n");
    machine.assert_limit(100 * MIB, "cgroup-v1", Some("/sys/fs/cgroup/memory/a"));
}

#[test]
fn case_37_controllers_joined_in_one_mount() {
    let joined = "35 31 0:32 / /cg rw - cgroup cgroup rw,cpu,cpuacct,memory,net_cls,net_prio";
    let machine = Machine::new("5:cpu,cpuacct,memory,net_cls,net_prio:/a\n", &[joined]);
    level(&machine, "/cg/a", "67108864", "67108864");
    machine.file("/cg/a/cpu.cfs_quota_us", "150000\n");
    machine.file("/cg/a/cpu.cfs_period_us", "100000\n");
    machine.assert_limit(64 * MIB, "cgroup-v1", Some("/cg/a"));
    assert_eq!(machine.detect().cpu.quota, relay_sense::CpuQuota::Cpus(1.5));
}

#[test]
fn case_38_memory_mounted_twice() {
    let twin = "34 27 0:32 / /memory rw - cgroup cgroup rw,memory";
    for mounts in [[twin, MEMORY], [MEMORY, twin]] {
        let machine = Machine::new("4:memory:/a\n", &mounts);
        level(&machine, "/memory/a", "67108864", "67108864");
        level(&machine, "/sys/fs/cgroup/memory/a", "67108864", "67108864");
        machine.assert_limit(64 * MIB, "cgroup-v1", Some("/sys/fs/cgroup/memory/a"));
    }
}

#[test]
fn case_39_mounted_in_an_unusual_place() {
    let machine = machine(
        "/a",
        "35 31 0:32 / /dev/cgroup/memory rw - cgroup none rw,memory",
    );
    level(&machine, "/dev/cgroup/memory/a", "67108864", "67108864");
    machine.assert_limit(64 * MIB, "cgroup-v1", Some("/dev/cgroup/memory/a"));
}

#[test]
fn case_43_no_memory_controller() {
    let systemd = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd";
    let machine = Machine::new("1:name=systemd:/x\n", &[systemd]);
    machine.assert_limit(16 * GIB, "physical", None);
    machine.assert_note("no control group has the controller memory");
    assert!(!machine.detect().ancestors_hidden);
}
