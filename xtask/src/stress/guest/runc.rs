//! Containers by `runc`, detached: the program becomes *our* child, so the wait status is true,
//! and the cgroup stays until `runc delete`, so its counters can be read after death.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitOptions, WaitStatus, set_child_subreaper, waitpid};

use super::{Exit, Guest, MemoryCgroup, Plan, make_rootfs, oci};
use crate::command;
use crate::stress::cgroup::memory_folder;

#[derive(Debug)]
struct Runc {
    name: String,
    pid: Pid,
    exit: Option<Exit>,
}

pub(super) fn start(plan: &Plan<'_>) -> Result<(Box<dyn Guest>, MemoryCgroup)> {
    // runc itself ends at once; its orphan is then reparented to the nearest subreaper.
    set_child_subreaper(Some(rustix::process::getpid())).context("cannot adopt the guest")?;
    let folder = plan.folder.canonicalize()?;
    make_rootfs(plan)?;
    let cgroup = format!("/relay-stress/{}", plan.name);
    let config = oci::config(
        plan.arguments,
        &folder.join("data"),
        plan.limit_bytes,
        &cgroup,
    );
    std::fs::write(
        folder.join("config.json"),
        serde_json::to_vec_pretty(&config)?,
    )?;
    delete(plan.name);
    let pid = launch(plan.name, &folder)?;
    let guest = Box::new(Runc {
        name: plan.name.to_owned(),
        pid,
        exit: None,
    });
    let counters = MemoryCgroup::open(&memory_folder(&cgroup))?;
    Ok((guest, counters))
}

fn launch(name: &str, folder: &Path) -> Result<Pid> {
    let log = File::create(folder.join("node.log"))?;
    let pid_file = folder.join("pid");
    let status = Command::new("runc")
        .args(["run", "--detach", "--bundle"])
        .arg(folder)
        .arg("--pid-file")
        .arg(&pid_file)
        .arg(name)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .context("cannot start runc")?;
    if !status.success() {
        let log = std::fs::read_to_string(folder.join("node.log"))?;
        bail!("runc run {name} ended with {status}: {}", log.trim());
    }
    let pid = std::fs::read_to_string(&pid_file)?;
    Pid::from_raw(pid.trim().parse()?).with_context(|| format!("{}: {pid}", pid_file.display()))
}

/// Removes a container of that name; none there is fine.
fn delete(name: &str) {
    let mut delete = Command::new("runc");
    delete.args(["delete", "--force", name]);
    command::output(&mut delete).ok();
}

// === impl Runc ===

impl Guest for Runc {
    fn pid(&self) -> Pid {
        self.pid
    }

    fn try_wait(&mut self) -> Result<Option<Exit>> {
        if self.exit.is_none() {
            let waited = waitpid(Some(self.pid), WaitOptions::NOHANG).context("waitpid")?;
            self.exit = waited.and_then(|(_, status)| exit_of(status));
        }
        Ok(self.exit)
    }

    fn reports_oom_kill(&self) -> bool {
        false
    }

    fn remove(&mut self) -> Result<()> {
        delete(&self.name);
        self.try_wait().map(|_| ())
    }
}

impl Drop for Runc {
    fn drop(&mut self) {
        self.remove().ok();
    }
}

fn exit_of(status: WaitStatus) -> Option<Exit> {
    let signal = status.terminating_signal().map(Exit::Signal);
    signal.or_else(|| status.exit_status().map(Exit::Code))
}
