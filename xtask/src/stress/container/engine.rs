//! Containers by an engine with the Docker command line: docker or podman.

use std::fs::File;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::Pid;

use super::{Container, Exit, MemoryCgroup, Plan, make_rootfs};
use crate::command::output;

const IMAGE: &str = "relay-stress:latest";

#[derive(Debug)]
struct Engine {
    program: &'static str,
    name: String,
    pid: Pid,
    log: std::path::PathBuf,
    removed: bool,
}

/// Fails with what the engine said when it does not answer.
pub(super) fn ensure_answers(program: &str) -> Result<()> {
    let info = Command::new(program).arg("info").output();
    let info = info.with_context(|| format!("{program} is not installed"))?;
    if !info.status.success() {
        bail!(
            "{program} does not answer: {}",
            String::from_utf8_lossy(&info.stderr).trim()
        );
    }
    Ok(())
}

pub(super) fn start(
    program: &'static str,
    plan: &Plan<'_>,
) -> Result<(Box<dyn Container>, MemoryCgroup)> {
    import(program, plan)?;
    let data = plan.folder.canonicalize()?.join("data");
    let limit = plan.limit_bytes.to_string();
    Command::new(program)
        .args(["rm", "--force", plan.name])
        .output()?;
    output(
        Command::new(program)
            .args([
                "run",
                "--detach",
                "--name",
                plan.name,
                "--network",
                "host",
                "--read-only",
            ])
            .args([
                "--memory",
                &limit,
                "--memory-swap",
                &limit,
                "--workdir",
                "/data",
            ])
            .args([
                "--tmpfs",
                "/tmp:size=16m",
                "--security-opt",
                "no-new-privileges",
            ])
            .arg("--volume")
            .arg(format!("{}:/data", data.display()))
            .args([IMAGE, &plan.program()])
            .args(plan.arguments),
    )?;
    let pid = inspect(program, plan.name, "{{.State.Pid}}")?;
    let pid = Pid::from_raw(pid.parse()?).context("the container ended at once")?;
    let counters = MemoryCgroup::of_process(pid)?;
    let container = Engine {
        program,
        name: plan.name.to_owned(),
        pid,
        log: plan.folder.join("node.log"),
        removed: false,
    };
    Ok((Box::new(container), counters))
}

fn import(program: &str, plan: &Plan<'_>) -> Result<()> {
    let rootfs = make_rootfs(plan)?;
    let archive = plan.folder.join("rootfs.tar");
    output(
        Command::new("tar")
            .arg("-C")
            .arg(&rootfs)
            .arg("-cf")
            .arg(&archive)
            .arg("."),
    )?;
    output(Command::new(program).arg("import").arg(&archive).arg(IMAGE))?;
    std::fs::remove_file(archive)?;
    Ok(())
}

fn inspect(program: &str, name: &str, format: &str) -> Result<String> {
    output(Command::new(program).args(["inspect", "--format", format, name]))
}

// === impl Engine ===

impl Container for Engine {
    fn pid(&self) -> Pid {
        self.pid
    }

    fn try_wait(&mut self) -> Result<Option<Exit>> {
        let said = inspect(
            self.program,
            &self.name,
            "{{.State.Status}} {{.State.ExitCode}}",
        )?;
        let (state, code) = said.split_once(' ').context("inspect said nothing")?;
        if matches!(state, "running" | "created") {
            return Ok(None);
        }
        let code: i32 = code.parse()?;
        // Engines report a death by signal as 128 + the signal, as shells do.
        Ok(Some(if code > 128 {
            Exit::Signal(code - 128)
        } else {
            Exit::Code(code)
        }))
    }

    fn reports_oom_kill(&self) -> bool {
        inspect(self.program, &self.name, "{{.State.OOMKilled}}").is_ok_and(|said| said == "true")
    }

    fn remove(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.removed, true) {
            return Ok(());
        }
        let log = File::create(&self.log)?;
        let mut logs = Command::new(self.program);
        logs.args(["logs", &self.name])
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()?;
        let mut remove = Command::new(self.program);
        remove.args(["rm", "--force", &self.name]);
        output(&mut remove).map(|_| ())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.remove().ok();
    }
}
