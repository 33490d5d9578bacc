//! `cargo xtask stress live`: what relay-sense says inside real limits, held against what is known outside.
//!
//! A program inside the limit, the [`witness`], says what it senses. This program makes the limits, changes them, eats
//! the memory beside it, and compares. The same checks run here and in the guest, so that both versions of cgroups are
//! exercised for real: each in a container, which sees little, and as a plain process, which sees the whole hierarchy.

mod check;
pub(super) mod group;
mod report;
mod witness;

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::cgroup::Version;
use super::place::{Place, Places, Programs};
use super::{container, vm};
use crate::units::parse_duration;
use check::{CHECKS, Stage};

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    places: Places,
    /// In the guest, only a kernel that counts no pressure stalls [default: also one].
    #[arg(long)]
    no_psi: bool,
    /// Only checks whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// When a guest is given up.
    #[arg(long, default_value = "240s", value_parser = parse_duration)]
    patience: Duration,
}

/// What one check found.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Outcome {
    check: String,
    place: Place,
    version: Version,
    /// Whether the kernel counts pressure stalls.
    psi: bool,
    passed: bool,
    /// What was seen, or what was wrong.
    detail: String,
    seconds: f64,
}

/// Runs the checks in each place, writes the report, and fails naming those that failed.
pub(super) fn run(args: &Args) -> Result<()> {
    let places = &args.places;
    let programs = Programs::provide(places, &["witness"])?;
    let mut outcomes = Vec::new();
    if places.here() {
        outcomes.extend(here(args, &programs)?);
    }
    if let Some(results) = places.results() {
        // In the guest: whoever booted it reads the results and judges.
        let mut file = File::options().append(true).open(results)?;
        for outcome in &outcomes {
            writeln!(file, "{}", serde_json::to_string(outcome)?)?;
        }
        return Ok(());
    }
    if places.guest() {
        outcomes.extend(in_guest(args, &programs)?);
    }
    report::write(&places.out("live"), &outcomes)?;
    conclude(&outcomes)
}

/// The live checks in the guest, and those on pressure once more with a kernel that counts none.
pub(super) fn guest() -> Result<()> {
    run(&Args::guest())
}

/// Both places, for `cargo xtask test`.
pub(super) fn everywhere() -> Result<()> {
    run(&Args::default())
}

fn here(args: &Args, programs: &Programs) -> Result<Vec<Outcome>> {
    let folder = args.places.out("live").join("runs");
    container::fresh(&folder)?;
    let place = args.places.own();
    let psi = match place {
        Place::Here => std::fs::read("/proc/pressure/memory").is_ok(),
        // It was booted so or so.
        Place::Guest => !args.no_psi,
    };
    let stage = Stage {
        witness: programs.path("witness")?.to_owned(),
        folder: folder.clone(),
        place,
        version: Version::here(),
        psi,
    };
    let wanted = |name: &str| args.only.as_ref().is_none_or(|text| name.contains(text));
    let mut outcomes = Vec::new();
    for check in CHECKS.iter().filter(|check| wanted(check.name)) {
        if !check.holds_on(stage.version) {
            continue;
        }
        let start = Instant::now();
        let found = (check.run)(&stage);
        let passed = found.is_ok();
        let detail = found.unwrap_or_else(|error| format!("{error:#}"));
        println!(
            "{} {}: {detail}",
            if passed { "    ok" } else { "FAILED" },
            check.name
        );
        outcomes.push(Outcome {
            check: check.name.to_owned(),
            place: stage.place,
            version: stage.version,
            psi: stage.psi,
            passed,
            detail,
            seconds: start.elapsed().as_secs_f64(),
        });
    }
    std::fs::remove_dir_all(folder)?;
    Ok(outcomes)
}

fn in_guest(args: &Args, programs: &Programs) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    if !args.no_psi {
        let only = args.only.as_deref();
        outcomes.extend(boot(args, programs, only, true)?);
    }
    // The rest does not depend on it.
    let only = args.only.as_deref().unwrap_or("pressure");
    if args.no_psi || only.contains("pressure") {
        outcomes.extend(boot(args, programs, Some(only), false)?);
    }
    Ok(outcomes)
}

fn boot(args: &Args, programs: &Programs, only: Option<&str>, psi: bool) -> Result<Vec<Outcome>> {
    let mut arguments = Places::arguments_inside("live");
    if let Some(only) = only {
        arguments.extend(["--only".to_owned(), only.to_owned()]);
    }
    if !psi {
        arguments.push("--no-psi".to_owned());
    }
    println!("guest, psi={}:", u8::from(psi));
    let name = if psi { "guest" } else { "guest-no-psi" };
    let folder = args.places.out("live").join(name);
    let guest = vm::Guest {
        folder: &folder,
        programs: programs.files(),
        arguments: &arguments,
        psi,
        patience: args.patience,
    };
    let results = guest.run()?.into_iter();
    results
        .map(|value| serde_json::from_value(value).context("a result of the guest"))
        .collect()
}

fn conclude(outcomes: &[Outcome]) -> Result<()> {
    if outcomes.is_empty() {
        bail!("no check was run");
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed);
    let failed: Vec<_> = failed
        .map(|outcome| {
            format!(
                "{} ({:?}): {}",
                outcome.check, outcome.version, outcome.detail
            )
        })
        .collect();
    if !failed.is_empty() {
        bail!(
            "{} of {} checks\n  {}",
            failed.len(),
            outcomes.len(),
            failed.join("\n  ")
        );
    }
    println!("{} checks passed", outcomes.len());
    Ok(())
}

// === impl Args ===

impl Default for Args {
    fn default() -> Self {
        Self {
            places: Places::default(),
            no_psi: false,
            only: None,
            patience: Duration::from_mins(4),
        }
    }
}

impl Args {
    fn guest() -> Self {
        Self {
            places: Places::guest_only(),
            ..Self::default()
        }
    }
}
