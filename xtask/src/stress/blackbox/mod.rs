//! `cargo xtask stress blackbox`: does a recording survive, and does it say what happened?
//!
//! ```text
//! victim (records, allocates) ─▶ container | group, here and in the guest ─▶ killed
//!            │                                                                │
//!            ▼ file                    kernel: wait status, oom_kill counter, log with time and group
//!     Recording ─▶ verdict, last record ───────────────────▶ compared ◀───────┘
//! ```
//!
//! Nothing of the comparison is the program's own word: that it was killed for memory the kernel's counters and log say,
//! when it was the log says too, and whose limit it was. Besides, `kill -9` at any moment, and power cuts of a guest.

mod body;
mod case;
mod judge;
mod kernel_log;
mod metronome;
mod power;
mod report;
mod run;
mod series;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::cgroup::Version;
use super::place::{Place, Places, Programs};
use super::{container, vm};
use crate::packages;
use crate::units::parse_duration;
use kernel_log::KernelLog;
use metronome::Metronome;
use power::{Cut, Cuts};
use run::{RunResult, Seen, Stage};
use series::Series;

/// The program inside.
const PROGRAM: &str = "victim";

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// A dozen kills, fifty from outside, one power cut: within a minute.
    #[arg(long)]
    quick: bool,
    /// How often each kind of kill is repeated in each place.
    #[arg(long, default_value_t = 6, conflicts_with = "quick")]
    rounds: u32,
    /// Leave out kills for memory.
    #[arg(long)]
    no_oom: bool,
    /// Leave out kills from outside.
    #[arg(long)]
    no_kill: bool,
    /// Leave out power cuts.
    #[arg(long)]
    no_power: bool,
    /// How many power cuts.
    #[arg(long, default_value_t = 20, conflicts_with = "quick")]
    cuts: u32,
    /// When a guest is given up.
    #[arg(long, default_value = "1500s", value_parser = parse_duration)]
    patience: Duration,
    #[command(flatten)]
    places: Places,
}

/// Everything that was seen.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Outcome {
    kills: Vec<RunResult>,
    series: Option<Series>,
    cuts: Vec<Cut>,
}

/// Runs what is asked for, writes the report, and fails naming what was wrong.
pub(super) fn run(args: &Args) -> Result<()> {
    let places = &args.places;
    let programs = Programs::provide(places, &[PROGRAM])?;
    let out = places.out("blackbox");
    let mut outcome = Outcome::default();
    if places.here() && !args.no_oom {
        outcome.kills = here(args, programs.path(PROGRAM)?, &out)?;
    }
    if places.results().is_some() {
        return Ok(());
    }
    if places.here() && !args.no_kill {
        let kills = if args.quick { 50 } else { 500 };
        outcome.series = Some(series::run(programs.path(PROGRAM)?, &out, kills)?);
    }
    if places.guest() && !args.no_oom {
        outcome.kills.extend(in_guest(args, &programs, &out)?);
    }
    if places.guest() && !args.no_power {
        packages::ensure(&[packages::DISK])?;
        let (count, controls) = if args.quick { (1, 0) } else { (args.cuts, 3) };
        let power = Cuts {
            out: &out,
            programs: programs.files(),
            count,
            controls,
        };
        outcome.cuts = power.run()?;
    }
    report::write(&out, &outcome)?;
    conclude(args, &outcome)
}

/// Everything in both places.
pub(super) fn everywhere(quick: bool) -> Result<()> {
    run(&Args {
        quick,
        rounds: 6,
        no_oom: false,
        no_kill: false,
        no_power: false,
        cuts: 20,
        patience: Duration::from_mins(25),
        places: Places::default(),
    })
}

fn here(args: &Args, program: &Path, out: &Path) -> Result<Vec<RunResult>> {
    container::fresh(&out.join("runs"))?;
    let place = args.places.own();
    let mut stage = Stage {
        program,
        out,
        place,
        log: KernelLog::open()?,
        metronome: Metronome::start()?,
    };
    let mut results = Vec::new();
    let cases = case::cases(place, Version::here(), args.quick, args.rounds);
    for (number, case) in cases.into_iter().enumerate() {
        let result = run::one(&mut stage, case, number)?;
        println!("{}", result.line());
        if let Some(file) = args.places.results() {
            // In the guest: whoever booted it reads the results and judges.
            let mut file = File::options().append(true).open(file)?;
            writeln!(file, "{}", serde_json::to_string(&result)?)?;
        }
        results.push(result);
    }
    Ok(results)
}

fn in_guest(args: &Args, programs: &Programs, out: &Path) -> Result<Vec<RunResult>> {
    let mut arguments = Places::arguments_inside("blackbox");
    if args.quick {
        arguments.push("--quick".to_owned());
    } else {
        arguments.extend(["--rounds".to_owned(), args.rounds.to_string()]);
    }
    let guest = vm::Guest {
        folder: &out.join("guest"),
        programs: programs.files(),
        arguments: &arguments,
        psi: true,
        patience: args.patience,
    };
    let results = guest.run()?.into_iter();
    results
        .map(|value| serde_json::from_value(value).context("a result of the guest"))
        .collect()
}

fn conclude(args: &Args, outcome: &Outcome) -> Result<()> {
    let kills = outcome.kills.iter();
    let mut failures: Vec<String> = kills
        .filter_map(|one| Some(format!("{}: {}", one.line(), one.failure.as_ref()?)))
        .collect();
    let series = outcome.series.iter().flat_map(|series| &series.failures);
    failures.extend(series.map(|what| format!("kill -9: {what}")));
    let cuts = outcome.cuts.iter().filter(|cut| cut.failure.is_some());
    failures.extend(cuts.map(Cut::line));
    let done = outcome.kills.len() + outcome.cuts.len();
    if done == 0 && outcome.series.is_none() {
        bail!("nothing was killed");
    }
    let here = outcome.kills.iter().filter(|one| one.place == Place::Here);
    let judged = |one: &&RunResult| one.seen.as_ref().is_some_and(Seen::is_judged);
    let (judged, all) = (here.clone().filter(judged).count(), here.count());
    if all > 0 {
        println!("gaps judged here: {judged} of {all}; the others the machine was too busy for");
    }
    if !args.quick && judged * 2 < all {
        failures.push("too few gaps could be judged: repeat it on a quieter machine".to_owned());
    }
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{} wrong\n  {}", failures.len(), failures.join("\n  "))
}
