//! The report: `report.md`, `report.html` and `report.json` in `target/simulate`.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::outcome::{Outcome, Window};
use super::random::Batch;
use super::runner::{Cell, Run};
use super::scenario::Scenario;
use super::{chart, variant};
use crate::machine;
use crate::stress::report::svg::escape;

const TITLE: &str = "Relay in simulation";

const EXPLANATION: &str = "A node in virtual time, in steps of 2 ms, driven by the laws of relay-control: sources, gate, queue, \
    consumer, an allocator that keeps pages, and a kernel that kills above the limit. Each row is one load (as a multiple of \
    what the consumer takes) under one control, the worst of its runs in each column. Goodput is what was delivered during the \
    overload as a share of what the consumer could take; swings are p95 − p5 over its last ten seconds; the first refusal \
    counts from its begin, recovery from its end to 95 % admission. Actions are changes of level, floor, scale, shedding and \
    ledger size.";

const HEAD: [&str; 12] = [
    "load",
    "control",
    "alive",
    "peak ÷ limit",
    "goodput",
    "memory swing",
    "admission swing",
    "first refusal",
    "recovery",
    "actions/h",
    "latch-ups",
    "broken",
];

/// A table with a title: scenarios have two each, sweeps have one.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A chapter of a report.
#[derive(Debug)]
pub(crate) struct Chapter {
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) charts: Vec<String>,
}

/// Writes all three files.
pub(super) fn write(
    out: &Path,
    scenarios: &[Scenario],
    cells: &[Cell<'_>],
    random: &Batch,
) -> Result<()> {
    let chapters: Vec<Chapter> = scenarios
        .iter()
        .map(|scenario| {
            let own: Vec<&Cell<'_>> = cells
                .iter()
                .filter(|cell| cell.job.scenario.name == scenario.name)
                .collect();
            chapter(scenario, &own)
        })
        .chain((random.runs > 0).then(|| random_chapter(random)))
        .collect();
    write_chapters(out, "report", TITLE, EXPLANATION, &chapters)?;
    let runs: Vec<_> = cells.iter().map(json).collect();
    std::fs::write(out.join("report.json"), serde_json::to_vec_pretty(&runs)?)?;
    Ok(())
}

/// Writes `name.md` and `name.html`.
pub(crate) fn write_chapters(
    out: &Path,
    name: &str,
    title: &str,
    explanation: &str,
    chapters: &[Chapter],
) -> Result<()> {
    std::fs::write(
        out.join(format!("{name}.md")),
        markdown(title, explanation, chapters),
    )?;
    std::fs::write(
        out.join(format!("{name}.html")),
        html(title, explanation, chapters),
    )?;
    Ok(())
}

/// A line for each half second of a run.
pub(super) fn print_course(outcome: &Outcome) {
    let mib_per_s = |bytes: f64| bytes / f64::from(1 << 20) * 2.0;
    println!("  time  offered admitted delivered MiB/s  memory  level");
    for windows in outcome.windows.chunks(5) {
        let sum = |part: fn(&Window) -> f64| mib_per_s(windows.iter().map(part).sum());
        let highest = windows
            .iter()
            .map(|window| window.memory)
            .fold(0.0, f64::max);
        let level = windows
            .iter()
            .map(|window| window.level)
            .max()
            .unwrap_or_default();
        println!(
            "{:5.1}s {:8.1} {:8.1} {:9.1} {:12.3}  {level}",
            windows[0].at.as_secs_f64(),
            sum(|window| window.offered),
            sum(|window| window.admitted),
            sum(|window| window.delivered),
            highest,
        );
    }
}

fn chapter(scenario: &Scenario, cells: &[&Cell<'_>]) -> Chapter {
    let rows = cells.iter().map(|cell| row(cell));
    Chapter {
        title: scenario.name.clone(),
        text: format!(
            "{} Limit {}, base {}, capacity {}, an accounted byte costs {}, pages are kept for {:?}.",
            scenario.about,
            scenario.limit,
            scenario.base,
            scenario.capacity,
            scenario.cost,
            scenario.keeps
        ),
        tables: vec![
            survival(cells),
            Table {
                head: HEAD.map(str::to_owned).into(),
                rows: rows.collect(),
            },
        ],
        charts: chart::draw(scenario, cells).into_iter().collect(),
    }
}

/// Peak in percent of the limit, or when it died, for each control and load.
fn survival(cells: &[&Cell<'_>]) -> Table {
    let mut loads: Vec<f64> = cells.iter().map(|cell| cell.job.load).collect();
    loads.dedup();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    let mut head = vec!["control".to_owned(), "what it is".to_owned()];
    head.extend(loads.iter().map(|load| format!("{load:.1}x")));
    let rows = variant::all().into_iter().filter_map(|variant| {
        let own: Vec<_> = cells
            .iter()
            .filter(|cell| cell.job.variant.name == variant.name)
            .collect();
        if own.is_empty() {
            return None;
        }
        let mut row = vec![variant.name.to_owned(), variant.about.to_owned()];
        row.extend(loads.iter().map(|load| {
            let cell = own.iter().find(|cell| cell.job.load == *load);
            cell.map_or("–".to_owned(), |cell| peak_or_death(&cell.runs))
        }));
        Some(row)
    });
    Table {
        head,
        rows: rows.collect(),
    }
}

fn peak_or_death(runs: &[Run]) -> String {
    let died = runs.iter().filter_map(|run| run.outcome.died_at).min();
    let dead = runs
        .iter()
        .filter(|run| run.outcome.died_at.is_some())
        .count();
    match died {
        Some(at) if dead == runs.len() => format!("dies {:.1} s", at.as_secs_f64()),
        Some(at) => format!("{dead} of {} die, {:.1} s", runs.len(), at.as_secs_f64()),
        None => format!("{:.0} %", 100.0 * worst(runs, |run| run.outcome.peak)),
    }
}

fn row(cell: &Cell<'_>) -> Vec<String> {
    let runs = &cell.runs;
    let alive = runs
        .iter()
        .filter(|run| run.outcome.died_at.is_none())
        .count();
    let highest = |value: fn(&Run) -> Option<f64>| {
        let values = runs.iter().filter_map(value);
        values
            .reduce(f64::max)
            .map_or("–".to_owned(), |value| format!("{value:.3}"))
    };
    let goodput = runs
        .iter()
        .filter_map(|run| run.outcome.goodput)
        .reduce(f64::min);
    let seconds = |time: Option<Duration>| {
        time.map_or("–".to_owned(), |time| {
            format!("{:.2} s", time.as_secs_f64())
        })
    };
    let never = runs
        .iter()
        .any(|run| run.outcome.recovers && run.outcome.recovery.is_none());
    let broken = runs.iter().filter(|run| !run.broken.is_empty()).count();
    vec![
        format!("{:.1}x", cell.job.load),
        cell.job.variant.name.to_owned(),
        format!("{alive} of {}", runs.len()),
        format!("{:.3}", worst(runs, |run| run.outcome.peak)),
        goodput.map_or("–".to_owned(), |value| format!("{value:.3}")),
        highest(|run| run.outcome.memory_swing),
        highest(|run| run.outcome.admission_swing),
        seconds(
            runs.iter()
                .filter_map(|run| run.outcome.first_refusal)
                .max(),
        ),
        if never {
            "never".to_owned()
        } else {
            seconds(runs.iter().filter_map(|run| run.outcome.recovery).max())
        },
        format!("{:.0}", worst(runs, |run| run.outcome.actions_per_hour)),
        runs.iter()
            .map(|run| run.outcome.latch_ups)
            .max()
            .unwrap_or(0)
            .to_string(),
        broken.to_string(),
    ]
}

fn random_chapter(random: &Batch) -> Chapter {
    Chapter {
        title: "random nodes".to_owned(),
        text: format!(
            "{} nodes with every constant drawn from a seed ({} and following), under the default control: highest peak {:.3}, \
             lowest goodput {:.3}, slowest recovery {:.1} s, {} with a broken invariant.",
            random.runs,
            random.first_seed,
            random.highest_peak,
            random.lowest_goodput,
            random.slowest_recovery.as_secs_f64(),
            random.broken.len()
        ),
        tables: Vec::new(),
        charts: Vec::new(),
    }
}

fn worst(runs: &[Run], value: impl Fn(&Run) -> f64) -> f64 {
    runs.iter().map(value).fold(0.0, f64::max)
}

fn json(cell: &Cell<'_>) -> serde_json::Value {
    let runs = cell.runs.iter().map(|run| {
        let o = &run.outcome;
        json!({
            "seed": run.seed,
            "died_at_s": o.died_at.map(|at| at.as_secs_f64()),
            "peak": o.peak,
            "goodput": o.goodput,
            "memory_swing": o.memory_swing,
            "admission_swing": o.admission_swing,
            "first_refusal_s": o.first_refusal.map(|time| time.as_secs_f64()),
            "recovery_s": o.recovery.map(|time| time.as_secs_f64()),
            "actions_per_hour": o.actions_per_hour,
            "latch_ups": o.latch_ups,
            "slow_actions": o.slow_actions,
            "looks": o.looks,
            "shortest_wait_ms": o.shortest_wait.as_secs_f64() * 1000.0,
            "passed_by_class": o.passed,
            "broken": run.broken,
        })
    });
    json!({
        "scenario": cell.job.scenario.name,
        "load": cell.job.load,
        "variant": cell.job.variant.name,
        "runs": runs.collect::<Vec<_>>(),
    })
}

fn markdown(title: &str, explanation: &str, chapters: &[Chapter]) -> String {
    let mut text = format!("# {title}\n\n{explanation}\n\n");
    for (name, value) in machine::facts() {
        writeln!(text, "- {name}: {value}").ok();
    }
    for chapter in chapters {
        write!(text, "\n## {}\n\n{}\n", chapter.title, chapter.text).ok();
        for table in &chapter.tables {
            writeln!(text, "\n| {} |", table.head.join(" | ")).ok();
            writeln!(text, "|{}", "---|".repeat(table.head.len())).ok();
            for row in &table.rows {
                writeln!(text, "| {} |", row.join(" | ")).ok();
            }
        }
    }
    text
}

fn html(title: &str, explanation: &str, chapters: &[Chapter]) -> String {
    let mut text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{}</style>\
         <h1>{title}</h1><p>{}</p><ul>",
        include_str!("../stress/report/report.css"),
        escape(explanation)
    );
    for (name, value) in machine::facts() {
        write!(text, "<li>{}: {}</li>", escape(name), escape(&value)).ok();
    }
    text.push_str("</ul>");
    for chapter in chapters {
        write!(
            text,
            "<h2>{}</h2><p>{}</p>",
            escape(&chapter.title),
            escape(&chapter.text)
        )
        .ok();
        for table in &chapter.tables {
            html_table(&mut text, table);
        }
        for chart in &chapter.charts {
            text.push_str(chart);
        }
    }
    text.push_str("</html>\n");
    text
}

fn html_table(text: &mut String, table: &Table) {
    text.push_str("<div class=\"wide\"><table><thead><tr>");
    for name in &table.head {
        write!(text, "<th scope=\"col\">{}</th>", escape(name)).ok();
    }
    text.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        text.push_str("<tr>");
        for cell in row {
            write!(text, "<td>{}</td>", escape(cell)).ok();
        }
        text.push_str("</tr>");
    }
    text.push_str("</tbody></table></div>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::runner::{self, Job};

    #[test]
    fn a_report_names_the_dead_and_shows_the_living() {
        let scenario = Scenario::find("overload").unwrap();
        let variants = variant::all();
        let job = |variant, load| Job {
            scenario: &scenario,
            load,
            variant,
            seeds: 1..3,
        };
        let default = variants.iter().find(|one| one.name == "default").unwrap();
        let cells = runner::run(&[job(&variants[0], 5.0), job(default, 5.0)]).unwrap();
        let chapter = chapter(&scenario, &cells.iter().collect::<Vec<_>>());
        let text = markdown("t", "e", std::slice::from_ref(&chapter));
        assert!(text.contains("| dies 1.5 s |"), "{text}");
        assert!(text.contains("| 5.0x | default | 2 of 2 |"), "{text}");
        assert_eq!(chapter.tables[1].rows[0].len(), HEAD.len());
        let page = html("t", "e", &[chapter]);
        assert!(page.contains("<svg") && page.ends_with("</html>\n"));
    }
}
