//! Instructions per event, counted by valgrind's callgrind: what a busy machine cannot disturb and wall time cannot
//! show. Counts say nothing of what an instruction costs: a locked one is worth thirty others.
//!
//! Each case runs in a process of its own, in which callgrind collects only inside the function that is timed. The
//! difference between runs of three rounds and of one leaves neither start-up nor calibration in the figure.

use crate::suite::{Measured, Name, Workload};
use relay_bench::stats::Summary;
use std::env::current_exe;
use std::process::Command;

/// The function whose inside is counted, as callgrind matches names; the clock is read within it, twice a batch.
const COUNTED: &str = "--toggle-collect=*measure::raw_cpu_ns*";

/// Counts for every peer; `None` for a workload that is not of one thread and one figure.
pub(crate) fn count(workload: &Workload) -> Option<Measured> {
    let events = workload.spec.events_per_round?;
    let peers = workload.entries.iter().map(|entry| {
        let case = format!("{}/{}", workload.spec.id, entry.peer.name);
        let (more, less) = (collect(&case, 3), collect(&case, 1));
        let per_event = (more - less) / (2 * events) as f64;
        (entry.peer, vec![Summary::of(&[per_event]).unwrap()])
    });
    let peers: Vec<(Name, Vec<Summary>)> = peers.collect();
    Some(Measured {
        spec: workload.spec,
        columns: &["instructions/event"],
        peers,
    })
}

/// Instructions that this program executes while it times `rounds` rounds of one case.
fn collect(case: &str, rounds: u32) -> f64 {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            COUNTED,
        ])
        .arg(current_exe().unwrap())
        .args(["--case", case, "--rounds", &rounds.to_string()])
        .output()
        .expect("--instructions needs valgrind (apt-get install valgrind)");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {report}");
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected :"));
    let (_, count) = collected.expect("callgrind ends with what it collected");
    count.trim().parse().unwrap()
}
