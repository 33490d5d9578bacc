//! Runs cells (a case under a variant, with several seeds) on all CPUs, and gathers them.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result};

use super::outcome::Outcome;
use super::scenario::Scenario;
use super::variant::Variant;
use super::{invariant, model};

/// What to run.
#[derive(Debug, Clone)]
pub(super) struct Job<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) load: f64,
    pub(super) variant: &'a Variant,
    pub(super) seeds: Range<u64>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Cell<'a> {
    pub(super) job: Job<'a>,
    pub(super) runs: Vec<Run>,
}

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) seed: u64,
    pub(super) outcome: Outcome,
    pub(super) broken: Vec<String>,
}

/// Runs all jobs; cells come in the order of the jobs.
pub(super) fn run<'a>(jobs: &[Job<'a>]) -> Result<Vec<Cell<'a>>> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicUsize::new(0);
    let cells: Mutex<Vec<(usize, Result<Cell<'a>>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, job)) = take(jobs, &next) {
                    let cell = run_one(job);
                    if let Ok(mut cells) = cells.lock() {
                        cells.push((index, cell));
                    }
                }
            });
        }
    });
    let mut cells = cells.into_inner().ok().context("a simulation panicked")?;
    cells.sort_by_key(|(index, _)| *index);
    cells.into_iter().map(|(_, cell)| cell).collect()
}

/// A line for each run that broke an invariant, with the command that repeats it.
pub(super) fn broken(cells: &[Cell<'_>]) -> Vec<String> {
    let lines = cells.iter().flat_map(|cell| {
        let job = &cell.job;
        cell.runs.iter().filter(|run| !run.broken.is_empty()).map(move |run| {
            format!(
                "{} {}x {} seed {}: {}\n    cargo xtask simulate --scenario {} --load {} --variant {} --seed {}",
                job.scenario.name,
                job.load,
                job.variant.name,
                run.seed,
                run.broken.join("; "),
                job.scenario.name,
                job.load,
                job.variant.name,
                run.seed
            )
        })
    });
    lines.collect()
}

fn take<'j, 'a>(jobs: &'j [Job<'a>], next: &AtomicUsize) -> Option<(usize, &'j Job<'a>)> {
    let index = next.fetch_add(1, Relaxed);
    jobs.get(index).map(|job| (index, job))
}

fn run_one<'a>(job: &Job<'a>) -> Result<Cell<'a>> {
    let runs = job.seeds.clone().map(|seed| {
        let outcome = model::run(job.scenario, job.load, job.variant, seed)
            .with_context(|| format!("{} under {}", job.scenario.name, job.variant.name))?;
        let broken = invariant::broken(job.scenario, job.variant, &outcome);
        Ok(Run {
            seed,
            outcome,
            broken,
        })
    });
    Ok(Cell {
        job: job.clone(),
        runs: runs.collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::variant;

    #[test]
    fn a_seed_repeats_its_run_exactly_and_another_does_not() {
        let scenario = Scenario::find("service-dip").unwrap();
        let variant = variant::default();
        let run = |seed| {
            let outcome = model::run(&scenario, 1.2, &variant, seed).unwrap();
            format!("{:?}", outcome.windows)
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}
