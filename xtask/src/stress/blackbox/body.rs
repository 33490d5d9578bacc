//! The running program, in whatever holds it: a container, a plain process in a group, or nothing at all.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};

use super::case::{Case, Way};
use super::kernel_log::monotonic_ns;
use crate::stress::cgroup::{MemoryCgroup, Version, memory_folder};
use crate::stress::container::runc::{self, Runc};
use crate::stress::container::{Container, Exit, Plan};
use crate::stress::live::group::{Group, PARENT};

/// The program is up by then, in an emulator either.
const START: Duration = Duration::from_mins(1);

/// The file that the program records to, below its folder.
const FILE: &str = "relay-victim.fdr";

/// A running victim; dropping it ends it and removes what held it.
pub(super) struct Body {
    holder: Holder,
    pidfd: OwnedFd,
    stdout: BufReader<ChildStdout>,
    /// What it said before it was ready.
    pub(super) warnings: Vec<String>,
    pub(super) recording: PathBuf,
    /// The group that its kill is counted in, when it has one.
    group: Option<String>,
    counters: Option<MemoryCgroup>,
    /// Leaf first: a group with another below it cannot be removed.
    groups: Vec<Group>,
}

enum Holder {
    Process(Child),
    Container(Runc),
}

// === impl Body ===

impl Body {
    /// Starts the program of a case under a name of its own, and waits until it records.
    pub(super) fn start(program: &Path, case: Case, name: &str, folder: &Path) -> Result<Self> {
        let data = folder.join("data");
        std::fs::create_dir_all(&data)?;
        let owner = (case.user() != 0).then_some(case.user());
        std::os::unix::fs::chown(&data, owner, owner)?;
        if case.way == Way::Ancestor {
            return Self::below(program, case, name, &data);
        }
        let arguments = case.arguments("/data/fdr");
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let plan = Plan {
            name,
            binary: program,
            arguments: &arguments,
            folder,
            limit_bytes: case.limit_bytes(),
            user: case.user(),
        };
        let group = format!("{PARENT}/{name}");
        let piped = runc::start_piped(&plan, &group, &resources(case))?;
        let counters = MemoryCgroup::open(&memory_folder(&group))?;
        Self {
            pidfd: pidfd_open(piped.container.pid(), PidfdFlags::empty())?,
            holder: Holder::Container(piped.container),
            stdout: BufReader::new(piped.stdout),
            warnings: Vec::new(),
            recording: data.join("fdr").join(FILE),
            group: Some(group),
            counters: Some(counters),
            groups: Vec::new(),
        }
        .ready()
    }

    /// A plain process two groups down, whose limit is the upper one's.
    fn below(program: &Path, case: Case, name: &str, data: &Path) -> Result<Self> {
        let parent = Group::create(name)?;
        let leaf = Group::create(&format!("{name}/leaf"))?;
        parent.set_limit(case.limit_bytes())?;
        let folder = data.join("fdr");
        let join = "for door in $DOORS; do echo $$ > \"$door\" || exit 1; done; exec \"$0\" \"$@\"";
        let doors = leaf.doors();
        let doors: Vec<_> = doors.iter().map(|door| door.to_string_lossy()).collect();
        let mut command = Command::new("sh");
        command
            .args(["-c", join])
            .arg(program)
            .args(case.arguments(&folder.to_string_lossy()))
            .env("DOORS", doors.join(" "));
        let group = leaf.path().to_owned();
        let counters = leaf.counters()?;
        let mut body = Self::spawn(command, &folder)?;
        body.group = Some(group);
        body.counters = Some(counters);
        body.groups = vec![leaf, parent];
        body.ready()
    }

    /// The program without any limit.
    pub(super) fn free(program: &Path, arguments: &[&str], folder: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("--folder").arg(folder).args(arguments);
        Self::spawn(command, folder)?.ready()
    }

    fn spawn(mut command: Command, folder: &Path) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the victim")?;
        let stdout = child.stdout.take().context("no pipe from the victim")?;
        Ok(Self {
            pidfd: pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?,
            holder: Holder::Process(child),
            stdout: BufReader::new(stdout),
            warnings: Vec::new(),
            recording: folder.join(FILE),
            group: None,
            counters: None,
            groups: Vec::new(),
        })
    }

    /// Waits for the line that says so.
    fn ready(mut self) -> Result<Self> {
        loop {
            if self.stdout.buffer().is_empty() {
                let ready = wait(self.stdout.get_ref(), START)?;
                ensure!(ready, "the victim says nothing for {START:?}");
            }
            let mut line = String::new();
            self.stdout.read_line(&mut line)?;
            match line.trim() {
                "ready" => return Ok(self),
                "" => bail!("the victim died at its start: {:?}", self.warnings),
                said => self.warnings.push(said.to_owned()),
            }
        }
    }

    /// Sends the signal that nobody can catch, and says when.
    pub(super) fn kill(&self) -> Result<i64> {
        let at_ns = monotonic_ns();
        pidfd_send_signal(&self.pidfd, Signal::KILL)?;
        Ok(at_ns)
    }

    /// Waits until it has ended: when that was seen, and how it ended.
    pub(super) fn wait(&mut self, patience: Duration) -> Result<(i64, Exit)> {
        ensure!(wait(&self.pidfd, patience)?, "alive after {patience:?}");
        let at_ns = monotonic_ns();
        let exit = match &mut self.holder {
            Holder::Process(child) => exit_of(child.wait()?),
            Holder::Container(container) => container.try_wait()?,
        };
        Ok((at_ns, exit.context("ended without a status")?))
    }

    /// What the kernel counted in its group.
    pub(super) fn oom_kills(&self) -> Result<u64> {
        let counters = self.counters.as_ref().context("it has no group")?;
        Ok(counters.read()?.oom_kills)
    }

    pub(super) fn group(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // A container removes itself.
        if let Holder::Process(child) = &mut self.holder {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn resources(case: Case) -> Value {
    let limit = case.limit_bytes();
    let mut resources = json!({ "memory": { "limit": limit, "swap": limit } });
    if case.way == Way::GroupKill && Version::here() == Version::V2 {
        resources["unified"] = json!({ "memory.oom.group": "1" });
    }
    resources
}

/// Whether it became readable in time; a process is when it has ended.
fn wait(what: impl AsFd, patience: Duration) -> Result<bool> {
    let timeout = Timespec::try_from(patience)?;
    let mut fds = [PollFd::from_borrowed_fd(what.as_fd(), PollFlags::IN)];
    Ok(poll(&mut fds, Some(&timeout))? > 0)
}

fn exit_of(status: ExitStatus) -> Option<Exit> {
    let signal = status.signal().map(Exit::Signal);
    signal.or_else(|| status.code().map(Exit::Code))
}
