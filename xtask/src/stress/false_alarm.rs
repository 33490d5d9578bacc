//! `cargo xtask stress false-alarm`: 600 MiB through the `file` emitter in a 256 MiB container.
//!
//! The page cache fills the container to its limit, and none of that is pressure: the kernel takes
//! it back when it is needed. A sensor on raw usage would shed for ever.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::{Signal, kill_process};
use serde_json::json;

use super::cgroup::Reading;
use super::container::{self, Container, Plan};
use super::load::{Load, Phase};
use super::node::{self, Ports};
use super::probe::{At, Probe};
use super::state::{Level, State};
use super::{Common, artifact};

const LIMIT_BYTES: u64 = 256 << 20;
const WRITTEN_BYTES: u64 = 600 << 20;
const BODY_BYTES: u64 = 64 << 10;

/// Slow enough for any disk, fast enough to end within two minutes.
const LOAD: Phase = Phase {
    bytes_per_second: (20 << 20) as f64,
    duration: Duration::from_mins(2),
};

/// Below this share of the limit the page cache did not fill and nothing was proven.
const USAGE_SHARE_MIN: f64 = 0.85;

pub(super) fn run(common: &Common) -> Result<()> {
    container::ensure_installed(common.runtime)?;
    let binary = artifact::relay(common)?;
    let folder = common.out("false-alarm");
    container::fresh(&folder)?;
    let ports = Ports::free()?;
    let emitter = "kind = \"file\"\npath = \"/data/events.ndjson\"";
    node::write_config(&folder, ports, "enforce", emitter)?;
    let plan = Plan {
        name: "false-alarm",
        binary: &binary,
        arguments: &["run", "--config", "/data/relay.toml"],
        folder: &folder,
        limit_bytes: LIMIT_BYTES,
        user: 0,
    };
    let (mut container, counters) = container::start(common.runtime, &plan)?;
    ports.wait_ready(container.as_mut(), &folder.join("node.log"))?;
    let memory = Probe::start(Duration::from_millis(10), move || counters.read().ok());
    let states = Probe::start(Duration::from_millis(20), move || ports.state().ok());
    let load = Load::start(&binary, &ports.ingest_url(), BODY_BYTES, &[LOAD], &folder)?;
    write_enough(container.as_mut(), ports, load)?;
    let (memory, states) = (memory.finish()?, states.finish()?);
    kill_process(container.pid(), Signal::TERM)?;
    container::wait(container.as_mut(), Duration::from_secs(30))?;
    container.remove()?;
    container::discard(&folder)?;
    conclude(&memory, &states, &folder)
}

fn write_enough(container: &mut dyn Container, ports: Ports, mut load: Load) -> Result<()> {
    while !load.is_done()? {
        if let Some(exit) = container.try_wait()? {
            bail!("the node ended ({exit})");
        }
        if ports.state()?.books.delivered_payload_bytes() >= WRITTEN_BYTES {
            load.interrupt()?;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    load.finish().map(|_| ())
}

fn conclude(memory: &[At<Reading>], states: &[At<State>], folder: &Path) -> Result<()> {
    let mib = |bytes: u64| bytes >> 20;
    let peak = |bytes: fn(&Reading) -> u64| memory.iter().map(|at| bytes(&at.value)).max();
    let usage_bytes = peak(|reading| reading.usage_bytes).unwrap_or(0);
    let working_set_bytes = peak(|reading| reading.working_set_bytes).unwrap_or(0);
    let written = states
        .iter()
        .map(|at| at.value.books.delivered_payload_bytes())
        .max();
    let written_bytes = written.unwrap_or(0);
    let level = states.iter().filter_map(|at| at.value.level).max();
    println!(
        "{} MiB written, raw usage up to {} of {} MiB, working set up to {} MiB, level {level:?}",
        mib(written_bytes),
        mib(usage_bytes),
        mib(LIMIT_BYTES),
        mib(working_set_bytes),
    );
    let report = json!({
        "written_bytes": written_bytes,
        "peak_usage_bytes": usage_bytes,
        "peak_working_set_bytes": working_set_bytes,
        "highest_level": level,
        "states": states.len(),
    });
    std::fs::write(
        folder.join("report.json"),
        serde_json::to_vec_pretty(&report)?,
    )?;
    if written_bytes < WRITTEN_BYTES {
        bail!(
            "only {} MiB were written in {:?}",
            mib(written_bytes),
            LOAD.duration
        );
    }
    if (usage_bytes as f64) < USAGE_SHARE_MIN * LIMIT_BYTES as f64 {
        bail!("the page cache did not fill the container: nothing was proven");
    }
    if level != Some(Level::Normal) {
        bail!("page cache was taken for pressure: level {level:?}");
    }
    Ok(())
}
