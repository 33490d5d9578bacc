//! The report: `report.json`, `report.md` and `report.html`, a row a kind of kill and place.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::Outcome;
use super::run::{RunResult, Seen};
use super::series::quantile;
use crate::machine;
use crate::stress::report::page;

const TITLE: &str = "Black box";

const EXPLANATION: &str = "A program records itself each 5 ms while its memory climbs, 2 ms near the end, and runs into \
    its limit. Each row is held against what the kernel says: the wait status, the count of kills of the group, and the \
    line of the log that names the process, the group whose limit it was, and the time. Gap is the time from the last \
    record to that line; it may be 5 ms, and as much more as threads outside every limit were not run meanwhile (machine). \
    Where that alone is more than 5 ms, the machine was too busy to say anything of the gap, and it is not judged. \
    Here is a container, or a group, of this machine (cgroup v1 or v2); the guest has cgroup v2 alone and is emulated, so \
    that its times are upper bounds: they are shown and not judged. A container's program is process 1 of its own, without capabilities, on a read-only root.";

const HEAD: [&str; 10] = [
    "kill",
    "limit",
    "growth",
    "where",
    "right",
    "gap median / p90 / max ms",
    "gaps judged",
    "machine max ms",
    "last usage ÷ limit, least",
    "torn slots, all found",
];

/// Writes the three files into `out`.
pub(super) fn write(out: &Path, outcome: &Outcome) -> Result<()> {
    let rows = rows(&outcome.kills);
    let further = further(outcome);
    let mut table = format!(
        "\n| {} |\n|{}\n",
        HEAD.join(" | "),
        "---|".repeat(HEAD.len())
    );
    for row in &rows {
        writeln!(table, "| {} |", row.join(" | ")).ok();
    }
    table.push('\n');
    for line in &further {
        writeln!(table, "- {line}").ok();
    }
    let title = format!("# {TITLE}\n\n{EXPLANATION}\n\n");
    machine::report(out, &title, &json!(outcome), &table)?;
    let mut html = page::begin(TITLE, EXPLANATION, &machine::facts());
    page::table(&mut html, &HEAD, &rows);
    page::list(&mut html, &further);
    page::end(&mut html);
    Ok(std::fs::write(out.join("report.html"), html)?)
}

/// One row for each kind, in the order of their first kill.
fn rows(kills: &[RunResult]) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<&RunResult>> = Vec::new();
    for kill in kills {
        let same = |one: &&RunResult| (one.case, one.place) == (kill.case, kill.place);
        match groups.iter_mut().find(|group| same(&group[0])) {
            Some(group) => group.push(kill),
            None => groups.push(vec![kill]),
        }
    }
    groups.iter().map(|group| row(group)).collect()
}

fn row(kills: &[&RunResult]) -> Vec<String> {
    let first = kills[0];
    let right = kills.iter().filter(|kill| kill.failure.is_none()).count();
    let seen: Vec<&Seen> = kills.iter().filter_map(|kill| kill.seen.as_ref()).collect();
    let mut gaps: Vec<i64> = seen.iter().map(|seen| seen.gap_us).collect();
    gaps.sort_unstable();
    let machine = seen.iter().map(|seen| seen.machine_us).max().unwrap_or(0);
    let shares = seen.iter().filter_map(|seen| seen.last_share);
    let share = shares.fold(f64::INFINITY, f64::min);
    let gap = |share| millis(quantile(&gaps, share));
    vec![
        first.case.way.to_string(),
        format!("{} MiB", first.case.limit_mib),
        first.case.speed(),
        format!("{}, {:?}", first.place, first.version).to_lowercase(),
        format!("{right} of {}", kills.len()),
        format!("{} / {} / {}", gap(0.5), gap(0.9), gap(1.0)),
        seen.iter()
            .filter(|seen| seen.is_judged())
            .count()
            .to_string(),
        millis(machine),
        format!("{share:.3}"),
        seen.iter().map(|seen| seen.torn).sum::<usize>().to_string(),
    ]
}

fn millis(micros: i64) -> String {
    format!("{:.2}", micros as f64 / 1e3)
}

/// What is no row of the table.
fn further(outcome: &Outcome) -> Vec<String> {
    let right = outcome.kills.iter().filter(|kill| kill.failure.is_none());
    let mut lines = vec![format!(
        "kills for memory: {} of {} right",
        right.count(),
        outcome.kills.len()
    )];
    lines.extend(outcome.series.as_ref().map(super::Series::line));
    for synced in [true, false] {
        let cuts: Vec<_> = outcome
            .cuts
            .iter()
            .filter(|cut| cut.synced == synced)
            .collect();
        if cuts.is_empty() {
            continue;
        }
        let mut losses: Vec<i64> = cuts.iter().filter_map(|cut| cut.loss_ms).collect();
        losses.sort_unstable();
        let wrong = cuts.iter().filter(|cut| cut.failure.is_some()).count();
        let sync = if synced {
            "synced each second"
        } else {
            "never synced, for comparison"
        };
        lines.push(format!(
            "power cuts, {sync}: {} of {} with a readable recording, {wrong} wrong; lost: median {} ms, max {} ms; {} torn slots",
            losses.len(),
            cuts.len(),
            quantile(&losses, 0.5),
            quantile(&losses, 1.0),
            cuts.iter().map(|cut| cut.torn).sum::<usize>(),
        ));
    }
    lines
}
