//! `cargo xtask stress idle`: what a node costs that does nothing.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::container::{self, Plan};
use super::node::{self, Ports};
use super::{Common, artifact};
use crate::cpu;

const LIMIT_BYTES: u64 = 256 << 20;

/// Start-up is over by then.
const SETTLE: Duration = Duration::from_secs(3);

const WATCH: Duration = Duration::from_secs(20);

/// Of one core, per cent.
const CPU_PERCENT_MAX: f64 = 0.5;

const RESIDENT_BYTES_MAX: u64 = 16 << 20;

/// Measures from outside and without asking the node anything.
pub(super) fn run(common: &Common) -> Result<()> {
    container::ensure_installed(common.runtime)?;
    let binary = artifact::relay(common)?;
    let folder = common.out("idle");
    container::fresh(&folder)?;
    let ports = Ports::free()?;
    node::write_config(&folder, ports, "enforce", "kind = \"blackhole\"")?;
    let plan = Plan {
        name: "idle",
        binary: &binary,
        arguments: &["run", "--config", "/data/relay.toml"],
        folder: &folder,
        limit_bytes: LIMIT_BYTES,
        user: 0,
    };
    let (mut container, _counters) = container::start(common.runtime, &plan)?;
    ports.wait_ready(container.as_mut(), &folder.join("node.log"))?;
    std::thread::sleep(SETTLE);
    let before = cpu::used(container.pid())?;
    std::thread::sleep(WATCH);
    let used = cpu::used(container.pid())?.saturating_sub(before);
    let resident_bytes = resident_bytes(container.pid())?;
    container.remove()?;
    container::discard(&folder)?;
    let percent = 100.0 * used.as_secs_f64() / WATCH.as_secs_f64();
    let mib = resident_bytes as f64 / f64::from(1 << 20);
    println!("idle node: {percent:.2} % of a core, {mib:.1} MiB resident");
    let report = json!({ "cpu_percent": percent, "resident_bytes": resident_bytes });
    std::fs::write(
        folder.join("report.json"),
        serde_json::to_vec_pretty(&report)?,
    )?;
    if percent > CPU_PERCENT_MAX || resident_bytes > RESIDENT_BYTES_MAX {
        bail!("an idle node may take {CPU_PERCENT_MAX} % of a core and 16 MiB");
    }
    Ok(())
}

fn resident_bytes(pid: rustix::process::Pid) -> Result<u64> {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(&path).context(path)?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    let kib: u64 = line
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse()
        .context("VmRSS")?;
    Ok(kib * 1024)
}
