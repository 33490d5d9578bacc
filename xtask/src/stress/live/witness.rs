//! The program inside the limit, seen from outside: orders go in, what it senses comes out.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;
use serde_json::Value;

use super::group::Group;
use crate::stress::container::runc::{self, Runc};
use crate::stress::container::{Container, Plan};

/// No answer takes longer, in an emulator either.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running witness; dropping it ends it.
pub(super) struct Witness {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    body: Body,
}

/// What holds the process.
enum Body {
    /// A plain process in a group, which sees the whole hierarchy.
    Process(Child),
    /// A container, which sees what a container sees.
    Container(Runc),
}

// === impl Witness ===

impl Witness {
    /// Starts a plain process that is in the group from its first page on.
    pub(super) fn in_group(program: &Path, group: &Group) -> Result<Self> {
        let join = "for door; do echo $$ > \"$door\" || exit 1; done; exec \"$0\"";
        let mut child = Command::new("sh")
            .args(["-c", join])
            .arg(program)
            .args(group.doors())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start sh")?;
        Ok(Self {
            stdin: child.stdin.take().context("no pipe to the witness")?,
            stdout: BufReader::new(child.stdout.take().context("no pipe from the witness")?),
            body: Body::Process(child),
        })
    }

    /// Starts a container.
    pub(super) fn in_container(plan: &Plan<'_>, cgroup: &str, resources: &Value) -> Result<Self> {
        let piped = runc::start_piped(plan, cgroup, resources)?;
        Ok(Self {
            stdin: piped.stdin,
            stdout: BufReader::new(piped.stdout),
            body: Body::Container(piped.container),
        })
    }

    /// Gives an order and waits for the answer.
    pub(super) fn ask(&mut self, order: &str) -> Result<Value> {
        self.tell(order)?;
        self.answer().with_context(|| format!("order {order:?}"))
    }

    /// Gives an order and waits for the answer, which may be an error.
    pub(super) fn ask_anyway(&mut self, order: &str) -> Result<Value> {
        self.tell(order)?;
        self.raw_answer()
    }

    /// Gives an order.
    pub(super) fn tell(&mut self, order: &str) -> Result<()> {
        writeln!(self.stdin, "{order}").with_context(|| format!("order {order:?}"))
    }

    /// Waits for an answer.
    ///
    /// # Errors
    ///
    /// When the witness died, says nothing, or says that it could not do as told.
    pub(super) fn answer(&mut self) -> Result<Value> {
        let answer = self.raw_answer()?;
        if let Some(error) = answer["error"].as_str() {
            bail!("{error}");
        }
        Ok(answer)
    }

    /// The answer, which may be an error.
    pub(super) fn raw_answer(&mut self) -> Result<Value> {
        if self.stdout.buffer().is_empty() {
            let timeout = Timespec::try_from(PATIENCE)?;
            let mut fds = [PollFd::new(self.stdout.get_ref(), PollFlags::IN)];
            ensure!(
                poll(&mut fds, Some(&timeout))? > 0,
                "no answer in {PATIENCE:?}"
            );
        }
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the witness has died");
        serde_json::from_str(&line).with_context(|| line)
    }

    /// The process in the limit.
    pub(super) fn pid(&self) -> Pid {
        match &self.body {
            Body::Process(child) => Pid::from_child(child),
            Body::Container(container) => container.pid(),
        }
    }

    /// Whether it has ended within a second.
    pub(super) fn has_died(&mut self) -> Result<bool> {
        for _ in 0..100 {
            let ended = match &mut self.body {
                Body::Process(child) => child.try_wait()?.is_some(),
                Body::Container(container) => container.try_wait()?.is_some(),
            };
            if ended {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(false)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // A container removes itself.
        if let Body::Process(child) = &mut self.body {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
