//! Containers by `runc`, detached: the program becomes *our* child, so the wait status is true,
//! and the cgroup stays until `runc delete`, so its counters can be read after death.

use std::fs::File;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitOptions, WaitStatus, set_child_subreaper, waitpid};
use serde_json::Value;

use super::{Container, Exit, MemoryCgroup, Plan, make_rootfs, oci};
use crate::command;
use crate::stress::cgroup::memory_folder;

/// A container that this process is the parent of.
#[derive(Debug)]
pub(in crate::stress) struct Runc {
    name: String,
    pid: Pid,
    exit: Option<Exit>,
}

/// A container whose program is talked to.
pub(in crate::stress) struct Piped {
    pub(in crate::stress) container: Runc,
    pub(in crate::stress) stdin: ChildStdin,
    pub(in crate::stress) stdout: ChildStdout,
}

pub(super) fn start(plan: &Plan<'_>) -> Result<(Box<dyn Container>, MemoryCgroup)> {
    let cgroup = format!("/relay-stress/{}", plan.name);
    prepare(plan, &cgroup, &oci::memory(plan.limit_bytes))?;
    launch(plan, Stdio::null(), log(plan)?.into())?;
    let container = Runc::launched(plan)?;
    let counters = MemoryCgroup::open(&memory_folder(&cgroup))?;
    Ok((Box::new(container), counters))
}

/// Starts a container in this cgroup, with these resources in the words of the OCI specification, and with pipes.
pub(in crate::stress) fn start_piped(
    plan: &Plan<'_>,
    cgroup: &str,
    resources: &Value,
) -> Result<Piped> {
    prepare(plan, cgroup, resources)?;
    let mut runc = launch(plan, Stdio::piped(), Stdio::piped())?;
    let container = Runc::launched(plan)?;
    Ok(Piped {
        container,
        stdin: runc.stdin.take().context("no pipe to the container")?,
        stdout: runc.stdout.take().context("no pipe from the container")?,
    })
}

fn prepare(plan: &Plan<'_>, cgroup: &str, resources: &Value) -> Result<()> {
    // runc itself ends at once; its orphan is then reparented to the nearest subreaper.
    set_child_subreaper(Some(rustix::process::getpid())).context("cannot adopt the container")?;
    std::fs::create_dir_all(plan.folder.join("data"))?;
    let folder = plan.folder.canonicalize()?;
    make_rootfs(plan)?;
    let data = folder.join("data");
    let config = oci::config(
        &plan.program(),
        plan.user,
        plan.arguments,
        &data,
        cgroup,
        resources,
    );
    let config = serde_json::to_vec_pretty(&config)?;
    std::fs::write(folder.join("config.json"), config)?;
    delete(plan.name);
    Ok(())
}

/// Runs `runc run` to its end; the program lives on with the streams that it was given.
fn launch(plan: &Plan<'_>, stdin: Stdio, stdout: Stdio) -> Result<Child> {
    let mut runc = Command::new("runc")
        .args(["run", "--detach", "--bundle"])
        .arg(plan.folder)
        .arg("--pid-file")
        .arg(plan.folder.join("pid"))
        .arg(plan.name)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(log(plan)?)
        .spawn()
        .context("cannot start runc")?;
    // Not `Child::wait`: that closes the pipe.
    let status = loop {
        match runc.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    if !status.success() {
        let log = std::fs::read_to_string(plan.folder.join("node.log"))?;
        bail!("runc run {} ended with {status}: {}", plan.name, log.trim());
    }
    Ok(runc)
}

/// Both streams append: two writers at one place would overwrite each other.
fn log(plan: &Plan<'_>) -> Result<File> {
    let path = plan.folder.join("node.log");
    Ok(File::options().append(true).create(true).open(path)?)
}

/// Changes the limit of a running container, as an orchestrator does when it resizes in place.
pub(in crate::stress) fn resize(name: &str, limit_bytes: u64) -> Result<()> {
    let limit = limit_bytes.to_string();
    let mut update = Command::new("runc");
    update.args(["update", "--memory", &limit, "--memory-swap", &limit, name]);
    command::output(&mut update).map(|_| ())
}

/// Removes a container of that name; none there is fine.
fn delete(name: &str) {
    let mut delete = Command::new("runc");
    delete.args(["delete", "--force", name]);
    command::output(&mut delete).ok();
}

// === impl Runc ===

impl Runc {
    fn launched(plan: &Plan<'_>) -> Result<Self> {
        let path = plan.folder.join("pid");
        let pid = std::fs::read_to_string(&path)?;
        let pid = Pid::from_raw(pid.trim().parse()?);
        Ok(Self {
            name: plan.name.to_owned(),
            pid: pid.with_context(|| format!("no pid in {}", path.display()))?,
            exit: None,
        })
    }
}

impl Container for Runc {
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
