//! A cgroup that a test makes, changes and removes: the truth that the sensor is held against.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Pid;

use crate::stress::cgroup::{MOUNT, MemoryCgroup, Version, controller_folder, memory_folder};

/// Above all groups of these tests; the container runtime puts its own there too.
pub(in crate::stress) const PARENT: &str = "/relay-stress";

/// The controllers that the tests use.
const CONTROLLERS: [&str; 2] = ["memory", "cpu"];

/// A cgroup; dropping it removes it.
#[derive(Debug)]
pub(in crate::stress) struct Group {
    path: String,
}

// === impl Group ===

impl Group {
    /// Makes a group below [`PARENT`], and what is missing above it.
    pub(in crate::stress) fn create(name: &str) -> Result<Self> {
        let path = format!("{PARENT}/{name}");
        for controller in CONTROLLERS {
            let folder = controller_folder(controller, &path);
            std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        if Version::here() == Version::V2 {
            for ancestor in Path::new(&path).ancestors().skip(1) {
                let ancestor = memory_folder(&ancestor.to_string_lossy());
                write(&ancestor.join("cgroup.subtree_control"), "+memory +cpu")?;
            }
        }
        Ok(Self { path })
    }

    /// Its path as a container runtime wants it.
    pub(in crate::stress) fn path(&self) -> &str {
        &self.path
    }

    pub(in crate::stress) fn set_limit(&self, bytes: u64) -> Result<()> {
        self.set(limit_file(), &bytes.to_string())
    }

    /// What throttles in version 2, and what version 1 calls a soft limit, which throttles nothing.
    pub(in crate::stress) fn set_soft_limit(&self, bytes: u64) -> Result<()> {
        let file = match Version::here() {
            Version::V1 => "memory.soft_limit_in_bytes",
            Version::V2 => "memory.high",
        };
        self.set(file, &bytes.to_string())
    }

    /// So many microseconds of processor time in each 100 ms.
    pub(in crate::stress) fn set_cpu_quota(&self, quota_us: u32) -> Result<()> {
        let folder = controller_folder("cpu", &self.path);
        match Version::here() {
            Version::V1 => {
                write(&folder.join("cpu.cfs_period_us"), "100000")?;
                write(&folder.join("cpu.cfs_quota_us"), &quota_us.to_string())
            }
            Version::V2 => write(&folder.join("cpu.max"), &format!("{quota_us} 100000")),
        }
    }

    /// Writes one of the memory controller's files.
    pub(in crate::stress) fn set(&self, file: &str, text: &str) -> Result<()> {
        write(&memory_folder(&self.path).join(file), text)
    }

    pub(in crate::stress) fn counters(&self) -> Result<MemoryCgroup> {
        MemoryCgroup::open(&memory_folder(&self.path))
    }

    /// Where a process writes its number to join, one file a controller.
    pub(in crate::stress) fn doors(&self) -> Vec<PathBuf> {
        let folders = CONTROLLERS.map(|controller| controller_folder(controller, &self.path));
        let mut doors = folders.map(|folder| folder.join("cgroup.procs")).to_vec();
        doors.dedup();
        doors
    }

    /// Moves a process here.
    pub(in crate::stress) fn take(&self, pid: Pid) -> Result<()> {
        for door in self.doors() {
            write(&door, &pid.as_raw_nonzero().to_string())?;
        }
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for controller in CONTROLLERS {
            let folder = controller_folder(controller, &self.path);
            // The last process has ended, but the kernel may not have let go of it yet.
            for _ in 0..100 {
                if std::fs::remove_dir(&folder).is_ok() || !folder.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // In version 1 a container runtime has made the same folders for every other controller; they are empty.
        let mounts = std::fs::read_dir(MOUNT).into_iter().flatten().flatten();
        for mount in mounts.filter(|_| Version::here() == Version::V1) {
            let folder = mount.path().join(self.path.trim_start_matches('/'));
            std::fs::remove_dir(folder).ok();
        }
    }
}

/// The file of the hard limit.
pub(in crate::stress) fn limit_file() -> &'static str {
    match Version::here() {
        Version::V1 => "memory.limit_in_bytes",
        Version::V2 => "memory.max",
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{text} > {}", path.display()))
}
