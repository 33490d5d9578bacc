//! A container's memory as the kernel counts it, read from outside, cgroup v1 and v2.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// Where cgroups are mounted, each controller of version 1 in a folder of its own.
pub(super) const MOUNT: &str = "/sys/fs/cgroup";

/// The open counter files of one memory cgroup: they stay readable while the container dies.
#[derive(Debug)]
pub(super) struct MemoryCgroup {
    usage: File,
    stat: File,
    events: File,
    names: &'static Names,
}

/// One look at the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reading {
    /// Everything charged, file cache included.
    pub(super) usage_bytes: u64,
    /// Usage without inactive file cache: what cAdvisor and the kubelet call the working set.
    pub(super) working_set_bytes: u64,
    /// Processes of this cgroup that the OOM killer took.
    pub(super) oom_kills: u64,
}

/// Which interface counts memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Version {
    V1,
    V2,
}

#[derive(Debug)]
struct Names {
    usage: &'static str,
    inactive_file: &'static str,
    events: &'static str,
}

const V1: Names = Names {
    usage: "memory.usage_in_bytes",
    inactive_file: "total_inactive_file",
    events: "memory.oom_control",
};

const V2: Names = Names {
    usage: "memory.current",
    inactive_file: "inactive_file",
    events: "memory.events",
};

// === impl Version ===

impl Version {
    /// The one of the running system.
    pub(super) fn here() -> Self {
        if Path::new(MOUNT).join("memory").is_dir() {
            Self::V1
        } else {
            Self::V2
        }
    }
}

// === impl MemoryCgroup ===

impl MemoryCgroup {
    /// The memory cgroup that a process is in.
    pub(super) fn of_process(pid: Pid) -> Result<Self> {
        Self::open(&folder_of_process(pid)?)
    }

    /// Opens the counters in a cgroup's folder.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let names = if folder.join(V2.usage).exists() {
            &V2
        } else {
            &V1
        };
        let open = |name: &str| {
            let path = folder.join(name);
            File::open(&path).with_context(|| path.display().to_string())
        };
        Ok(Self {
            usage: open(names.usage)?,
            stat: open("memory.stat")?,
            events: open(names.events)?,
            names,
        })
    }

    /// Reads all counters.
    ///
    /// # Errors
    ///
    /// When the cgroup was removed meanwhile, or a counter is missing.
    pub(super) fn read(&self) -> Result<Reading> {
        let usage_bytes: u64 = text(&self.usage)?
            .trim()
            .parse()
            .context(self.names.usage)?;
        let inactive = field(&text(&self.stat)?, self.names.inactive_file)?;
        Ok(Reading {
            usage_bytes,
            working_set_bytes: usage_bytes.saturating_sub(inactive),
            oom_kills: field(&text(&self.events)?, "oom_kill")?,
        })
    }
}

/// The folder of the memory cgroup that a process is in.
pub(super) fn folder_of_process(pid: Pid) -> Result<PathBuf> {
    let path = format!("/proc/{}/cgroup", pid.as_raw_nonzero());
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    folder_of(&text).with_context(|| format!("no memory cgroup in {path}"))
}

/// Where cgroups of this name are for the memory controller, to pass on to a container runtime.
pub(super) fn memory_folder(path: &str) -> PathBuf {
    controller_folder("memory", path)
}

/// Where cgroups of this name are for a controller.
pub(super) fn controller_folder(controller: &str, path: &str) -> PathBuf {
    let root = match Version::here() {
        Version::V1 => Path::new(MOUNT).join(controller),
        Version::V2 => PathBuf::from(MOUNT),
    };
    root.join(path.trim_start_matches('/'))
}

fn folder_of(proc_cgroup: &str) -> Option<PathBuf> {
    let lines = || {
        proc_cgroup
            .lines()
            .filter_map(|line| line.split_once(':')?.1.split_once(':'))
    };
    let v1 = lines().find(|(controllers, _)| controllers.split(',').any(|c| c == "memory"));
    let (_, path) = v1.or_else(|| lines().find(|(controllers, _)| controllers.is_empty()))?;
    let root = if v1.is_some() {
        format!("{MOUNT}/memory")
    } else {
        MOUNT.to_owned()
    };
    Some(Path::new(&root).join(path.trim_start_matches('/')))
}

/// A counter file from its beginning; the kernel makes it anew for each read at offset 0.
fn text(file: &File) -> Result<String> {
    let mut buffer = [0; 8192];
    let length = file.read_at(&mut buffer, 0)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn field(text: &str, name: &str) -> Result<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines
        .find(|(key, _)| *key == name)
        .with_context(|| format!("no {name}"))?;
    value
        .trim()
        .parse()
        .with_context(|| format!("{name} {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_cgroup_is_found_in_both_hierarchies() {
        let v1 = "9:name=systemd:/a\n4:cpu,memory:/relay/x\n0::/b\n";
        assert_eq!(folder_of(v1), Some("/sys/fs/cgroup/memory/relay/x".into()));
        assert_eq!(
            folder_of("0::/user/y\n"),
            Some("/sys/fs/cgroup/user/y".into())
        );
        assert_eq!(folder_of("3:cpu:/x\n"), None);
    }

    #[test]
    fn a_missing_counter_is_an_error_not_a_zero() {
        let events = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(field(events, "oom_kill").unwrap(), 3);
        assert!(field("oom_kill_disable 0\n", "oom_kill").is_err());
        assert!(field("oom_kill none\n", "oom_kill").is_err());
    }

    #[test]
    fn the_working_set_leaves_out_inactive_file_cache() {
        let folder = std::env::temp_dir().join(format!("xtask-cgroup-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("memory.current", "1000\n");
        write(
            "memory.stat",
            "anon 300\ninactive_file 600\nactive_file 100\n",
        );
        write("memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n");
        let reading = MemoryCgroup::open(&folder).unwrap().read().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let expected = Reading {
            usage_bytes: 1000,
            working_set_bytes: 400,
            oom_kills: 1,
        };
        assert_eq!(reading, expected);
    }
}
