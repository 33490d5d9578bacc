//! `cargo xtask stress rescue`: a program that allocates without mercy and frees when it is told, once for each way of
//! being told. Which of them comes in time?

mod cell;
mod report;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::container::{self, Exit, Plan, RuntimeKind};
use super::place::{Place, Places, Programs};
use super::vm;
use crate::units::{ByteRate, parse_duration};
use cell::{Cell, Mode, Rate, RunResult};

const LIMIT_BYTES: u64 = 64 << 20;

/// A cycle fills about this much.
const CYCLE_BYTES: u64 = 60 << 20;

const RATES: [Rate; 4] = [
    Rate::Limited(ByteRate(20 << 20)),
    Rate::Limited(ByteRate(100 << 20)),
    Rate::Limited(ByteRate(500 << 20)),
    Rate::Unthrottled,
];

/// The flags; each list flag may be repeated.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// How fast it allocates, or `max` [default: 20MiB/s 100MiB/s 500MiB/s max].
    #[arg(long = "rate", value_name = "RATE")]
    rates: Vec<Rate>,
    /// How it is told [default: all].
    #[arg(long = "mode", value_enum)]
    modes: Vec<Mode>,
    /// How often it fills its limit and frees everything.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    cycles: u32,
    /// Five cycles of three ways at two rates.
    #[arg(long, conflicts_with_all = ["rates", "modes", "cycles"])]
    quick: bool,
    /// When a guest is given up.
    #[arg(long, default_value = "3600s", value_parser = parse_duration)]
    patience: Duration,
    #[command(flatten)]
    places: Places,
}

/// Runs each cell in each place, writes the table, and fails naming the cells that missed.
pub(super) fn run(args: &Args) -> Result<()> {
    let places = &args.places;
    let programs = Programs::provide(places, &["rescue"])?;
    let out = places.out("rescue");
    let mut results = Vec::new();
    if places.here() {
        for cell in args.cells() {
            let result = one(cell, places.own(), programs.path("rescue")?, &out)?;
            println!("{}", result.line());
            if let Some(file) = places.results() {
                // In the guest: whoever booted it reads the results and judges.
                let mut file = File::options().append(true).open(file)?;
                writeln!(file, "{}", serde_json::to_string(&result)?)?;
            }
            results.push(result);
        }
    }
    if places.results().is_some() {
        return Ok(());
    }
    if places.guest() {
        results.extend(in_guest(args, &programs, &out)?);
    }
    report::write(&out, &results)?;
    conclude(&results)
}

/// Both places: the short form of `cargo xtask test`, or the whole table.
pub(super) fn everywhere(quick: bool) -> Result<()> {
    run(&Args {
        rates: Vec::new(),
        modes: Vec::new(),
        cycles: 20,
        quick,
        patience: Duration::from_hours(1),
        places: Places::default(),
    })
}

fn one(cell: Cell, place: Place, program: &Path, out: &Path) -> Result<RunResult> {
    let name = format!("rescue-{}", cell.name());
    let folder = out.join("runs").join(cell.name());
    container::fresh(&folder)?;
    let cap_s = cell.seconds_max().to_string();
    let (rate, cycles) = (
        cell.rate.mib_per_second().to_string(),
        cell.cycles.to_string(),
    );
    let plan = Plan {
        name: &name,
        binary: program,
        arguments: &[
            "--mode",
            cell.mode.name(),
            "--rate",
            &rate,
            "--cycles",
            &cycles,
            "--cap-s",
            &cap_s,
        ],
        folder: &folder,
        limit_bytes: LIMIT_BYTES,
        user: 0,
    };
    let (mut container, counters) = container::start(RuntimeKind::Runc, &plan)?;
    // In the emulator the last cycle may take long.
    let patience = Duration::from_secs(cell.seconds_max() + 60);
    let exit = container::wait(container.as_mut(), patience)?;
    let oom_kills = counters.read()?.oom_kills;
    container.remove()?;
    let log = std::fs::read_to_string(folder.join("node.log")).context("node.log")?;
    container::discard(&folder)?;
    Ok(RunResult::new(cell, place, exit, oom_kills, &log))
}

fn in_guest(args: &Args, programs: &Programs, out: &Path) -> Result<Vec<RunResult>> {
    let mut arguments = Places::arguments_inside("rescue");
    for cell in args.cells() {
        // Each rate and mode once: the cells are their product.
        for (flag, value) in [
            ("--rate", cell.rate.to_string()),
            ("--mode", cell.mode.name().to_owned()),
        ] {
            if !arguments.contains(&value) {
                arguments.extend([flag.to_owned(), value]);
            }
        }
    }
    arguments.extend(["--cycles".to_owned(), args.cycles().to_string()]);
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

fn conclude(results: &[RunResult]) -> Result<()> {
    let failures: Vec<_> = results
        .iter()
        .filter_map(|result| Some(format!("{}: {}", result.line(), result.failure()?)))
        .collect();
    if failures.is_empty() && !results.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of {} cells\n  {}",
        failures.len(),
        results.len(),
        failures.join("\n  ")
    )
}

// === impl Args ===

impl Args {
    fn cycles(&self) -> u32 {
        if self.quick { 5 } else { self.cycles }
    }

    fn cells(&self) -> Vec<Cell> {
        let (rates, modes): (&[Rate], &[Mode]) = if self.quick {
            (&RATES[2..], &[Mode::ByteClock, Mode::Psi, Mode::Events])
        } else {
            (&self.rates, &self.modes)
        };
        let rates = if rates.is_empty() { &RATES } else { rates };
        let modes = if modes.is_empty() { &Mode::ALL } else { modes };
        let cycles = self.cycles();
        let cell = |mode, rate| Cell { mode, rate, cycles };
        let pairs = modes
            .iter()
            .flat_map(|mode| rates.iter().map(move |rate| (*mode, *rate)));
        pairs.map(|(mode, rate)| cell(mode, rate)).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn cells(line: &str) -> Vec<String> {
        let words = std::iter::once("x").chain(line.split_ascii_whitespace());
        let cells = Line::try_parse_from(words).unwrap().args.cells();
        cells.iter().map(Cell::name).collect()
    }

    #[test]
    fn the_cells_are_the_product_of_rates_and_modes() {
        assert_eq!(cells("").len(), 20);
        assert_eq!(
            cells("--rate 100MiB/s --rate max --mode psi"),
            ["psi-100MiBs", "psi-max"]
        );
        assert_eq!(
            cells("--quick"),
            [
                "byte-clock-500MiBs",
                "byte-clock-max",
                "psi-500MiBs",
                "psi-max",
                "events-500MiBs",
                "events-max",
            ]
        );
    }
}
