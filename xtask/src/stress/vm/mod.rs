//! A guest machine: Debian's kernel with cgroup version 2 alone, emulated, so that no permission and no host setting
//! decides what can be tested. It boots in about three seconds and runs one scenario of this program.
//!
//! ```text
//! this program, runc, static programs ─▶ initrd ─┐
//! linux-image-cloud-amd64 ───────────▶ vmlinuz ──┴▶ qemu ─┬─ ttyS0 ─▶ console.log
//!                                                         ├─ ttyS1 ─▶ output.log, and the terminal
//!                                                         └─ ttyS2 ─▶ results.ndjson
//! ```
//!
//! Emulated (TCG), not virtualised: nested virtualisation is not to be had everywhere, and what is counted here does not
//! depend on speed. Its milliseconds are upper bounds.

mod image;
mod kernel;

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::packages;
use kernel::Kernel;

/// Where the scenario inside writes its results.
pub(super) const RESULTS: &str = "/dev/ttyS2";

/// Where the static programs are inside.
pub(super) const PROGRAMS: &str = "/programs";

/// A disk inside, whose page cache is one.
pub(super) const DATA: &str = "/data";

/// What to boot, and what to run in it.
#[derive(Debug)]
pub(super) struct Guest<'a> {
    /// Emptied first; keeps the logs.
    pub(super) folder: &'a Path,
    /// Statically linked programs, copied to [`PROGRAMS`].
    pub(super) programs: &'a [PathBuf],
    /// What `xtask` is called with inside.
    pub(super) arguments: &'a [String],
    /// Whether the kernel counts pressure stalls.
    pub(super) psi: bool,
    /// When the guest is ended if it has not ended by itself.
    pub(super) patience: Duration,
}

/// A guest that is ready to boot, also many times.
#[derive(Debug)]
pub(super) struct Machine {
    folder: PathBuf,
    kernel: Kernel,
    initrd: PathBuf,
    psi: bool,
    patience: Duration,
}

/// A running emulator; dropping it ends it.
struct Emulator(Child);

/// Installs or asks for what a guest needs.
pub(super) fn ensure_installed() -> Result<()> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "the guest is an x86_64 machine, and runs programs that are built here"
    );
    packages::ensure(&[packages::GUEST, packages::CONTAINER])
}

// === impl Guest ===

impl Guest<'_> {
    /// Boots, runs, waits for the power-off, and returns the results: one value a line.
    ///
    /// # Errors
    ///
    /// When the guest dies, does not end in time, or its scenario failed; the results up to then are in
    /// `results.ndjson`.
    pub(super) fn run(&self) -> Result<Vec<Value>> {
        super::container::fresh(self.folder)?;
        let machine = self.build()?;
        let mut emulator = Emulator(machine.qemu(None).spawn().context("qemu")?);
        let ended = machine.watch(&mut emulator);
        drop(machine);
        ended?;
        let text = std::fs::read_to_string(self.folder.join("results.ndjson"))?;
        let (results, exit) = parse(&text)?;
        let console = self.folder.join("console.log");
        match exit {
            Some(0) => Ok(results),
            Some(code) => bail!("the scenario in the guest ended with {code}"),
            None => bail!("the guest died; its console is {}", console.display()),
        }
    }

    /// Makes what is booted.
    pub(super) fn build(&self) -> Result<Machine> {
        let kernel = Kernel::fetch()?;
        let initrd = image::build(self.folder, &kernel, self.programs, self.arguments)?;
        std::fs::remove_dir_all(self.folder.join("root"))?;
        Ok(Machine {
            folder: self.folder.to_owned(),
            kernel,
            initrd,
            psi: self.psi,
            patience: self.patience,
        })
    }
}

// === impl Machine ===

impl Machine {
    /// Boots with a disk, waits for the first result line that `begun` takes, and ends the emulator with SIGKILL `after`
    /// that: a power cut. Returns the result lines up to then, the last of which may be cut as well.
    pub(super) fn cut(
        &self,
        disk: &Path,
        after: Duration,
        begun: fn(&str) -> bool,
    ) -> Result<String> {
        let results = self.folder.join("results.ndjson");
        std::fs::remove_file(&results).ok();
        let mut emulator = Emulator(self.qemu(Some(disk)).spawn().context("qemu")?);
        let deadline = Instant::now() + self.patience;
        loop {
            let said = std::fs::read_to_string(&results).unwrap_or_default();
            if said.split('\n').any(begun) {
                break;
            }
            let ended = emulator.0.try_wait()?.is_some();
            ensure!(
                !ended && Instant::now() < deadline,
                "the guest does not begin; its console is in {}",
                self.folder.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(after);
        drop(emulator);
        Ok(std::fs::read_to_string(&results)?)
    }

    fn qemu(&self, disk: Option<&Path>) -> Command {
        let psi = u8::from(self.psi);
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-machine", "pc", "-accel", "tcg", "-smp", "2", "-m", "768"])
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            // A panic reboots at once, and a reboot ends the emulator. The timer is not checked at boot: on a busy machine
            // the emulator delivers its ticks too late for the check, and the kernel gives up.
            .args(["-no-reboot", "-append"])
            .arg(format!(
                "console=ttyS0 quiet no_timer_check panic=-1 log_buf_len=1M cgroup_no_v1=all psi={psi}"
            ))
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(&self.initrd)
            .stdin(Stdio::null());
        for name in ["console.log", "output.log", "results.ndjson"] {
            let path = self.folder.join(name);
            qemu.arg("-serial").arg(format!("file:{}", path.display()));
        }
        if let Some(disk) = disk {
            let file = disk.display();
            // What the guest hands over is in the file, whatever becomes of the emulator.
            qemu.arg("-drive")
                .arg(format!(
                    "file={file},format=raw,if=none,id=disk,cache=writeback"
                ))
                .args(["-device", "nvme,drive=disk,serial=relay"]);
        }
        qemu
    }

    /// Shows what the scenario prints until the emulator ends.
    fn watch(&self, emulator: &mut Emulator) -> Result<()> {
        let deadline = Instant::now() + self.patience;
        let mut output = None;
        loop {
            let ended = emulator.0.try_wait()?;
            output = output.or_else(|| File::open(self.folder.join("output.log")).ok());
            if let Some(output) = &mut output {
                show_rest(output)?;
            }
            match ended {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("qemu ended with {status}"),
                None if Instant::now() > deadline => bail!(
                    "the guest did not end within {:?}; its console is {}",
                    self.patience,
                    self.folder.join("console.log").display()
                ),
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        std::fs::remove_file(&self.initrd).ok();
    }
}

fn show_rest(output: &mut File) -> Result<()> {
    let mut text = Vec::new();
    output.read_to_end(&mut text)?;
    // A serial line ends its lines with carriage return and line feed.
    text.retain(|byte| *byte != b'\r');
    Ok(std::io::stdout().write_all(&text)?)
}

/// The results before the last line, and the exit status that it tells.
fn parse(text: &str) -> Result<(Vec<Value>, Option<i64>)> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).with_context(|| format!("result {line:?}")));
    let mut values: Vec<Value> = lines.collect::<Result<_>>()?;
    let exit = values.last().and_then(|last| last["exit"].as_i64());
    if exit.is_some() {
        values.pop();
    }
    Ok((values, exit))
}

// === impl Emulator ===

impl Drop for Emulator {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_line_tells_the_end() {
        let text = "{\"check\":\"a\"}\r\n\r\n{\"exit\":0}\r\n";
        assert_eq!(
            parse(text).unwrap(),
            (vec![json!({ "check": "a" })], Some(0))
        );
        assert_eq!(parse("").unwrap(), (Vec::new(), None));
        let cut = "{\"check\":\"a\"}\n";
        assert_eq!(parse(cut).unwrap().1, None);
        assert!(parse("{\"check\":\"a").is_err());
    }
}
