//! One run of a cell: start, load, stop, measure.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Cell, RECOVERY, RunResult, Setup};
use crate::stress::cgroup::{MemoryCgroup, Reading};
use crate::stress::container::{self, Container, Plan};
use crate::stress::end::{self, End};
use crate::stress::load::{Load, LoadReport, Phase};
use crate::stress::node::{self, Ports};
use crate::stress::probe::{At, Probe, unix_ms};
use crate::stress::report::chart;
use crate::stress::state::{State, last_words};
use crate::stress::{account, measure, verdict};

/// What was seen while the run went on.
#[derive(Debug)]
pub(in crate::stress) struct Observed {
    pub(in crate::stress) memory: Vec<At<Reading>>,
    pub(in crate::stress) states: Vec<At<State>>,
    pub(in crate::stress) load: LoadReport,
    /// Where the overload ends, in the schedule of the load.
    pub(in crate::stress) fall_ms: f64,
}

pub(super) fn run(setup: &Setup, cell: Cell, number: u32, folder: &Path) -> Result<RunResult> {
    container::fresh(folder)?;
    let ports = Ports::free()?;
    let mode = if cell.protection { "enforce" } else { "off" };
    let emitter = format!("kind = \"blackhole\"\nrate = \"{}\"", setup.capacity);
    node::write_config(folder, ports, mode, &emitter)?;
    let name = format!("{}-{number}", cell.name());
    let plan = Plan {
        name: &name,
        binary: &setup.binary,
        arguments: &["run", "--config", "/data/relay.toml"],
        folder,
        limit_bytes: cell.limit.0,
        user: 0,
    };
    let (mut container, counters) = container::start(setup.common.runtime, &plan)?;
    ports.wait_ready(container.as_mut(), &folder.join("node.log"))?;
    let (observed, end) = observe(setup, cell, ports, container, counters, folder)?;
    std::fs::write(
        folder.join("chart.svg"),
        chart::draw(&name, cell.limit.0, &observed),
    )?;
    let mut result = result(setup, cell, number, &observed, &end);
    result.failures = verdict::failures(&result);
    container::discard(folder)?;
    Ok(result)
}

fn observe(
    setup: &Setup,
    cell: Cell,
    ports: Ports,
    mut container: Box<dyn Container>,
    counters: MemoryCgroup,
    folder: &Path,
) -> Result<(Observed, End)> {
    let counters = std::sync::Arc::new(counters);
    let memory = {
        let counters = std::sync::Arc::clone(&counters);
        Probe::start(Duration::from_millis(10), move || counters.read().ok())
    };
    let states = Probe::start(Duration::from_millis(20), move || ports.state().ok());
    let overload = cell.overload_duration(setup);
    let full = cell.load_bytes_per_second(setup.capacity);
    let half = setup.capacity.0 as f64 / 2.0;
    let phases = [
        Phase {
            bytes_per_second: full,
            duration: overload,
        },
        Phase {
            bytes_per_second: half,
            duration: RECOVERY,
        },
    ];
    let url = ports.ingest_url();
    let mut load = Load::start(&setup.binary, &url, cell.body.0, &phases, folder)?;
    let early_unix_ms = watch(container.as_mut(), &mut load)?;
    let load = load.finish()?;
    let exit = end::stop(container.as_mut())?;
    let states = states.finish()?;
    let memory = memory.finish()?;
    let last = memory.last().map_or(0, |at| at.value.oom_kills);
    let oom_kills = counters.read().map_or(last, |reading| reading.oom_kills);
    let oom_kills = oom_kills.max(u64::from(container.reports_oom_kill()));
    container.remove()?;
    let log = std::fs::read_to_string(folder.join("node.log")).context("node.log")?;
    let fall_ms = overload.as_secs_f64() * 1000.0;
    let observed = Observed {
        memory,
        states,
        load,
        fall_ms,
    };
    Ok((
        observed,
        End {
            exit,
            early_unix_ms,
            oom_kills,
            log,
        },
    ))
}

/// Waits for the load to end; when the node ends first, ends the load and says when.
fn watch(container: &mut dyn Container, load: &mut Load) -> Result<Option<f64>> {
    while !load.is_done()? {
        if container.try_wait()?.is_some() {
            let died_unix_ms = unix_ms();
            load.interrupt()?;
            return Ok(Some(died_unix_ms));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(None)
}

fn result(setup: &Setup, cell: Cell, run: u32, observed: &Observed, end: &End) -> RunResult {
    let Observed {
        memory,
        states,
        load,
        fall_ms,
    } = observed;
    let start_ms = load.started_unix_ms;
    let peak = memory.iter().max_by_key(|at| at.value.working_set_bytes);
    let base_bytes = memory.first().map_or(0, |at| at.value.working_set_bytes);
    let books = last_words(&end.log);
    let last_books = books
        .as_ref()
        .or_else(|| states.last().map(|at| &at.value.books));
    let ingest = last_books.map(|books| &books.account);
    let capacity = setup.capacity.0 as f64;
    let until_ms = end
        .early_unix_ms
        .unwrap_or(start_ms + fall_ms)
        .min(start_ms + fall_ms);
    let delivered_bytes = measure::delivered_bytes(states, start_ms, until_ms);
    let ended_well = end.is_well();
    RunResult {
        cell,
        run,
        capacity: setup.capacity,
        duration: setup.duration,
        death: end.death(),
        ended_well,
        oom_kills: end.oom_kills,
        lived: end
            .early_unix_ms
            .map(|ms| Duration::from_secs_f64((ms - start_ms).max(0.0) / 1000.0)),
        peak_usage_bytes: memory
            .iter()
            .map(|at| at.value.usage_bytes)
            .max()
            .unwrap_or(0),
        peak_working_set_bytes: peak.map_or(0, |at| at.value.working_set_bytes),
        amplification: peak.and_then(|at| {
            let grown_bytes = at.value.working_set_bytes.saturating_sub(base_bytes);
            measure::amplification(states, cell.body.0, at.unix_ms, grown_bytes)
        }),
        goodput: delivered_bytes / (capacity * (until_ms - start_ms).max(1.0) / 1000.0),
        load: load.total,
        refused_by_status: load.refused_by_status.clone(),
        failed_by_kind: load.failed_by_kind.clone(),
        without_retry_after: load.without_retry_after,
        accepted_latency: load.accepted_latency,
        refused_latency: load.refused_latency,
        first_refusal_ms: ingest
            .and_then(|it| Some(it.first_refusal_unix_ms? - it.first_pressure_unix_ms?)),
        recovery_ms: measure::recovery_ms(&load.buckets, *fall_ms),
        account_gaps: match &books {
            Some(books) => account::gaps(load, books),
            None => vec!["no account in the node's log".to_owned()],
        },
        failures: Vec::new(),
    }
}
