//! The table: one row a cell, the worst of its runs in each column.

use std::collections::BTreeMap;

use crate::stress::load::Latency;
use crate::stress::overload::RunResult;

pub(super) const HEAD: [&str; 15] = [
    "limit",
    "load",
    "event",
    "protection",
    "end of the node",
    "peak ÷ limit",
    "held",
    "goodput ÷ C",
    "sent",
    "refused by status",
    "accepted p50 / p99 ms",
    "refused p50 / p99 ms",
    "first refusal ms",
    "recovery ms",
    "verdict",
];

/// One row for each cell, in the order of its first run.
pub(super) fn rows(results: &[RunResult]) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<&RunResult>> = Vec::new();
    for result in results {
        match groups.iter_mut().find(|group| group[0].cell == result.cell) {
            Some(group) => group.push(result),
            None => groups.push(vec![result]),
        }
    }
    groups.iter().map(|group| row(group)).collect()
}

fn row(runs: &[&RunResult]) -> Vec<String> {
    let cell = runs[0].cell;
    let worst =
        |figure: fn(&RunResult) -> f64| runs.iter().map(|run| figure(run)).fold(0.0, f64::max);
    let goodput = runs
        .iter()
        .map(|run| run.goodput)
        .fold(f64::INFINITY, f64::min);
    vec![
        cell.limit.to_string(),
        cell.rate.to_string(),
        cell.body.to_string(),
        if cell.protection { "on" } else { "off" }.to_owned(),
        ends(runs),
        format!("{:.2}", worst(RunResult::peak_share)),
        optional(runs, |run| run.amplification, 1),
        format!("{goodput:.3}"),
        runs.iter()
            .map(|run| run.load.sent)
            .sum::<u64>()
            .to_string(),
        statuses(runs),
        latency(runs, |run| run.accepted_latency),
        latency(runs, |run| run.refused_latency),
        optional(runs, |run| run.first_refusal_ms, 0),
        optional(runs, |run| run.recovery_ms, 0),
        verdict(runs),
    ]
}

/// How the runs ended, each way with its number when there were several.
fn ends(runs: &[&RunResult]) -> String {
    let mut ways: BTreeMap<&str, u32> = BTreeMap::new();
    for run in runs {
        *ways.entry(&run.death).or_default() += 1;
    }
    let after = runs.iter().filter_map(|run| run.lived).min();
    let after = after.map_or(String::new(), |lived| {
        format!(" after {:.1} s", lived.as_secs_f64())
    });
    let name = |(way, count): (&&str, &u32)| match runs.len() {
        1 => (*way).to_owned(),
        _ => format!("{count}× {way}"),
    };
    ways.iter().map(name).collect::<Vec<_>>().join(", ") + &after
}

fn statuses(runs: &[&RunResult]) -> String {
    let mut sum: BTreeMap<&str, u64> = BTreeMap::new();
    for (status, count) in runs.iter().flat_map(|run| &run.refused_by_status) {
        *sum.entry(status).or_default() += count;
    }
    if sum.is_empty() {
        return "–".to_owned();
    }
    let parts = sum
        .iter()
        .map(|(status, count)| format!("{status}: {count}"));
    parts.collect::<Vec<_>>().join(", ")
}

fn latency(runs: &[&RunResult], which: fn(&RunResult) -> Latency) -> String {
    let worst = |figure: fn(&Latency) -> u64| {
        runs.iter()
            .map(|run| figure(&which(run)))
            .max()
            .unwrap_or(0) as f64
            / 1000.0
    };
    if worst(|latency| latency.max_us) == 0.0 {
        return "–".to_owned();
    }
    format!(
        "{:.1} / {:.1}",
        worst(|latency| latency.p50_us),
        worst(|latency| latency.p99_us)
    )
}

fn optional(runs: &[&RunResult], figure: fn(&RunResult) -> Option<f64>, digits: usize) -> String {
    let worst = runs.iter().filter_map(|run| figure(run)).reduce(f64::max);
    worst.map_or("–".to_owned(), |worst| format!("{worst:.digits$}"))
}

fn verdict(runs: &[&RunResult]) -> String {
    let failed = runs.iter().filter(|run| !run.failures.is_empty()).count();
    let account = if runs[0].cell.protection {
        ", account closed"
    } else {
        ""
    };
    match (failed, runs.len()) {
        (0, 1) => format!("ok{account}"),
        (0, all) => format!("ok in {all} of {all}{account}"),
        (failed, all) => {
            let all_reasons = runs.iter().flat_map(|run| &run.failures);
            let reason = all_reasons.map(String::as_str).next().unwrap_or_default();
            format!("{failed} of {all} failed: {reason}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stress::overload::sample_result;

    #[test]
    fn a_row_shows_the_worst_of_its_runs() {
        let good = sample_result();
        let mut bad = sample_result();
        bad.run = 2;
        bad.goodput = 0.5;
        bad.peak_working_set_bytes = 60 << 20;
        bad.recovery_ms = None;
        bad.death = "kernel OOM killer".to_owned();
        bad.failures.push("goodput".to_owned());
        let rows = rows(&[good, bad]);
        assert_eq!(rows.len(), 1);
        let row = rows[0].join(" | ");
        for part in [
            "0.94",
            "0.500",
            "1× kernel OOM killer",
            "429: 6",
            "1 of 2 failed: goodput",
        ] {
            assert!(row.contains(part), "{part} in {row}");
        }
        assert_eq!(rows[0].len(), HEAD.len());
    }

    #[test]
    fn cells_are_kept_apart() {
        let mut off = sample_result();
        off.cell.protection = false;
        let rows = rows(&[sample_result(), off]);
        assert_eq!([&rows[0][3], &rows[1][3]], ["on", "off"]);
    }
}
