//! One constant at a time: what it does to a node at several loads, and what it would cost to have it otherwise.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use relay_control::{AimdConfig, ControlConfig, DrainConfig, Law, LedgerConfig, PaceConfig};

use super::report::{self, Chapter, Table};
use super::runner::{self, Cell, Job, Run};
use super::scenario::Scenario;
use super::variant::{self, Buffers, Pulse, Variant};

const SEEDS: std::ops::Range<u64> = 1..6;

const EXPLANATION: &str = "One constant is varied, everything else stays as it is by default. The worst of five runs in each \
    column, as in the report of the scenarios.";

const HEAD: [&str; 10] = [
    "scenario",
    "load",
    "value",
    "alive",
    "peak ÷ limit",
    "goodput",
    "memory swing",
    "recovery",
    "actions/h",
    "looks/s",
];

/// A constant, and a variant for each value of it.
struct Sweep {
    title: &'static str,
    text: &'static str,
    scenarios: &'static [&'static str],
    values: Vec<(String, Variant)>,
}

/// Runs every sweep and writes `sweep.md` and `sweep.html`.
pub(super) fn run(out: &Path) -> Result<()> {
    let started = Instant::now();
    let mut count = 0;
    let mut chapters = Vec::new();
    for sweep in [
        interval(),
        cooldown(),
        buffers(),
        share(),
        setpoint(),
        gain(),
    ] {
        let scenarios: Vec<Scenario> = sweep
            .scenarios
            .iter()
            .map(|name| Scenario::find(name))
            .collect::<Result<_>>()?;
        let mut jobs = Vec::new();
        for scenario in &scenarios {
            for load in &scenario.loads {
                jobs.extend(sweep.values.iter().map(|(_, variant)| Job {
                    scenario,
                    load: *load,
                    variant,
                    seeds: SEEDS,
                }));
            }
        }
        let cells = runner::run(&jobs)?;
        count += cells.iter().map(|cell| cell.runs.len()).sum::<usize>();
        let names = sweep.values.iter().map(|(name, _)| name).cycle();
        chapters.push(Chapter {
            title: sweep.title.to_owned(),
            text: sweep.text.to_owned(),
            tables: vec![Table {
                head: HEAD.map(str::to_owned).into(),
                rows: cells
                    .iter()
                    .zip(names)
                    .map(|(cell, name)| row(cell, name))
                    .collect(),
            }],
            charts: Vec::new(),
        });
    }
    report::write_chapters(
        out,
        "sweep",
        "Constants of control, varied",
        EXPLANATION,
        &chapters,
    )?;
    println!("{count} runs in {:.1} s", started.elapsed().as_secs_f64());
    println!("report: {}", out.join("sweep.html").display());
    Ok(())
}

/// AL06
fn interval() -> Sweep {
    let every = |ms| Variant {
        pulse: Pulse::Every(Duration::from_millis(ms)),
        ..variant::default()
    };
    let mut values: Vec<_> = [10, 50, 200, 1000]
        .map(|ms| (format!("{ms} ms"), every(ms)))
        .into();
    let paced = Variant {
        pulse: Pulse::Paced(PaceConfig::default()),
        ..variant::default()
    };
    values.push(("paced".to_owned(), paced));
    Sweep {
        title: "How often memory is looked at",
        text: "A fixed period, and the pace that follows the danger.",
        scenarios: &["overload", "cost-twice"],
        values,
    }
}

/// AL07
fn cooldown() -> Sweep {
    let value = |s| {
        let variant = Variant {
            config: ControlConfig {
                law: Law::Aimd,
                aimd: AimdConfig {
                    cooldown: Duration::from_secs(s),
                    ..AimdConfig::default()
                },
                ..ControlConfig::default()
            },
            ..variant::default()
        };
        (format!("{s} s"), variant)
    };
    Sweep {
        title: "The cooldown of the governor",
        text: "Under `law = aimd`, where the ledger alone does not keep memory below the governor's entry.",
        scenarios: &["cost-twice", "neighbour", "held-high"],
        values: [1, 5, 30, 60].map(value).into(),
    }
}

/// AL08, AL09
fn buffers() -> Sweep {
    let value = |name: &str, start, max, resize, throttle| {
        let buffers = Buffers {
            start,
            max,
            resize,
            throttle,
        };
        let variant = Variant {
            buffers: Some(buffers),
            ..variant::default()
        };
        (name.to_owned(), variant)
    };
    Sweep {
        title: "Queue bounds in events, resized or not, publishers slowed or not",
        text: "A queue bounded in events as well as in bytes; publishers of this node can wait.",
        scenarios: &["overload", "service-dip"],
        values: vec![
            value("8 fixed", 8, 1024, false, false),
            value("128 fixed", 128, 1024, false, false),
            value("1024 fixed", 1024, 1024, false, false),
            value("128, resized to 1024", 128, 1024, true, false),
            value("128, resized to 8192", 128, 8192, true, false),
            value("128, publishers slowed", 128, 1024, false, true),
            value("128, both", 128, 1024, true, true),
        ],
    }
}

/// AL11
fn share() -> Sweep {
    let value = |percent: u32| {
        let variant = Variant {
            config: ControlConfig {
                ledger: LedgerConfig {
                    share: f64::from(percent) / 100.0,
                    ..LedgerConfig::default()
                },
                ..ControlConfig::default()
            },
            ..variant::default()
        };
        (format!("{percent} %"), variant)
    };
    Sweep {
        title: "The ledger's share of the limit",
        text: "How many accounted bytes may be queued at most.",
        scenarios: &["overload", "service-dip", "stalled"],
        values: [10, 25, 50, 75, 100].map(value).into(),
    }
}

fn setpoint() -> Sweep {
    let value = |percent: u32| {
        let variant = Variant {
            config: ControlConfig {
                drain: DrainConfig {
                    setpoint: f64::from(percent) / 100.0,
                    ..DrainConfig::default()
                },
                ..ControlConfig::default()
            },
            ..variant::default()
        };
        (format!("{percent} %"), variant)
    };
    Sweep {
        title: "The setpoint of drain matching",
        text: "Where memory rests under overload.",
        scenarios: &["overload", "neighbour", "limit-lowered"],
        values: [45, 55, 65, 69].map(value).into(),
    }
}

fn gain() -> Sweep {
    let value = |gain: f64| {
        let variant = Variant {
            config: ControlConfig {
                drain: DrainConfig {
                    gain_max: gain,
                    ..DrainConfig::default()
                },
                ..ControlConfig::default()
            },
            ..variant::default()
        };
        (format!("{gain}"), variant)
    };
    Sweep {
        title: "The largest gain of drain matching",
        text: "How many times the drain is admitted while there is plenty of room.",
        scenarios: &["overload", "service-dip"],
        values: [1.0, 1.25, 1.5, 2.0, 4.0].map(value).into(),
    }
}

fn row(cell: &Cell<'_>, value: &str) -> Vec<String> {
    let runs = &cell.runs;
    let worst = |figure: fn(&Run) -> f64| runs.iter().map(figure).fold(0.0, f64::max);
    let optional = |figure: Option<f64>, unit: &str| {
        figure.map_or("–".to_owned(), |figure| format!("{figure:.3}{unit}"))
    };
    let alive = runs
        .iter()
        .filter(|run| run.outcome.died_at.is_none())
        .count();
    let goodput = runs
        .iter()
        .filter_map(|run| run.outcome.goodput)
        .reduce(f64::min);
    let swing = runs
        .iter()
        .filter_map(|run| run.outcome.memory_swing)
        .reduce(f64::max);
    let never = runs
        .iter()
        .any(|run| run.outcome.recovers && run.outcome.recovery.is_none());
    let recovery = runs.iter().filter_map(|run| run.outcome.recovery).max();
    vec![
        cell.job.scenario.name.clone(),
        format!("{:.1}x", cell.job.load),
        value.to_owned(),
        format!("{alive} of {}", runs.len()),
        format!("{:.3}", worst(|run| run.outcome.peak)),
        optional(goodput, ""),
        optional(swing, ""),
        if never {
            "never".to_owned()
        } else {
            optional(recovery.map(|time| time.as_secs_f64()), " s")
        },
        format!("{:.0}", worst(|run| run.outcome.actions_per_hour)),
        format!("{:.0}", worst(looks_per_second)),
    ]
}

fn looks_per_second(run: &Run) -> f64 {
    let seconds = run.outcome.windows.len() as f64 * 0.1;
    run.outcome.looks as f64 / seconds.max(0.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::model;

    /// Every value of every sweep is a configuration that the laws accept.
    #[test]
    fn every_value_can_be_run() {
        let text = "about = \"x\"\nlimit = \"64MiB\"\nbase = \"8MiB\"\ncapacity = \"1MiB/s\"\ncost = 1.6\nkeeps = \"1s\"\n\
                    phases = [{ until = \"1s\", load = 2.0 }]\n[[sources]]\nclass = 1\nshare = 1.0\nevent = \"1KiB\"";
        let scenario = Scenario::parse("x", text).unwrap();
        for sweep in [
            interval(),
            cooldown(),
            buffers(),
            share(),
            setpoint(),
            gain(),
        ] {
            for (name, variant) in sweep.values {
                let outcome = model::run(&scenario, 1.0, &variant, 1);
                assert!(outcome.is_ok(), "{} {name}", sweep.title);
            }
            assert!(
                sweep
                    .scenarios
                    .iter()
                    .all(|name| Scenario::find(name).is_ok())
            );
        }
    }
}
