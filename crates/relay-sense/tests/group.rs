//! A real control group, made for the test below the own one: resize, kill, removal.
//!
//! Needs root and control groups that may be written: `cargo test -p relay-sense --test group -- --ignored`.

#![cfg(all(target_os = "linux", not(relay_portable)))]
#![expect(
    clippy::unwrap_used,
    reason = "without these files there is nothing to test"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use relay_sense::{Bound, Root, Sampler, StallKind, Trigger, wait};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// Long enough for a busy machine; what is waited for comes at once or never.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

/// A group of its own, and a view of the system in which this process is in it. The test itself stays
/// where it is, or the other tests would move with it.
struct Group {
    dir: PathBuf,
    limit: &'static str,
    view: TempDir,
}

impl Group {
    fn new(name: &str) -> Self {
        let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap();
        let v1 = cgroup.lines().find_map(|line| line.split_once(":memory:"));
        let (mount, limit) = match v1 {
            Some(_) => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            None => ("/sys/fs/cgroup", "memory.max"),
        };
        let path = format!("/relay-sense-{name}-{}", std::process::id());
        let dir = PathBuf::from(format!("{mount}{path}"));
        fs::create_dir(&dir).unwrap_or_else(|error| {
            panic!(
                "{}: {error}: run as root where {mount} may be written, as `cargo xtask test` does",
                dir.display()
            )
        });
        let view = tempfile::tempdir().unwrap();
        let proc_self = view.path().join("proc/self");
        fs::create_dir_all(&proc_self).unwrap();
        let membership = if v1.is_some() {
            format!("4:memory:{path}\n")
        } else {
            format!("0::{path}\n")
        };
        fs::write(proc_self.join("cgroup"), membership).unwrap();
        fs::copy("/proc/self/mountinfo", proc_self.join("mountinfo")).unwrap();
        symlink("/proc/meminfo", view.path().join("proc/meminfo")).unwrap();
        symlink("/sys", view.path().join("sys")).unwrap();
        Self { dir, limit, view }
    }

    fn sampler(&self) -> Sampler {
        Sampler::new(&Root::at(self.view.path())).unwrap()
    }

    fn resize(&self, text: &str) {
        fs::write(self.dir.join(self.limit), text).unwrap();
    }

    /// A process in the group that fills so many bytes with zeros and holds them while it reads.
    fn fill(&self, bytes: u64) -> std::process::ExitStatus {
        let procs = self.dir.join("cgroup.procs");
        let script = format!(
            "echo $$ > {}; head -c {bytes} /dev/zero | tail",
            procs.display()
        );
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        shell.status().unwrap()
    }

    fn remove(&self) {
        // Its last process may still be on its way out.
        for _ in 0..1000 {
            match fs::remove_dir(&self.dir) {
                Err(error) if error.raw_os_error() == Some(16) => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                _ => return,
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.remove();
    }
}

fn limit_bytes(path: &Path) -> u64 {
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

#[test]
#[ignore = "needs root and writable control groups: cargo test -p relay-sense --test group -- --ignored"]
fn a_resize_wakes_the_waiter_and_is_in_the_next_sample() {
    let group = Group::new("resize");
    group.resize("67108864");
    let mut sampler = group.sampler();
    let now = Instant::now();
    assert_eq!(sampler.sample(now).limit_bytes, Bound::Bytes(64 * MIB));
    for mib in [128, 32, 256] {
        group.resize(&(mib * MIB).to_string());
        assert!(
            wait(sampler.watch(), None, None, PATIENCE).unwrap().watch,
            "{mib} MiB"
        );
        let sample = sampler.sample(now);
        assert!(sample.changed.limits);
        assert_eq!(sample.limit_bytes, Bound::Bytes(mib * MIB));
        assert_eq!(limit_bytes(&group.dir.join(group.limit)), mib * MIB);
    }
}

#[test]
#[ignore = "needs root and writable control groups: cargo test -p relay-sense --test group -- --ignored"]
fn a_kill_for_want_of_memory_is_counted() {
    let group = Group::new("kill");
    group.resize("16777216");
    let mut sampler = group.sampler();
    let start = Instant::now();
    let before = sampler.sample(start).events;
    assert_eq!(before.oom_kill, Some(0), "{before:?}");
    group.fill(256 * MIB);
    let sample = sampler.sample(start + Duration::from_secs(1));
    assert!(sample.events.oom_kill > before.oom_kill, "{sample:?}");
    assert!(sample.events.max > before.max, "{sample:?}");
    assert!(sample.current_bytes.is_some() && !sample.moved);
}

#[test]
#[ignore = "needs root and writable control groups: cargo test -p relay-sense --test group -- --ignored"]
fn a_removed_group_is_unknown_at_once_and_found_again() {
    let group = Group::new("removed");
    group.resize("67108864");
    let mut sampler = group.sampler();
    let gauge = sampler.gauge();
    let now = Instant::now();
    assert!(sampler.sample(now).headroom_bytes.is_some());
    assert!(gauge.headroom_bytes().is_some());

    group.remove();
    assert_eq!(gauge.headroom_bytes(), None);
    assert_eq!(sampler.level(now).headroom_bytes, None);
    let sample = sampler.sample(now);
    assert!(sample.moved);
    assert_eq!(
        (sample.limit_bytes, sample.headroom_bytes),
        (Bound::Unknown, None)
    );

    // The kernel says `(deleted)` then; the ancestors still hold.
    let membership = group.view.path().join("proc/self/cgroup");
    let text = fs::read_to_string(&membership).unwrap();
    fs::write(&membership, text.replace('\n', " (deleted)\n")).unwrap();
    assert!(sampler.refresh(now).unwrap());
    assert!(!sampler.sample(now).moved);
    assert!(sampler.sample(now).headroom_bytes.is_some());
}

/// Pressure is shown in the unified hierarchy, whichever version rules memory.
#[test]
#[ignore = "needs root and writable control groups: cargo test -p relay-sense --test group -- --ignored"]
fn a_trigger_ends_with_its_group_and_keeps_nobody_awake() {
    let unified = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .map(Path::new)
        .into_iter()
        .find(|dir| dir.join("cgroup.controllers").exists())
        .expect("a mount of version 2");
    let dir = unified.join(format!("relay-sense-trigger-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let pressure = dir.join("memory.pressure");
    let (stall, window) = (Duration::from_millis(100), Duration::from_secs(2));
    let registered = Trigger::register_at(&pressure, StallKind::Some, stall, window);
    fs::remove_dir(&dir).unwrap();

    let mut trigger = registered.unwrap();
    let ready = wait(None, Some(&mut trigger), None, PATIENCE).unwrap();
    assert!(!ready.pressure && trigger.is_gone());
    let nothing = wait(None, Some(&mut trigger), None, Some(Duration::ZERO)).unwrap();
    assert!(!nothing.pressure);
}
