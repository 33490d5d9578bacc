//! `cargo xtask simulate`: a whole node in virtual time, driven by the laws that run in a real one.
//!
//! A scenario (data, in `xtask/scenarios`) says what is sent and what goes wrong; a variant says what controls the node.
//! Each pair is run with several seeds; invariants are checked on every run, and a run that breaks one can be repeated
//! exactly from its seed.

mod arrival;
mod chart;
mod gate;
mod invariant;
mod memory;
mod model;
mod outcome;
mod pulse;
mod queue;
mod random;
pub(crate) mod report;
mod runner;
mod scenario;
mod slow;
mod sweep;
mod variant;

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use self::runner::{Cell, Job};
use self::scenario::Scenario;
use self::variant::Variant;
use crate::workspace;

/// What to simulate.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One scenario only: its name, the path of a file, or `random` (with --seed).
    #[arg(long)]
    scenario: Option<String>,
    /// One multiple of the capacity only.
    #[arg(long)]
    load: Option<f64>,
    /// One variant only.
    #[arg(long)]
    variant: Option<String>,
    /// Runs of each cell, with seeds from 1 on.
    #[arg(long, default_value_t = 10)]
    runs: u64,
    /// One seed only: repeats a run exactly.
    #[arg(long)]
    seed: Option<u64>,
    /// Random nodes beside the scenarios, with seeds from this run's clock on.
    #[arg(long, default_value_t = 200)]
    random: u64,
    /// Vary the constants instead: intervals, cooldowns, buffer bounds, the ledger's share.
    #[arg(long)]
    sweep: bool,
    /// What `cargo xtask test` runs, without a report.
    #[arg(long, conflicts_with_all = ["scenario", "sweep", "seed"])]
    quick: bool,
}

/// Runs what is asked for, writes the report into `target/simulate`, and fails when an invariant is broken.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.quick {
        return quick();
    }
    let out = workspace::target().join("simulate");
    std::fs::create_dir_all(&out)?;
    if args.sweep {
        return sweep::run(&out);
    }
    let scenarios = scenarios(args)?;
    let variants = variants(args.variant.as_deref())?;
    let seeds = args.seed.map_or(1..args.runs + 1, |seed| seed..seed + 1);
    let mut jobs = Vec::new();
    for scenario in &scenarios {
        let loads = scenario
            .loads
            .iter()
            .filter(|load| args.load.is_none_or(|one| **load == one));
        for load in loads {
            jobs.extend(variants.iter().map(|variant| Job {
                scenario,
                load: *load,
                variant,
                seeds: seeds.clone(),
            }));
        }
    }
    ensure!(
        !jobs.is_empty(),
        "nothing matches: this scenario has no such load"
    );
    let started = Instant::now();
    let mut cells = runner::run(&jobs)?;
    let mut broken = runner::broken(&cells);
    let random = if args.scenario.is_none() && args.seed.is_none() {
        random::run(random::seed_of_the_day(), args.random)?
    } else {
        random::Batch::default()
    };
    let runs = cells.iter().map(|cell| cell.runs.len()).sum::<usize>() + random.runs;
    if let [cell] = &cells[..]
        && args.seed.is_some()
    {
        println!("{:#?}", cell.job.scenario);
        cell.runs
            .iter()
            .for_each(|run| report::print_course(&run.outcome));
    }
    println!("{runs} runs in {:.1} s", started.elapsed().as_secs_f64());
    broken.extend(random.broken.iter().cloned());
    cells.sort_by(|a, b| a.job.scenario.name.cmp(&b.job.scenario.name));
    report::write(&out, &scenarios, &cells, &random)?;
    println!("report: {}", out.join("report.html").display());
    verdict(&broken)
}

/// The step of `cargo xtask test`: the variants that promise something, two fixed seeds and random nodes.
pub(crate) fn quick() -> Result<()> {
    let scenarios = Scenario::all()?;
    let variants: Vec<Variant> = variant::all()
        .into_iter()
        .filter(Variant::has_ledger)
        .collect();
    let mut jobs = Vec::new();
    for scenario in &scenarios {
        for load in &scenario.loads {
            jobs.extend(variants.iter().map(|variant| Job {
                scenario,
                load: *load,
                variant,
                seeds: 1..3,
            }));
        }
    }
    let cells: Vec<Cell<'_>> = runner::run(&jobs)?;
    let random = random::run(random::seed_of_the_day(), 50)?;
    let runs = cells.iter().map(|cell| cell.runs.len()).sum::<usize>() + random.runs;
    println!("{runs} simulated nodes");
    let mut broken = runner::broken(&cells);
    broken.extend(random.broken);
    verdict(&broken)
}

fn scenarios(args: &Args) -> Result<Vec<Scenario>> {
    match (args.scenario.as_deref(), args.seed) {
        (None, _) => Scenario::all(),
        (Some("random"), Some(seed)) => Ok(vec![random::scenario(seed)]),
        (Some("random"), None) => bail!("a random node needs its --seed"),
        (Some(name), _) => Ok(vec![Scenario::find(name)?]),
    }
}

fn variants(name: Option<&str>) -> Result<Vec<Variant>> {
    let mut variants = variant::all();
    if let Some(name) = name {
        let names: Vec<_> = variants.iter().map(|variant| variant.name).collect();
        ensure!(
            variant::exists(name),
            "no variant is called {name}: {}",
            names.join(", ")
        );
        variants.retain(|variant| variant.name == name);
    }
    Ok(variants)
}

fn verdict(broken: &[String]) -> Result<()> {
    if broken.is_empty() {
        return Ok(());
    }
    for line in broken {
        println!("{line}");
    }
    bail!("{} runs break an invariant", broken.len());
}
