//! A container that runs one program inside a memory limit.

mod engine;
mod oci;
pub(super) mod runc;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::cgroup::MemoryCgroup;
use crate::packages;

/// What runs containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RuntimeKind {
    /// The OCI reference runtime, called directly: no daemon, true wait status.
    #[default]
    Runc,
    /// The Docker engine.
    Docker,
    /// Podman.
    Podman,
}

/// What to run, and in what.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Unique on this machine.
    pub(super) name: &'a str,
    /// The static binary; it stands at the root of the container's file system.
    pub(super) binary: &'a Path,
    /// What it is called with.
    pub(super) arguments: &'a [&'a str],
    /// A folder of the run: its `data` is the container's `/data`, its `node.log` the container's output.
    pub(super) folder: &'a Path,
    pub(super) limit_bytes: u64,
    /// Whose process it is; `/data` has to be writable for this user.
    pub(super) user: u32,
}

/// How the container's program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Exit {
    /// It returned this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// A running container.
pub(super) trait Container {
    /// The program's process, as seen from here.
    fn pid(&self) -> Pid;

    /// How it ended; `None` while it runs.
    fn try_wait(&mut self) -> Result<Option<Exit>>;

    /// Whether the runtime itself reports an OOM kill, where it keeps such a note.
    fn reports_oom_kill(&self) -> bool;

    /// Ends what still runs and removes every trace but the folder of the run.
    fn remove(&mut self) -> Result<()>;
}

/// Starts the plan's container and opens its memory counters.
pub(super) fn start(
    runtime: RuntimeKind,
    plan: &Plan<'_>,
) -> Result<(Box<dyn Container>, MemoryCgroup)> {
    std::fs::create_dir_all(plan.folder.join("data"))?;
    match runtime {
        RuntimeKind::Runc => runc::start(plan),
        RuntimeKind::Docker => engine::start("docker", plan),
        RuntimeKind::Podman => engine::start("podman", plan),
    }
}

/// Installs or asks for what the runtime needs.
pub(super) fn ensure_installed(runtime: RuntimeKind) -> Result<()> {
    match runtime {
        RuntimeKind::Runc => {
            packages::ensure(&[packages::CONTAINER])?;
            if !rustix::process::geteuid().is_root() {
                bail!("runc makes cgroups, which takes root: sudo cargo xtask stress …");
            }
            Ok(())
        }
        RuntimeKind::Docker => engine::ensure_answers("docker"),
        RuntimeKind::Podman => engine::ensure_answers("podman"),
    }
}

/// An empty folder for a run.
pub(super) fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(std::fs::create_dir_all(folder)?)
}

/// Removes what a finished run need not keep: its root file system and what the node wrote.
pub(super) fn discard(folder: &Path) -> Result<()> {
    for name in ["rootfs", "data"] {
        std::fs::remove_dir_all(folder.join(name))?;
    }
    Ok(())
}

/// Waits at most this long for the container to end.
pub(super) fn wait(container: &mut dyn Container, patience: Duration) -> Result<Option<Exit>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(exit) = container.try_wait()? {
            return Ok(Some(exit));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The few files that name resolution and identity want, beside the binary.
fn make_rootfs(plan: &Plan<'_>) -> Result<PathBuf> {
    let rootfs = plan.folder.join("rootfs");
    for folder in ["etc", "tmp", "data", "proc", "sys", "dev"] {
        std::fs::create_dir_all(rootfs.join(folder))?;
    }
    let files = [
        ("passwd", "root:x:0:0:root:/:/relay\n"),
        ("group", "root:x:0:\n"),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
        ("resolv.conf", ""),
    ];
    for (name, text) in files {
        std::fs::write(rootfs.join("etc").join(name), text)?;
    }
    let program = rootfs.join(plan.program().trim_start_matches('/'));
    // A hard link spares a copy a run; across file systems it has to be one.
    std::fs::remove_file(&program).ok();
    if std::fs::hard_link(plan.binary, &program).is_err() {
        std::fs::copy(plan.binary, &program)?;
    }
    Ok(rootfs)
}

// === impl Plan ===

impl Plan<'_> {
    /// The program's path in the container.
    fn program(&self) -> String {
        let name = self.binary.file_name().unwrap_or_default();
        format!("/{}", name.to_string_lossy())
    }
}

// === impl Exit ===

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}
