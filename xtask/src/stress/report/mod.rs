//! The report of the overload scenario: `report.json`, `report.md`, `report.html`.

pub(super) mod chart;
pub(super) mod page;
pub(crate) mod svg;
mod table;

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::overload::{RunResult, Setup};
use crate::machine::{self, Fact};
use svg::escape;

const TITLE: &str = "Relay under overload";

const EXPLANATION: &str = "Each row is a cell over all its runs, with the worst value of each \
    figure. C is what the emitter drains; the load is open-loop at a multiple of C, then 0.5 C for \
    3 s. Peak is the working set (usage without inactive file cache), sampled every 10 ms from \
    outside, as a share of the limit. Goodput is the payload delivered during the overload as a \
    share of what C allows. Latency counts from when an event was due. First refusal counts from \
    the crossing of the threshold, recovery from the fall of the load to 95 % admission. \
    Held is the growth of memory per byte of payload held, at the peak.";

/// Writes the three files into `out`.
pub(super) fn write(out: &Path, setup: &Setup, results: &[RunResult]) -> Result<()> {
    let mut facts = machine::facts();
    facts.push(("capacity C", setup.capacity.to_string()));
    facts.push(("overload", format!("{} s", setup.duration.as_secs_f64())));
    let report = json!({ "facts": json_facts(&facts), "runs": results });
    std::fs::write(out.join("report.json"), serde_json::to_vec_pretty(&report)?)?;
    std::fs::write(out.join("report.md"), markdown(&facts, results))?;
    std::fs::write(out.join("report.html"), html(&facts, results, out))?;
    Ok(())
}

fn json_facts(facts: &[Fact]) -> serde_json::Value {
    facts
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect()
}

fn markdown(facts: &[Fact], results: &[RunResult]) -> String {
    let mut text = format!("# {TITLE}\n\n{EXPLANATION}\n\n");
    for (name, value) in facts {
        writeln!(text, "- {name}: {value}").ok();
    }
    let rows = table::rows(results);
    writeln!(text, "\n| {} |", table::HEAD.join(" | ")).ok();
    writeln!(text, "|{}", "---|".repeat(table::HEAD.len())).ok();
    for row in rows {
        writeln!(text, "| {} |", row.join(" | ")).ok();
    }
    writeln!(text, "\nCharts:\n").ok();
    for result in results {
        writeln!(text, "- [{0}](runs/{0}/chart.svg)", result.name()).ok();
    }
    text
}

fn html(facts: &[Fact], results: &[RunResult], out: &Path) -> String {
    let mut text = page::begin(TITLE, EXPLANATION, facts);
    page::table(&mut text, &table::HEAD, &table::rows(results));
    for result in results {
        let chart = out.join("runs").join(result.name()).join("chart.svg");
        let chart = std::fs::read_to_string(chart).unwrap_or_else(|error| error.to_string());
        let summary = escape(&result.line());
        write!(
            text,
            "<details open><summary>{summary}</summary>{chart}</details>"
        )
        .ok();
    }
    page::end(&mut text);
    text
}
