//! Samples of machines whose figures change.

use std::time::Instant;

#[cfg(all(target_os = "linux", not(relay_portable)))]
use crate::machine::GIB;
use crate::machine::{MIB, Machine};
use relay_sense::{Binding, Bound, Scope};

const A: &str = "/sys/fs/cgroup/a";

fn group(machine: &Machine, dir: &str, limit: &str, current: u64, stat: &str) {
    machine.file(&format!("{dir}/memory.max"), &format!("{limit}\n"));
    machine.file(&format!("{dir}/memory.current"), &format!("{current}\n"));
    machine.file(&format!("{dir}/memory.stat"), stat);
}

#[test]
fn case_5_siblings_eat_the_budget_of_the_parent() {
    let machine = Machine::v2("/a/b", &[("/a", "524288000"), ("/a/b", "209715200")]);
    machine.file("/sys/fs/cgroup/a/memory.current", &(450 * MIB).to_string());
    machine.file(
        "/sys/fs/cgroup/a/b/memory.current",
        &(100 * MIB).to_string(),
    );
    let sample = machine.sample();
    assert_eq!(sample.limit_bytes, Bound::Bytes(200 * MIB));
    assert_eq!(sample.current_bytes, Some(100 * MIB));
    assert_eq!(sample.headroom_bytes, Some(50 * MIB));
    let binding = sample.binding.unwrap();
    assert_eq!(
        (binding.limit_bytes, binding.unreclaimable_bytes),
        (500 * MIB, 450 * MIB)
    );
}

#[test]
fn the_cache_of_the_parent_is_room() {
    let machine = Machine::v2("/a/b", &[]);
    group(
        &machine,
        "/sys/fs/cgroup/a/b",
        "209715200",
        100 * MIB,
        "inactive_file 0\nactive_file 0\n",
    );
    let cache = format!("inactive_file {}\nactive_file {}\n", 200 * MIB, 100 * MIB);
    group(&machine, A, "524288000", 450 * MIB, &cache);
    assert_eq!(machine.sample().headroom_bytes, Some(100 * MIB));
}

#[test]
fn three_figures_of_usage() {
    let machine = Machine::v2("/a", &[]);
    let stat = format!(
        "anon {}\nfile {}\nshmem {}\ninactive_file {}\nactive_file {}\nslab_reclaimable {}\n",
        40 * MIB,
        45 * MIB,
        5 * MIB,
        30 * MIB,
        10 * MIB,
        3 * MIB
    );
    group(&machine, A, "134217728", 100 * MIB, &stat);
    let sample = machine.sample();
    assert_eq!(sample.scope, Scope::Group);
    assert_eq!(sample.current_bytes, Some(100 * MIB));
    assert_eq!(sample.working_set_bytes, Some(70 * MIB));
    assert_eq!(sample.unreclaimable_bytes, Some(57 * MIB));
    assert_eq!(sample.headroom_bytes, Some(71 * MIB));
    assert_eq!(
        sample.share_of_limit(sample.current_bytes),
        Some(100.0 / 128.0)
    );
    assert_eq!(
        sample.share_of_limit(sample.resident_bytes),
        None,
        "unknown"
    );
    assert_eq!(sample.binding.unwrap().used_share(), Some(57.0 / 128.0));
}

#[test]
fn version_1_usage_and_hidden_limit() {
    let mount = "35 31 0:32 / /cg rw - cgroup cgroup rw,memory";
    let machine = Machine::new("4:memory:/a\n", &[mount]);
    machine.file("/cg/a/memory.limit_in_bytes", "9223372036854771712\n");
    machine.file("/cg/a/memory.usage_in_bytes", &(100 * MIB).to_string());
    let stat = format!(
        "rss 1\nhierarchical_memory_limit {}\ntotal_rss {}\ntotal_shmem {}\n\
         total_inactive_file {}\ntotal_active_file {}\n",
        128 * MIB,
        40 * MIB,
        8 * MIB,
        30 * MIB,
        10 * MIB
    );
    machine.file("/cg/a/memory.stat", &stat);
    machine.file(
        "/cg/a/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    );
    let sample = machine.sample();
    assert_eq!(sample.limit_bytes, Bound::Bytes(128 * MIB));
    assert_eq!(sample.unreclaimable_bytes, Some(60 * MIB));
    assert_eq!(sample.headroom_bytes, Some(68 * MIB));
    assert_eq!(sample.events.oom_kill, Some(2));
}

// By inotify; elsewhere within a second.
#[cfg(all(target_os = "linux", not(relay_portable)))]
#[test]
fn case_62_a_resize_is_seen_by_the_next_sample() {
    let machine = Machine::v2("/a", &[]);
    group(&machine, A, "67108864", 32 * MIB, "");
    let mut sampler = machine.sampler();
    let mut look = || sampler.sample(Instant::now());
    assert_eq!(look().limit_bytes, Bound::Bytes(64 * MIB));
    group(&machine, A, "134217728", 32 * MIB, "");
    assert_eq!(look().limit_bytes, Bound::Bytes(128 * MIB));
    group(&machine, A, "max", 32 * MIB, "");
    assert_eq!(look().limit_bytes, Bound::Bytes(16 * GIB));
    group(&machine, A, "16777216", 32 * MIB, "");
    assert_eq!(look().headroom_bytes, Some(0), "below usage, no underflow");
}

#[test]
fn case_65_events_with_lines_missing_and_unknown() {
    let machine = Machine::v2("/a", &[]);
    let stat = "foof 1002\nanon_thp 5\nanon 7000000\nfoo\ninactive_file 0\nactive_file 1000000\n";
    group(&machine, A, "67108864", 7_500_000, stat);
    machine.file(
        "/sys/fs/cgroup/a/memory.events",
        "low 0\nhigh 0\nmax 9\noom 4\noom_kill_new 8\noom_kill 3\nfuture 1\n",
    );
    let sample = machine.sample();
    assert_eq!(sample.events.oom_kill, Some(3));
    assert_eq!(
        sample.unreclaimable_bytes,
        Some(7_000_000),
        "the floor is anon, not anon_thp"
    );
}

#[test]
fn a_silent_group_is_unknown_and_not_calm() {
    let machine = Machine::v2("/a", &[]);
    machine.file("/proc/self/statm", "1000 300 100 1 0 200 0\n");
    group(&machine, A, "67108864", 32 * MIB, "");
    let mut sampler = machine.sampler();
    machine.file("/sys/fs/cgroup/a/memory.current", "");
    let sample = sampler.sample(Instant::now());
    assert_eq!(sample.scope, Scope::Group);
    assert_eq!((sample.current_bytes, sample.headroom_bytes), (None, None));
    assert_eq!(
        sample.limit_bytes,
        Bound::Bytes(64 * MIB),
        "the limit is known all the same"
    );

    group(&machine, A, "67108864", 32 * MIB, "");
    assert_eq!(
        sampler.sample(Instant::now()).headroom_bytes,
        Some(32 * MIB),
        "it comes back"
    );
}

#[test]
fn a_limit_without_any_counter_is_held_against_the_resident_size() {
    let machine = Machine::v2("/a", &[("/a", "67108864")]);
    machine.file("/proc/self/statm", "1000 300 100 1 0 200 0\n");
    let sample = machine.sample();
    assert_eq!(sample.scope, Scope::Process);
    assert_eq!(sample.current_bytes, sample.resident_bytes);
    assert_eq!(
        sample.headroom_bytes,
        Some(64 * MIB - sample.resident_bytes.unwrap())
    );
}

/// What `/proc/self/limits` says of address space and data, in bytes.
fn resource_limits(machine: &Machine, address_space: &str, data: &str) {
    machine.file(
        "/proc/self/limits",
        &format!(
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max data size             {data:<20} unlimited            bytes     \n\
             Max address space         {address_space:<20} unlimited            bytes     \n"
        ),
    );
}

/// The kernel fails allocations by them, whatever the group and its siblings use.
#[test]
fn resource_limits_are_held_against_this_process_alone() {
    let machine = Machine::v2("/a", &[]);
    group(&machine, A, "max", 900 * MIB, "");
    machine.file("/proc/self/statm", "40960 2560 100 1 0 10240 0\n");
    let pages = |pages: u64| pages * machine.page_bytes();
    resource_limits(&machine, "unlimited", &pages(20480).to_string());
    let sample = machine.sample();
    assert_eq!(sample.limit_bytes, Bound::Bytes(pages(20480)));
    let data = sample.binding.unwrap();
    assert_eq!(
        (data.limit_bytes, data.unreclaimable_bytes),
        (pages(20480), pages(10240))
    );
    assert_eq!(
        (sample.binding_level, sample.current_bytes),
        (None, Some(900 * MIB))
    );

    resource_limits(
        &machine,
        &pages(45056).to_string(),
        &pages(20480).to_string(),
    );
    let mut sampler = machine.sampler();
    let gauge = sampler.gauge();
    let sample = sampler.sample(Instant::now());
    assert_eq!(
        sample.headroom_bytes,
        Some(pages(4096)),
        "of the address space"
    );
    machine.file("/proc/self/statm", "41060 2660 100 1 0 10340 0\n");
    assert_eq!(gauge.headroom_bytes(), Some(pages(3996)));

    machine.remove("/proc/self/statm");
    resource_limits(&machine, "unlimited", &(1000 * MIB).to_string());
    let headroom = machine.sample().headroom_bytes;
    assert_eq!(
        headroom,
        Some(100 * MIB),
        "the group's usage where that of the process is unknown"
    );
}

#[test]
fn every_level_that_was_read_is_told() {
    let told = |binding: Option<Binding>| {
        binding.map(|binding| (binding.limit_bytes / MIB, binding.unreclaimable_bytes / MIB))
    };
    let machine = Machine::v2("/a/b", &[]);
    let b = "/sys/fs/cgroup/a/b";
    group(&machine, b, "209715200", 100 * MIB, "");
    machine.file(&format!("{b}/memory.high"), &(150 * MIB).to_string());
    group(&machine, A, "524288000", 450 * MIB, "");
    let sample = machine.sample();
    assert_eq!(
        (told(sample.binding), sample.binding_level),
        (Some((500, 450)), Some(1))
    );
    assert_eq!(told(sample.own), Some((200, 100)));
    assert_eq!(told(sample.throttle), Some((150, 100)));

    machine.file(&format!("{A}/memory.high"), &(460 * MIB).to_string());
    assert_eq!(
        told(machine.sample().throttle),
        Some((460, 450)),
        "less room"
    );

    group(&machine, A, "max", 450 * MIB, "");
    group(&machine, b, "max", 100 * MIB, "");
    let sample = machine.sample();
    assert_eq!(
        (sample.own, sample.binding_level),
        (None, None),
        "the machine's memory binds"
    );
}

#[test]
fn case_8_usage_is_counted_where_the_controller_is_on() {
    let machine = Machine::v2("/a/b", &[]);
    group(&machine, A, "67108864", 32 * MIB, "");
    let sample = machine.sample();
    assert_eq!(
        (sample.scope, sample.current_bytes),
        (Scope::Group, Some(32 * MIB))
    );
    assert_eq!(sample.headroom_bytes, Some(32 * MIB));
}

#[test]
fn a_parent_that_fails_counts_at_least_the_own_usage() {
    let machine = Machine::v2("/a/b", &[("/a", "67108864")]);
    group(&machine, "/sys/fs/cgroup/a/b", "max", 48 * MIB, "");
    assert_eq!(machine.sample().headroom_bytes, Some(16 * MIB));
}

#[test]
fn the_time_of_a_sample_is_the_caller_s() {
    let now = Instant::now();
    assert_eq!(Machine::v2("/", &[]).sampler().sample(now).at, now);
}
