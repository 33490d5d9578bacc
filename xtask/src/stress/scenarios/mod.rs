//! `cargo xtask stress scenarios`: what may happen to a node, one after the other, in a real container.
//!
//! A scenario ([`scenario`]) is data ([`table`]): what is sent, what goes wrong meanwhile, what must hold. A variant ([`variant`]) says
//! what controls the node: nothing, each law alone, or the shipped configuration. Goals ([`check`]) are for the shipped
//! one; the others are there for comparison, and for a proof that the danger is real.

mod check;
mod figures;
mod outcome;
mod report;
mod run;
mod scenario;
mod table;
mod variant;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use self::outcome::Outcome;
use self::run::Run;
use self::scenario::Scenario;
use self::variant::Variant;
use super::{Common, artifact, container};

/// A node that waited so long for a processor because others had it says nothing of itself; a wait of all its threads for
/// a tenth of a second comes to less …
const HELD_UP_MS: f64 = 1000.0;

/// … and the run is repeated so often.
const AGAIN: u32 = 3;

/// The flags; each list flag may be repeated.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Only scenarios whose name contains this.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only these variants.
    #[arg(long = "variant", value_enum)]
    variants: Vec<Variant>,
    /// Repetitions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// The short ones under the shipped configuration, shortened, under a minute; times are not judged.
    #[arg(long, conflicts_with = "variants")]
    quick: bool,
    /// Keep the finished runs of an earlier call.
    #[arg(long)]
    resume: bool,
    /// A folder with the `witness` program, the neighbour, instead of building it.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// What all runs of one call share.
#[derive(Debug)]
struct Setup {
    binary: PathBuf,
    neighbour: PathBuf,
    /// Times are measured and not judged.
    quick: bool,
    common: Common,
}

/// Runs what is asked for, writes the report after each run, and fails naming every goal missed.
pub(crate) fn run(args: &Args) -> Result<()> {
    container::ensure_installed(args.common.runtime)?;
    let scenarios = args.scenarios();
    ensure!(
        !scenarios.is_empty(),
        "no scenario of that name: {}",
        names()
    );
    let setup = Setup {
        binary: artifact::relay(&args.common)?,
        neighbour: artifact::neighbour(args.programs.as_deref())?,
        quick: args.quick,
        common: args.common.clone(),
    };
    let out = args.common.out("scenarios");
    let mut outcomes = Vec::new();
    for (scenario, scale) in &scenarios {
        for run in 1..=args.runs {
            for &variant in scenario.variants.iter().filter(|one| args.takes(**one)) {
                let outcome = one(&setup, scenario, variant, run, *scale, &out, args.resume)?;
                println!("{}", outcome.line());
                outcomes.push(outcome);
                // After each run: a call that is interrupted leaves a report of what it has.
                let all: Vec<_> = scenarios.iter().map(|(one, _)| one.clone()).collect();
                report::write(&out, &all, &outcomes)?;
            }
        }
    }
    println!("report: {}", out.join("report.html").display());
    conclude(&outcomes)
}

fn one(
    setup: &Setup,
    scenario: &Scenario,
    variant: Variant,
    number: u32,
    scale: f64,
    out: &Path,
    resume: bool,
) -> Result<Outcome> {
    let name = format!("{}-{}-{number}", scenario.name, variant.name());
    let folder = out.join("runs").join(&name);
    let kept = folder.join("result.json");
    if resume
        && let Ok(text) = std::fs::read_to_string(&kept)
        && let Ok(mut outcome) = serde_json::from_str::<Outcome>(&text)
        && outcome.scale == scale
    {
        // By the goals of today.
        outcome.failures = run::judge(scenario, variant, &outcome.figures, setup.quick);
        return Ok(outcome);
    }
    let run = Run {
        setup,
        scenario,
        variant,
        number,
        scale,
        folder: &folder,
    };
    let mut outcome = run.perform().with_context(|| format!("run {name}"))?;
    for _ in 0..AGAIN {
        let held_up_ms = outcome.figures.held_up_ms;
        if held_up_ms < HELD_UP_MS {
            break;
        }
        println!("{name}: its threads waited {held_up_ms:.0} ms for a processor: once more");
        outcome = run.perform().with_context(|| format!("run {name}"))?;
    }
    std::fs::write(kept, serde_json::to_vec_pretty(&outcome)?)?;
    Ok(outcome)
}

fn conclude(outcomes: &[Outcome]) -> Result<()> {
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.failures.is_empty())
        .map(|outcome| format!("{}: {}", outcome.name(), outcome.failures.join(", ")))
        .collect();
    if !failed.is_empty() {
        bail!(
            "{} of {} runs\n  {}",
            failed.len(),
            outcomes.len(),
            failed.join("\n  ")
        );
    }
    println!("all {} runs reached their goals", outcomes.len());
    Ok(())
}

fn names() -> String {
    table::all()
        .iter()
        .map(|one| one.name)
        .collect::<Vec<_>>()
        .join(", ")
}

// === impl Args ===

impl Args {
    /// Everything, once.
    pub(crate) fn full() -> Self {
        Self {
            only: Vec::new(),
            variants: Vec::new(),
            runs: 1,
            quick: false,
            resume: false,
            programs: None,
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

    /// The scenarios asked for, each with the factor of its times.
    fn scenarios(&self) -> Vec<(Scenario, f64)> {
        let asked = |one: &Scenario| {
            self.only.is_empty() || self.only.iter().any(|name| one.name.contains(name))
        };
        let mut scenarios: Vec<_> = table::all()
            .into_iter()
            .filter(asked)
            .map(|one| (one, 1.0))
            .collect();
        if self.quick {
            scenarios.retain_mut(|(one, scale)| {
                *scale = one.quick.unwrap_or(1.0);
                one.quick.is_some()
            });
        }
        scenarios
            .into_iter()
            .map(|(one, scale)| (one.scaled(scale), scale))
            .collect()
    }

    fn takes(&self, variant: Variant) -> bool {
        if self.quick {
            return variant.is_ours();
        }
        self.variants.is_empty() || self.variants.contains(&variant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_form_is_short() {
        let seconds: f64 = Args::quick()
            .scenarios()
            .iter()
            .map(|(one, _)| one.round_seconds())
            .sum();
        assert!(seconds > 10.0 && seconds < 50.0, "{seconds}");
    }

    #[test]
    fn names_select() {
        let args = Args {
            only: vec!["survival".to_owned()],
            ..Args::full()
        };
        let names: Vec<_> = args.scenarios().iter().map(|(one, _)| one.name).collect();
        assert_eq!(names, ["survival-2x", "survival-10x"]);
        let none = Args {
            only: vec!["nonsense".to_owned()],
            ..Args::full()
        };
        assert!(none.scenarios().is_empty());
    }
}
