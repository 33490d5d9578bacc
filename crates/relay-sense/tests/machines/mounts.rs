//! Finding the own group: hybrid systems, odd mounts, and what cannot be seen.

use std::time::Instant;

use crate::machine::{GIB, MIB, Machine, V2};
use relay_sense::{Root, Sampler, Scope, detect};

const LIMIT: &str = "67108864\n";

#[test]
fn case_15_a_bind_mount_of_another_group() {
    let bind = "50 27 0:28 /system.slice/foo.service /mnt/foo rw - cgroup2 cgroup2 rw";
    let machine = Machine::new("0::/app.slice/me\n", &[V2, bind]);
    machine.file("/mnt/foo/memory.max", "1048576\n");
    machine.file("/sys/fs/cgroup/app.slice/me/memory.max", LIMIT);
    machine.assert_limit(64 * MIB, "cgroup-v2", Some("/sys/fs/cgroup/app.slice/me"));
}

#[test]
fn cases_17_18_escaped_mount_points() {
    for (escaped, point) in [
        (r"/mnt/my\040cg", "/mnt/my cg"),
        (r"/mnt/a\011b\134c", "/mnt/a\tb\\c"),
    ] {
        let mount = format!("31 23 0:28 / {escaped} rw - cgroup2 cgroup2 rw");
        let machine = Machine::new("0::/a\n", &[&mount]);
        machine.file(&format!("{point}/a/memory.max"), LIMIT);
        machine.assert_limit(64 * MIB, "cgroup-v2", Some(&format!("{point}/a")));
    }
}

#[test]
fn cases_19_22_unrelated_lines() {
    let wsl = r"35 23 0:40 / /mnt/c rw - 9p C:\Program Files rw,dirsync,aname=drvfs;path=C:\a b";
    let lower = "/var/lib/docker/overlay2/l/ABCDEFGHIJKLMNOPQRSTUVWXYZ:".repeat(4000);
    let overlay = format!("36 23 0:41 / / rw - overlay overlay rw,lowerdir={lower}");
    assert!(overlay.len() > 200 << 10);
    let machine = Machine::new("0::/a\n", &[wsl, &overlay, V2]);
    machine.file("/sys/fs/cgroup/a/memory.max", LIMIT);
    machine.assert_limit(64 * MIB, "cgroup-v2", Some("/sys/fs/cgroup/a"));
}

#[test]
fn case_24_unfinished_and_blank_lines() {
    for cgroup in ["0::/a", "0::/a\n\n"] {
        let machine = Machine::new(cgroup, &[V2]);
        machine.file("/sys/fs/cgroup/a/memory.max", LIMIT);
        machine.assert_limit(64 * MIB, "cgroup-v2", Some("/sys/fs/cgroup/a"));
    }
}

#[test]
fn case_26_another_controller_on_version_1() {
    let freezer = "37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer";
    let machine = Machine::new("1:freezer:/\n0::/user.slice/s.scope\n", &[V2, freezer]);
    machine.file("/sys/fs/cgroup/user.slice/s.scope/memory.max", LIMIT);
    machine.assert_limit(
        64 * MIB,
        "cgroup-v2",
        Some("/sys/fs/cgroup/user.slice/s.scope"),
    );
}

#[test]
fn case_40_hybrid_with_memory_on_version_1() {
    let unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
    let memory = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
    for mounts in [[unified, memory], [memory, unified]] {
        for cgroup in [
            "0::/u\n2:memory:/user.slice/m\n",
            "2:memory:/user.slice/m\n0::/u\n",
        ] {
            let machine = Machine::new(cgroup, &mounts);
            machine.folder("/sys/fs/cgroup/unified/u");
            machine.file(
                "/sys/fs/cgroup/memory/user.slice/m/memory.limit_in_bytes",
                LIMIT,
            );
            let path = "/sys/fs/cgroup/memory/user.slice/m";
            machine.assert_limit(64 * MIB, "cgroup-v1", Some(path));
        }
    }
}

#[test]
fn case_42_the_mount_shows_an_ancestor() {
    let mount = "31 23 0:28 /user.slice/user-1000.slice /cg rw - cgroup2 cgroup2 rw";
    let machine = Machine::new(
        "0::/user.slice/user-1000.slice/user@1001.service\n",
        &[mount],
    );
    machine.file("/cg/user@1001.service/memory.max", LIMIT);
    machine.assert_limit(64 * MIB, "cgroup-v2", Some("/cg/user@1001.service"));
    assert!(machine.detect().ancestors_hidden);
}

#[test]
fn of_two_views_the_one_with_more_ancestors_is_taken() {
    let narrow = "52 27 0:28 /a/b /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
    let wide = "53 27 0:28 / /mnt/all rw - cgroup2 cgroup2 rw";
    for mounts in [[narrow, wide], [wide, narrow]] {
        let machine = Machine::new("0::/a/b\n", &mounts);
        machine.file("/sys/fs/cgroup/memory.max", "max\n");
        machine.file("/mnt/all/a/b/memory.max", "max\n");
        machine.file("/mnt/all/a/memory.max", LIMIT);
        machine.assert_limit(64 * MIB, "cgroup-v2", Some("/mnt/all/a"));
    }
}

#[test]
fn a_root_that_only_begins_alike_is_another_group() {
    let mount = "31 23 0:28 /docker/abc /cg rw - cgroup2 cgroup2 rw";
    let machine = Machine::new("0::/docker/abcdef\n", &[mount]);
    machine.file("/cg/memory.max", LIMIT);
    machine.file("/cg/def/memory.max", LIMIT);
    machine.assert_limit(16 * GIB, "physical", None);
    machine.assert_note("no mount shows");
}

#[test]
fn a_group_outside_the_namespace_is_not_guessed() {
    let machine = Machine::new("0::/../x\n", &[V2]);
    machine.file("/sys/fs/cgroup/x/memory.max", LIMIT);
    machine.assert_limit(16 * GIB, "physical", None);
    assert!(machine.detect().ancestors_hidden);
}

#[test]
fn own_namespace_but_mounted_from_outside() {
    let mount = "31 23 0:28 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
    let machine = Machine::new("0::/\n", &[mount]);
    machine.file("/sys/fs/cgroup/memory.max", LIMIT);
    machine.assert_limit(64 * MIB, "cgroup-v2", Some("/sys/fs/cgroup"));
}

#[test]
fn a_mount_that_hides_an_earlier_one() {
    let later = "52 31 0:28 / /mnt/real rw - cgroup2 cgroup2 rw";
    let machine = Machine::new("0::/a\n", &[later, V2]);
    machine.folder("/sys/fs/cgroup");
    machine.file("/mnt/real/a/memory.max", LIMIT);
    machine.assert_limit(64 * MIB, "cgroup-v2", Some("/mnt/real/a"));
}

#[test]
fn a_removed_group_leaves_its_ancestors() {
    let machine = Machine::new("0::/a/b (deleted)\n", &[V2]);
    machine.file("/sys/fs/cgroup/a/memory.max", LIMIT);
    machine.assert_limit(64 * MIB, "cgroup-v2", Some("/sys/fs/cgroup/a"));
}

#[test]
fn a_group_really_named_deleted() {
    let machine = Machine::new("0::/b (deleted)\n", &[V2]);
    machine.file("/sys/fs/cgroup/b (deleted)/memory.max", LIMIT);
    machine.assert_limit(64 * MIB, "cgroup-v2", Some("/sys/fs/cgroup/b (deleted)"));
}

#[test]
fn case_44_no_cgroup_mounts() {
    let machine = Machine::new("0::/a\n", &["22 27 0:21 / /proc rw - proc proc rw"]);
    machine.file("/proc/self/statm", "1000 300 100 1 0 200 0\n");
    machine.assert_limit(16 * GIB, "physical", None);
    machine.assert_note("no mount shows");

    let page_bytes = machine.page_bytes();
    let sample = machine.sample();
    assert_eq!(sample.scope, Scope::Process);
    assert_eq!(sample.unreclaimable_bytes, Some(300 * page_bytes));
    assert_eq!(sample.headroom_bytes, Some(16 * GIB - 300 * page_bytes));
}

#[test]
fn case_44_unreadable_mountinfo() {
    let machine = Machine::new("0::/a\n", &[]);
    machine.remove("/proc/self/mountinfo");
    machine.folder("/proc/self/mountinfo");
    machine.assert_limit(16 * GIB, "physical", None);
    machine.assert_note("mountinfo");
    assert!(machine.detect().ancestors_hidden);
}

#[test]
fn an_empty_folder_is_a_machine_about_which_nothing_is_known() {
    let machine = Machine::bare();
    let detection = machine.detect();
    assert_eq!(detection.memory, None);
    assert_eq!(detection.cpu.worker_threads().get(), 1);
    assert!(detection.notes.len() >= 2, "{:?}", detection.notes);
    let sample = machine.sample();
    assert_eq!((sample.headroom_bytes, sample.resident_bytes), (None, None));
}

#[test]
fn the_running_system_is_understood() {
    let root = Root::system();
    let memory = detect(&root, None).unwrap().memory.unwrap();
    let sample = Sampler::new(&root).unwrap().sample(Instant::now());
    assert_eq!(sample.limit_bytes.bytes(), Some(memory.bytes));
    assert!(
        sample.headroom_bytes.is_some() && sample.resident_bytes > Some(MIB),
        "{sample:?}"
    );
}
