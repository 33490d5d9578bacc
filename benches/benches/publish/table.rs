//! What was measured, as text for people and as JSON for `docs/benchmarks.md` and comparisons.

use crate::suite::{Kind, Measured, Name};
use relay_bench::stats::Summary;
use serde::Serialize;
use std::fmt::Write as _;

/// What a reader must know to compare.
pub(crate) const NOTES: &str = "\
Medians over interleaved rounds; `x` is the ratio to the best rival of the run, `x waking` to the best one whose \
receivers can sleep. Below 1 is better.\n\
In every row relay also routes by topic, counts, bounds each subscription in events and bytes, and wakes; its event \
has an id, a topic, a source, a time and a payload of 128 bytes. A rival moves an `Arc<[u8; 128]>`.\n\
\"Polls\": its receivers cannot sleep. \"Floor\": not a peer, what nobody can go below.\n";

/// Ratios of one figure; none without a rival, or when the rival needs nothing at all.
#[derive(Debug, Clone, Copy, Serialize)]
struct Ratios {
    best: Option<f64>,
    best_waking: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    workload: &'a str,
    title: &'a str,
    column: &'a str,
    peer: &'a str,
    kind: &'static str,
    #[serde(flatten)]
    summary: Summary,
    ratio_to_best_rival: Option<f64>,
    ratio_to_best_waking_rival: Option<f64>,
}

/// One table: relay's rows first, then the others from the quickest on.
pub(crate) fn markdown(measured: &Measured) -> String {
    let spec = measured.spec;
    let mut text = format!("### {}: {}\n\n| peer |", spec.id, spec.title);
    for column in measured.columns {
        write!(text, " {column} | x | x waking |").unwrap();
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|---:|---:|".repeat(measured.columns.len()));
    text.push('\n');
    let mut peers: Vec<_> = measured.peers.iter().collect();
    peers.sort_by(|a, b| {
        let first = |peer: &Name| peer.kind != Kind::Relay;
        (first(&a.0).cmp(&first(&b.0))).then(a.1[0].median.total_cmp(&b.1[0].median))
    });
    for (peer, summaries) in peers {
        write!(text, "| {}{} |", peer.name, remark(peer.kind)).unwrap();
        for (column, summary) in summaries.iter().enumerate() {
            let ratios = ratios(measured, column, summary.median);
            let (best, waking) = (ratio(ratios.best), ratio(ratios.best_waking));
            write!(text, " {} | {best} | {waking} |", figure(summary.median)).unwrap();
        }
        text.push('\n');
    }
    text
}

/// A line for every figure, with the machine it was taken on.
pub(crate) fn json(all: &[Measured]) -> String {
    let rows = all.iter().flat_map(|measured| {
        measured.peers.iter().flat_map(move |(peer, summaries)| {
            let columns = measured.columns.iter().zip(summaries).enumerate();
            columns.map(move |(index, (column, summary))| {
                let ratios = ratios(measured, index, summary.median);
                Row {
                    workload: measured.spec.id,
                    title: measured.spec.title,
                    column,
                    peer: peer.name,
                    kind: kind(peer.kind),
                    summary: *summary,
                    ratio_to_best_rival: ratios.best,
                    ratio_to_best_waking_rival: ratios.best_waking,
                }
            })
        })
    });
    let rows: Vec<_> = rows.collect();
    let document = serde_json::json!({ "machine": machine(), "rows": rows });
    serde_json::to_string_pretty(&document).unwrap() + "\n"
}

fn ratios(measured: &Measured, column: usize, median: f64) -> Ratios {
    let ratio = |counts: fn(Kind) -> bool| {
        let rivals = measured.peers.iter().filter(|(peer, _)| counts(peer.kind));
        let best = rivals
            .map(|(_, summaries)| summaries[column].median)
            .min_by(f64::total_cmp)?;
        (best > 0.0).then(|| median / best)
    };
    Ratios {
        best: ratio(|kind| matches!(kind, Kind::Rival { .. })),
        best_waking: ratio(|kind| kind == Kind::Rival { wakes: true }),
    }
}

fn machine() -> serde_json::Value {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    serde_json::json!({ "cpu": model, "cpus": cpus, "kernel": kernel.trim() })
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Relay => "relay",
        Kind::Rival { wakes: true } => "rival",
        Kind::Rival { wakes: false } => "polling rival",
        Kind::Floor => "floor",
    }
}

fn remark(kind: Kind) -> &'static str {
    match kind {
        Kind::Relay | Kind::Rival { wakes: true } => "",
        Kind::Rival { wakes: false } => " (polls)",
        Kind::Floor => " (floor)",
    }
}

/// Three digits are all a shared machine can say.
fn figure(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}"))
}
