//! Memory that somebody else takes: a second process in the container's own memory cgroup.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::Pid;

use super::cgroup;

/// A process that holds what it is told to; dropping it gives everything back.
#[derive(Debug)]
pub(super) struct Ballast {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

// === impl Ballast ===

impl Ballast {
    /// Starts `program` (the `witness` of package `relay-stress`) in the memory cgroup of `beside`, from its first page
    /// on: the shell joins before it becomes the program.
    pub(super) fn start(program: &Path, beside: Pid) -> Result<Self> {
        let door = cgroup::folder_of_process(beside)?.join("cgroup.procs");
        let mut child = Command::new("sh")
            .args(["-c", "echo $$ > \"$1\" && exec \"$0\""])
            .arg(program)
            .arg(door)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start sh")?;
        Ok(Self {
            stdin: child.stdin.take().context("no pipe to the ballast")?,
            stdout: BufReader::new(child.stdout.take().context("no pipe from the ballast")?),
            child,
        })
    }

    /// Takes so many bytes more and touches them.
    ///
    /// # Errors
    ///
    /// When it died, which it does when the kernel chose it.
    pub(super) fn take(&mut self, bytes: u64) -> Result<()> {
        writeln!(self.stdin, "hold {bytes}").context("the ballast does not listen")?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        anyhow::ensure!(line.contains("held_bytes"), "the ballast said {line:?}");
        Ok(())
    }

    /// Whether it ended by itself, which it never does, or was killed.
    pub(super) fn is_dead(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
