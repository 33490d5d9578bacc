//! `cargo xtask stress overload`: more comes in than goes out.
//!
//! A node with HTTP ingest and a `blackhole` emitter of known rate (the capacity C) gets open-loop
//! load at a multiple of C, then 0.5 C while its backlog still stands, then SIGTERM.

mod cell;
mod run;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

#[cfg(test)]
pub(super) use cell::sample_result;
pub(super) use cell::{Cell, RunResult};
pub(super) use run::Observed;

use super::{Common, artifact, container, report};
use crate::units::{ByteRate, Bytes, Times, parse_duration};

/// How long the load stays at 0.5 C after the overload.
const RECOVERY: Duration = Duration::from_secs(3);

/// The flags; each list flag may be repeated.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Memory limit of the container [default: 64MiB 128MiB 256MiB].
    #[arg(long = "limit", value_name = "SIZE")]
    limits: Vec<Bytes>,
    /// Load as a multiple of the capacity [default: 1.4x 2x 5x 10x 20x; without protection 10x].
    #[arg(long = "rate", value_name = "TIMES")]
    rates: Vec<Times>,
    /// Payload of an event [default: 1KiB 64KiB].
    #[arg(long = "size", value_name = "SIZE")]
    sizes: Vec<Bytes>,
    /// How long the overload lasts; without protection longer, until the limit must be reached.
    #[arg(long, default_value = "20s", value_parser = parse_duration)]
    duration: Duration,
    /// Repetitions of each cell.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// The capacity C: what the emitter drains.
    #[arg(long, default_value = "1MiB/s")]
    capacity: ByteRate,
    /// Whether the node protects itself.
    #[arg(long, value_enum, default_value_t)]
    protection: Protection,
    /// One cell on and one off, under two minutes.
    #[arg(long, conflicts_with_all = ["limits", "rates", "sizes", "runs"])]
    quick: bool,
    /// Keep the finished runs of an earlier call with the same duration and capacity.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Protection {
    On,
    Off,
    /// On for every cell, off for the comparison.
    #[default]
    Both,
}

/// What all runs of one call share.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) binary: PathBuf,
    pub(super) capacity: ByteRate,
    pub(super) duration: Duration,
    pub(super) common: Common,
}

/// Runs every cell, writes the report, and fails naming the cells that missed a goal.
pub(crate) fn run(args: &Args) -> Result<()> {
    container::ensure_installed(args.common.runtime)?;
    let setup = Setup {
        binary: artifact::relay(&args.common)?,
        capacity: args.capacity,
        duration: if args.quick {
            Duration::from_secs(8)
        } else {
            args.duration
        },
        common: args.common.clone(),
    };
    let out = args.common.out("overload");
    let cells = args.cells();
    println!(
        "{} cells, {} runs each, report in {}",
        cells.len(),
        args.runs,
        out.display()
    );
    let mut results = Vec::new();
    for cell in cells {
        for run in 1..=args.runs {
            let result = one(&setup, cell, run, &out, args.resume)?;
            println!("{}", result.line());
            results.push(result);
            // After each run: a call that is interrupted leaves a report of what it has.
            report::write(&out, &setup, &results)?;
        }
    }
    println!("report: {}", out.join("report.html").display());
    conclude(&results)
}

fn one(setup: &Setup, cell: Cell, run: u32, out: &Path, resume: bool) -> Result<RunResult> {
    let name = format!("{}-{run}", cell.name());
    let folder = out.join("runs").join(&name);
    let kept = folder.join("result.json");
    if resume
        && let Ok(text) = std::fs::read_to_string(&kept)
        && let Ok(result) = serde_json::from_str::<RunResult>(&text)
        && result.fits(setup)
    {
        return Ok(result);
    }
    let result = run::run(setup, cell, run, &folder).with_context(|| format!("run {name}"))?;
    std::fs::write(kept, serde_json::to_vec_pretty(&result)?)?;
    Ok(result)
}

fn conclude(results: &[RunResult]) -> Result<()> {
    let failed: Vec<_> = results
        .iter()
        .filter(|result| !result.failures.is_empty())
        .map(|result| format!("{}: {}", result.name(), result.failures.join(", ")))
        .collect();
    if !failed.is_empty() {
        bail!(
            "{} of {} runs\n  {}",
            failed.len(),
            results.len(),
            failed.join("\n  ")
        );
    }
    println!("all {} runs reached their goals", results.len());
    Ok(())
}

// === impl Args ===

impl Args {
    /// The whole table with every default.
    pub(crate) fn full() -> Self {
        Self {
            limits: Vec::new(),
            rates: Vec::new(),
            sizes: Vec::new(),
            duration: Duration::from_secs(20),
            runs: 1,
            capacity: ByteRate(1 << 20),
            protection: Protection::Both,
            quick: false,
            resume: false,
            common: Common::default(),
        }
    }

    /// What fits into a test run.
    pub(crate) fn quick() -> Self {
        Self {
            quick: true,
            ..Self::full()
        }
    }

    fn cells(&self) -> Vec<Cell> {
        let or = |given: &[Bytes], default: &[u64]| -> Vec<Bytes> {
            if given.is_empty() {
                default.iter().copied().map(Bytes).collect()
            } else {
                given.to_vec()
            }
        };
        let (limits, sizes, rates) = if self.quick {
            (
                vec![Bytes(64 << 20)],
                vec![Bytes(1 << 10)],
                vec![Times(10.0)],
            )
        } else {
            let rates = [1.4, 2.0, 5.0, 10.0, 20.0].map(Times);
            (
                or(&self.limits, &[64 << 20, 128 << 20, 256 << 20]),
                or(&self.sizes, &[1 << 10, 64 << 10]),
                if self.rates.is_empty() {
                    rates.to_vec()
                } else {
                    self.rates.clone()
                },
            )
        };
        let off_rates = if self.rates.is_empty() {
            &[Times(10.0)][..]
        } else {
            &rates
        };
        let mut cells = Vec::new();
        let kinds = [
            (Protection::On, true, &rates[..]),
            (Protection::Off, false, off_rates),
        ];
        for (kind, protection, rates) in kinds {
            if self.protection != kind && self.protection != Protection::Both {
                continue;
            }
            for &limit in &limits {
                for &body in &sizes {
                    cells.extend(rates.iter().map(|&rate| Cell {
                        limit,
                        rate,
                        body,
                        protection,
                    }));
                }
            }
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_is_every_limit_rate_and_size_and_the_comparison() {
        let cells = Args::full().cells();
        assert_eq!(
            cells.iter().filter(|cell| cell.protection).count(),
            3 * 5 * 2
        );
        let off: Vec<_> = cells.iter().filter(|cell| !cell.protection).collect();
        assert_eq!(off.len(), 3 * 2);
        assert!(off.iter().all(|cell| cell.rate == Times(10.0)));
    }

    #[test]
    fn flags_replace_the_defaults() {
        let given = Args {
            limits: vec![Bytes(90 << 20)],
            rates: vec![Times(7.0)],
            sizes: vec![Bytes(3 << 10)],
            protection: Protection::On,
            ..Args::full()
        };
        let names: Vec<_> = given.cells().iter().map(Cell::name).collect();
        assert_eq!(names, ["90MiB-7x-3KiB-on"]);
        let names: Vec<_> = Args::quick().cells().iter().map(Cell::name).collect();
        assert_eq!(names, ["64MiB-10x-1KiB-on", "64MiB-10x-1KiB-off"]);
    }
}
