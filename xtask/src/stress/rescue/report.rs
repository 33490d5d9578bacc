//! The rescue table: `report.json` and `report.md`, a row a way of being told, a column a place and rate.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::cell::{Mode, Rate, RunResult};
use crate::machine;
use crate::stress::cgroup::Version;
use crate::stress::place::Place;

const EXPLANATION: &str = "A program in a container of 64 MiB allocates and touches memory at the given rate, and frees \
    everything when it is told that 95 % are used (PSI and events: when the kernel says anything). Each cell says how many \
    of its cycles it was saved in; *killed* is proven by the exit signal and by the kernel's count of kills. The guest is \
    emulated: its processor is slower, so unthrottled is slower there too.";

pub(super) fn write(out: &Path, results: &[RunResult]) -> Result<()> {
    let title = format!("# Rescue\n\n{EXPLANATION}\n\n");
    machine::report(out, &title, &json!(results), &table(results))
}

fn column(result: &RunResult) -> (Place, Version, Rate) {
    (result.place, result.version, result.cell.rate)
}

fn table(results: &[RunResult]) -> String {
    let mut columns: Vec<(Place, Version, Rate)> = Vec::new();
    for result in results {
        let column = column(result);
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let mut text = "\n| told by |".to_owned();
    for (place, version, rate) in &columns {
        write!(text, " {place}, {version:?}, {rate} |").ok();
    }
    writeln!(text, "\n|---|{}", "---|".repeat(columns.len())).ok();
    for mode in Mode::ALL {
        let of_mode = || results.iter().filter(|result| result.cell.mode == mode);
        if of_mode().next().is_none() {
            continue;
        }
        write!(text, "| {} |", mode.name()).ok();
        for wanted in &columns {
            let found = of_mode().find(|result| column(result) == *wanted);
            write!(
                text,
                " {} |",
                found.map_or("–".to_owned(), RunResult::short)
            )
            .ok();
        }
        text.push('\n');
    }
    text
}
