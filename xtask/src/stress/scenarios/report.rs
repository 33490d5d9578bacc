//! The report: `report.md`, `report.html` and `report.json`.

use std::path::Path;

use anyhow::Result;

use super::outcome::{Figures, Outcome};
use super::scenario::Scenario;
use super::variant::Variant;
use crate::quantiles;
use crate::simulate::report::{Chapter, Table, write_chapters};
use crate::units::{ByteRate, Bytes};

const TITLE: &str = "Relay in containers";

const EXPLANATION: &str = "A node in a container with a real memory limit and no swap, under open-loop load from outside. C is what \
    its sink takes. Peak is the working set (usage without inactive file cache) as a share of the limit in force, sampled every 10 ms \
    from outside. Goodput is the payload delivered during the overload as a share of what C allows; swings are p95 − p5 in the second \
    half of it; first action is a knob turned or an event refused, from its begin; steady is the last \
    window of admission (100 ms) or mean of memory outside its final band; recovery is 95 % admission after the load has \
    fallen. A death is proven by the exit status and by the kernel's count of OOM kills. Each row is the worst of its runs.";

/// A column: its name, and what stands in it.
type Column = (&'static str, fn(&[&Outcome]) -> String);

const COLUMNS: [Column; 17] = [
    ("control", |runs| runs[0].variant.name().to_owned()),
    ("alive", alive),
    ("end", end),
    ("peak ÷ limit", |runs| {
        highest(runs, |run| Some(run.peak_share), 2)
    }),
    ("goodput ÷ C", |runs| lowest(runs, |run| run.goodput, 3)),
    ("memory swing", |runs| {
        highest(runs, |run| run.memory_swing, 3)
    }),
    ("admission swing, points", |runs| {
        highest(runs, |run| run.admission_swing, 1)
    }),
    ("first action ms, median; worst", |runs| {
        let median = median(runs, |run| run.first_action_ms, 0);
        format!("{median}; {}", highest(runs, |run| run.first_action_ms, 0))
    }),
    ("first refusal ms", |runs| {
        highest(runs, |run| run.first_refusal_ms, 0)
    }),
    ("steady admission ms", |runs| {
        highest(runs, |run| run.steady_ms, 0)
    }),
    ("steady memory ms", |runs| {
        highest(runs, |run| run.memory_steady_ms, 0)
    }),
    ("recovery ms", |runs| {
        highest(runs, |run| run.recovery_ms, 0)
    }),
    ("highest level", |runs| {
        let level = runs
            .iter()
            .filter_map(|run| run.figures.highest_level)
            .max();
        level.map_or("–".to_owned(), |level| {
            format!("{level:?}").to_lowercase()
        })
    }),
    ("sent", |runs| {
        runs.iter()
            .map(|run| run.figures.load.sent)
            .sum::<u64>()
            .to_string()
    }),
    ("µs an event, median", |runs| {
        median(runs, |run| run.cpu_us_per_event, 2)
    }),
    ("also", also),
    ("verdict", verdict),
];

pub(super) fn write(out: &Path, scenarios: &[Scenario], outcomes: &[Outcome]) -> Result<()> {
    std::fs::create_dir_all(out)?;
    std::fs::write(
        out.join("report.json"),
        serde_json::to_vec_pretty(outcomes)?,
    )?;
    let survival = survival(scenarios, outcomes);
    let chapters = scenarios
        .iter()
        .filter_map(|scenario| chapter(out, scenario, outcomes));
    let chapters: Vec<_> = survival.into_iter().chain(chapters).collect();
    write_chapters(out, "report", TITLE, EXPLANATION, &chapters)
}

/// The scenarios that every variant runs, side by side.
fn survival(scenarios: &[Scenario], outcomes: &[Outcome]) -> Option<Chapter> {
    let compared: Vec<_> = scenarios
        .iter()
        .filter(|scenario| scenario.variants.len() == Variant::ALL.len())
        .collect();
    let mut head = vec!["control".to_owned(), "what it is".to_owned()];
    head.extend(compared.iter().map(|scenario| scenario.name.to_owned()));
    let rows = Variant::ALL.iter().filter_map(|variant| {
        let cell = |scenario: &&Scenario| fate(&runs_of(outcomes, scenario.name, *variant));
        let cells: Vec<_> = compared.iter().map(cell).collect();
        let mut row = vec![variant.name().to_owned(), variant.about().to_owned()];
        row.extend(cells.iter().cloned());
        cells.iter().any(|cell| cell != "–").then_some(row)
    });
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty()).then(|| Chapter {
        title: "survival".to_owned(),
        text: "Peak of the limit where all runs lived; else how many died, when the first did, and of what.".to_owned(),
        tables: vec![Table { head, rows }],
        charts: Vec::new(),
    })
}

fn fate(runs: &[&Outcome]) -> String {
    let lost: Vec<_> = runs.iter().filter(|run| !run.figures.ended_well).collect();
    match (lost.first(), runs.len()) {
        (_, 0) => "–".to_owned(),
        (None, all) => {
            let peak = runs
                .iter()
                .map(|run| run.figures.peak_share)
                .fold(0.0, f64::max);
            format!("{all} of {all} alive, peak {:.0} %", 100.0 * peak)
        }
        (Some(first), all) => {
            let soonest = lost
                .iter()
                .filter_map(|run| run.figures.lived_seconds)
                .reduce(f64::min);
            let soonest = soonest.map_or(String::new(), |at| format!(" after {at:.1} s"));
            let kills: u64 = lost.iter().map(|run| run.figures.oom_kills).sum();
            format!(
                "{} of {all} dead{soonest}: {}, {kills} OOM kills",
                lost.len(),
                first.figures.death
            )
        }
    }
}

fn chapter(out: &Path, scenario: &Scenario, outcomes: &[Outcome]) -> Option<Chapter> {
    let rows: Vec<Vec<String>> = scenario
        .variants
        .iter()
        .map(|variant| runs_of(outcomes, scenario.name, *variant))
        .filter(|runs| !runs.is_empty())
        .map(|runs| COLUMNS.iter().map(|(_, cell)| cell(&runs)).collect())
        .collect();
    let charts = outcomes
        .iter()
        .filter(|outcome| outcome.scenario == scenario.name)
        .filter_map(|outcome| {
            std::fs::read_to_string(out.join("runs").join(outcome.name()).join("chart.svg")).ok()
        });
    (!rows.is_empty()).then(|| Chapter {
        title: scenario.name.to_owned(),
        text: format!(
            "{} Limit {}, C {}.",
            scenario.about,
            Bytes(scenario.limit_bytes),
            ByteRate(scenario.capacity)
        ),
        tables: vec![Table {
            head: COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect(),
            rows,
        }],
        charts: charts.collect(),
    })
}

fn runs_of<'a>(outcomes: &'a [Outcome], scenario: &str, variant: Variant) -> Vec<&'a Outcome> {
    let of_cell = |run: &&Outcome| run.scenario == scenario && run.variant == variant;
    outcomes.iter().filter(of_cell).collect()
}

fn alive(runs: &[&Outcome]) -> String {
    let alive = runs.iter().filter(|run| run.figures.ended_well).count();
    format!("{alive} of {}", runs.len())
}

fn end(runs: &[&Outcome]) -> String {
    let bad = runs.iter().find(|run| !run.figures.ended_well);
    let run = &bad.unwrap_or(&runs[0]).figures;
    let after = run
        .lived_seconds
        .map_or(String::new(), |at| format!(" after {at:.1} s"));
    format!("{}{after}", run.death)
}

fn highest(runs: &[&Outcome], figure: fn(&Figures) -> Option<f64>, digits: usize) -> String {
    let figures = runs.iter().filter_map(|run| figure(&run.figures));
    figures
        .reduce(f64::max)
        .map_or("–".to_owned(), |value| format!("{value:.digits$}"))
}

fn median(runs: &[&Outcome], figure: fn(&Figures) -> Option<f64>, digits: usize) -> String {
    let mut figures: Vec<f64> = runs.iter().filter_map(|run| figure(&run.figures)).collect();
    quantiles::median(&mut figures).map_or("–".to_owned(), |value| format!("{value:.digits$}"))
}

fn lowest(runs: &[&Outcome], figure: fn(&Figures) -> Option<f64>, digits: usize) -> String {
    let figures = runs.iter().filter_map(|run| figure(&run.figures));
    figures
        .reduce(f64::min)
        .map_or("–".to_owned(), |value| format!("{value:.digits$}"))
}

/// What only some scenarios have, of the last run; warnings are the latest of all.
fn also(runs: &[&Outcome]) -> String {
    let run = &runs[runs.len() - 1].figures;
    let mut parts = Vec::new();
    if runs.iter().any(|run| run.figures.told_ms.is_some()) {
        let late = highest(runs, |run| run.told_ms, 0);
        parts.push(format!("70 % told after {late} ms"));
    }
    if runs.iter().any(|run| run.figures.lead_seconds.is_some()) {
        let seconds = lowest(runs, |run| run.lead_seconds, 1);
        let room = lowest(runs, |run| run.lead_room.map(|room| 100.0 * room), 0);
        parts.push(format!("warned {seconds} s and {room} % before the kill"));
    }
    for (size, ratio) in &run.amplification {
        parts.push(format!(
            "{}: {ratio:.2} resident for a byte held",
            Bytes(*size)
        ));
    }
    for seen in &run.limits_seen_ms {
        parts.push(seen.map_or("limit not seen".to_owned(), |ms| {
            format!("limit seen after {ms:.0} ms")
        }));
    }
    if let Some(yielded) = run.yielded {
        let fate = if run.neighbour_killed {
            "neighbour killed"
        } else {
            "neighbour lives"
        };
        parts.push(format!(
            "gave back {:.0} % of its queue, {fate}",
            100.0 * yielded
        ));
    }
    if parts.is_empty() {
        "–".to_owned()
    } else {
        parts.join("; ")
    }
}

fn verdict(runs: &[&Outcome]) -> String {
    let failed = runs.iter().filter(|run| !run.failures.is_empty()).count();
    let reason = runs.iter().flat_map(|run| &run.failures).next();
    match reason {
        Some(reason) => format!("{failed} of {} failed: {reason}", runs.len()),
        None => "ok".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stress::scenarios::outcome::sample_figures;
    use crate::stress::scenarios::table;

    fn outcome(variant: Variant, run: u32) -> Outcome {
        Outcome {
            scenario: "survival-10x".to_owned(),
            variant,
            run,
            scale: 1.0,
            figures: sample_figures(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn the_dead_are_counted_with_their_cause() {
        let mut dead = outcome(Variant::Off, 1);
        dead.figures.ended_well = false;
        dead.figures.death = "kernel OOM killer".to_owned();
        dead.figures.oom_kills = 1;
        dead.figures.lived_seconds = Some(1.5);
        let outcomes = [dead, outcome(Variant::Off, 2), outcome(Variant::Default, 1)];
        let survival = survival(&table::all(), &outcomes).unwrap();
        let rows: Vec<_> = survival.tables[0]
            .rows
            .iter()
            .map(|row| row.join(" | "))
            .collect();
        assert_eq!(rows.len(), 2);
        assert!(
            rows[0].contains("1 of 2 dead after 1.5 s: kernel OOM killer, 1 OOM kills"),
            "{}",
            rows[0]
        );
        assert!(rows[1].contains("1 of 1 alive, peak 60 %"), "{}", rows[1]);
    }

    #[test]
    fn a_row_shows_the_worst_of_its_runs() {
        let mut slow = outcome(Variant::Default, 2);
        slow.figures.recovery_ms = Some(999.0);
        slow.figures.goodput = Some(0.5);
        slow.failures.push("goodput".to_owned());
        let outcomes = [outcome(Variant::Default, 1), slow];
        let scenario = table::all()
            .into_iter()
            .find(|one| one.name == "survival-10x")
            .unwrap();
        let chapter = chapter(Path::new("/nowhere"), &scenario, &outcomes).unwrap();
        let row = chapter.tables[0].rows[0].join(" | ");
        for part in ["2 of 2", "0.500", "999", "1 of 2 failed: goodput"] {
            assert!(row.contains(part), "{part} in {row}");
        }
    }
}
