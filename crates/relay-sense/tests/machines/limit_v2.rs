//! Memory limits on version 2. Cases are numbered as in the table of layouts that a detector must
//! get right.

use crate::machine::{GIB, MIB, Machine};
use relay_sense::{Bound, Detection, LimitSource, SenseError, detect};

fn soft_bytes(machine: &Machine) -> Option<u64> {
    machine.detect().soft.map(|soft| soft.bytes)
}

#[test]
fn case_1_container_with_its_own_namespace() {
    let machine = Machine::v2("/", &[("", "536870912")]);
    machine.assert_limit(512 * MIB, "cgroup-v2", Some("/sys/fs/cgroup"));
    assert!(machine.detect().ancestors_hidden);
}

#[test]
fn case_2_session_without_any_limit() {
    let session = "/user.slice/user-1000.slice/session-3.scope";
    let limits = [
        ("/user.slice", "max"),
        ("/user.slice/user-1000.slice", "max"),
        (session, "max"),
    ];
    let machine = Machine::v2(session, &limits);
    machine.assert_limit(16 * GIB, "physical", None);
    let detection = machine.detect();
    assert!(
        !detection.ancestors_hidden && detection.notes.is_empty(),
        "{detection:?}"
    );
    assert!(detection.memory.unwrap().is_low_confidence());
}

#[test]
fn case_3_limit_of_a_parent() {
    let machine = Machine::v2(
        "/a.slice/b.scope",
        &[("/a.slice", "524288000"), ("/a.slice/b.scope", "max")],
    );
    machine.assert_limit(500 * MIB, "cgroup-v2", Some("/sys/fs/cgroup/a.slice"));
}

#[test]
fn the_nearest_of_equal_limits_is_named() {
    let machine = Machine::v2("/a/b", &[("/a", "524288000"), ("/a/b", "524288000")]);
    machine.assert_limit(500 * MIB, "cgroup-v2", Some("/sys/fs/cgroup/a/b"));
}

#[test]
fn case_6_throttle_point_below_the_limit() {
    let machine = Machine::v2("/a", &[("/a", "536870912")]);
    machine.file("/sys/fs/cgroup/a/memory.high", "419430400\n");
    machine.assert_limit(512 * MIB, "cgroup-v2", Some("/sys/fs/cgroup/a"));
    assert_eq!(soft_bytes(&machine), Some(400 * MIB));
    assert_eq!(machine.sample().soft_limit_bytes, Some(400 * MIB));
}

#[test]
fn a_throttle_point_above_the_limit_means_nothing() {
    let machine = Machine::v2("/a", &[("/a", "536870912")]);
    machine.file("/sys/fs/cgroup/a/memory.high", "536870913\n");
    assert_eq!(soft_bytes(&machine), None);
    assert_eq!(machine.sample().soft_limit_bytes, None);
}

#[test]
fn the_smallest_throttle_point_of_all_levels_counts() {
    let machine = Machine::v2("/a/b", &[("/a", "max"), ("/a/b", "536870912")]);
    machine.file("/sys/fs/cgroup/a/memory.high", "104857600\n");
    machine.file("/sys/fs/cgroup/a/b/memory.high", "max\n");
    assert_eq!(soft_bytes(&machine), Some(100 * MIB));
    assert_eq!(machine.sample().soft_limit_bytes, Some(100 * MIB));
}

#[test]
fn case_8_controller_off_for_the_leaf() {
    let machine = Machine::v2("/a/b", &[("/a", "268435456")]);
    machine.assert_limit(256 * MIB, "cgroup-v2", Some("/sys/fs/cgroup/a"));
}

#[test]
fn case_9_container_in_the_host_namespace() {
    let group = format!("/system.slice/docker-{}.scope", "0a".repeat(32));
    let machine = Machine::v2(&group, &[(&group, "268435456")]);
    machine.assert_limit(
        256 * MIB,
        "cgroup-v2",
        Some(&format!("/sys/fs/cgroup{group}")),
    );
    assert!(!machine.detect().ancestors_hidden);
}

#[test]
fn levels_beyond_the_bound_count_as_hidden() {
    let group = "/x".repeat(40);
    let machine = Machine::v2(&group, &[(&group, "67108864"), ("/x", "1048576")]);
    assert!(machine.detect().ancestors_hidden);
    machine.assert_limit(
        64 * MIB,
        "cgroup-v2",
        Some(&format!("/sys/fs/cgroup{group}")),
    );
}

#[test]
fn case_27_controller_off_everywhere() {
    let machine = Machine::v2("/a", &[]);
    machine.file("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n");
    machine.file("/sys/fs/cgroup/a/cgroup.controllers", "cpu pids\n");
    machine.assert_limit(16 * GIB, "physical", None);
    machine.assert_note("memory controller off");
}

#[test]
fn case_28_limit_above_the_machine() {
    let machine = Machine::v2("/a", &[("/a", "107374182400")]);
    machine.memory(24 * GIB);
    machine.assert_limit(24 * GIB, "physical", None);
}

#[test]
fn case_44_limit_file_that_cannot_be_read() {
    let machine = Machine::v2("/a/b", &[("/a", "268435456")]);
    machine.folder("/sys/fs/cgroup/a/b/memory.max");
    machine.assert_limit(256 * MIB, "cgroup-v2", Some("/sys/fs/cgroup/a"));
    machine.assert_note("a/b/memory.max: not readable");
}

#[test]
fn garbage_in_a_limit_file_is_unknown_and_said_so() {
    let machine = Machine::v2("/a", &[("/a", "lots")]);
    machine.assert_limit(16 * GIB, "physical", None);
    machine.assert_note("a/memory.max: not readable as a limit");
}

#[test]
fn a_limit_of_zero_stays_zero() {
    let machine = Machine::v2("/a", &[("/a", "0")]);
    machine.file("/sys/fs/cgroup/a/memory.current", "4096\n");
    machine.assert_limit(0, "cgroup-v2", Some("/sys/fs/cgroup/a"));
    assert_eq!(machine.sample().headroom_bytes, Some(0));
}

#[test]
fn unknown_is_no_number() {
    let machine = Machine::v2("/a", &[("/a", "max")]);
    machine.remove("/proc/meminfo");
    assert_eq!(machine.detect().memory, None);
    machine.assert_note("physical memory unknown");
    assert_eq!(machine.sample().limit_bytes, Bound::Unknown);
}

#[test]
fn a_group_limit_holds_without_knowing_the_machine() {
    let machine = Machine::v2("/a", &[("/a", "67108864")]);
    machine.remove("/proc/meminfo");
    machine.assert_limit(64 * MIB, "cgroup-v2", Some("/sys/fs/cgroup/a"));
}

#[test]
fn h09_the_configured_limit_takes_part_in_the_minimum() {
    let machine = Machine::v2("/a", &[("/a", "268435456")]);
    let look = |configured| detect(&machine.root(), Some(configured)).unwrap();

    let below = look(128 * MIB).memory.unwrap();
    assert_eq!(
        (below.bytes, below.source, below.path),
        (128 * MIB, LimitSource::Config, None)
    );
    let Detection { memory, notes, .. } = look(512 * MIB);
    let above = memory.unwrap();
    assert_eq!(
        (above.bytes, above.source),
        (256 * MIB, LimitSource::CgroupV2)
    );
    assert!(notes[0].contains("lies above"), "{notes:?}");

    let sampler = machine.sampler().with_configured(128 * MIB).unwrap();
    assert_eq!(
        { sampler }.sample(std::time::Instant::now()).limit_bytes,
        Bound::Bytes(128 * MIB)
    );
}

#[test]
fn a_configured_limit_of_zero_is_refused() {
    let machine = Machine::v2("/", &[]);
    let error = detect(&machine.root(), Some(0)).unwrap_err();
    assert!(matches!(error, SenseError::ConfiguredZero), "{error}");
    assert!(machine.sampler().with_configured(0).is_err());
}

#[test]
fn a_root_that_is_not_there_is_refused() {
    let error = detect(&relay_sense::Root::at("/nowhere/at/all"), None).unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}
