//! `cargo xtask test`: the one test command.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{command, packages, stress, tidy};

/// How much to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave out documentation and containers, and say so.
    #[arg(long, conflicts_with = "long")]
    quick: bool,
    /// Add the whole stress table, the false alarm, the idle node and the ingest bench (30 min).
    #[arg(long)]
    long: bool,
}

struct Step {
    name: &'static str,
    run: fn() -> Result<()>,
}

const QUICK: &[Step] = &[
    Step {
        name: "format",
        run: || cargo(&["fmt", "--all", "--check"]),
    },
    Step {
        name: "tidy",
        run: tidy::run,
    },
    Step {
        name: "clippy",
        run: clippy,
    },
    Step {
        name: "tests",
        run: tests,
    },
];

const DEFAULT: &[Step] = &[
    Step {
        name: "doctests",
        run: || cargo(&["test", "--doc", "--workspace", "--all-features"]),
    },
    Step {
        name: "documentation",
        run: documentation,
    },
    Step {
        name: "container (overload --quick)",
        run: stress::overload_quick,
    },
];

const LONG: &[Step] = &[
    Step {
        name: "overload",
        run: stress::overload_full,
    },
    Step {
        name: "false alarm",
        run: stress::false_alarm,
    },
    Step {
        name: "idle node",
        run: stress::idle,
    },
    Step {
        name: "ingest bench",
        run: crate::bench::ingest,
    },
];

/// Runs every step, also after one failed, and fails when any did.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut steps: Vec<&Step> = QUICK.iter().collect();
    packages::ensure(&[packages::TEST])?;
    if !args.quick {
        packages::ensure(&[packages::CONTAINER, packages::BENCH])?;
        steps.extend(DEFAULT);
    }
    if args.long {
        steps.extend(LONG);
    }
    let outcomes: Vec<_> = steps.iter().map(|step| (step.name, take(step))).collect();
    println!("\n=== summary");
    for (name, (took, error)) in &outcomes {
        let verdict = error.as_ref().map_or("ok", |_| "FAILED");
        println!("{verdict:>8}  {:7.1} s  {name}", took.as_secs_f64());
    }
    let left_out: &[&[Step]] = if args.quick {
        &[DEFAULT, LONG]
    } else if args.long {
        &[]
    } else {
        &[LONG]
    };
    for step in left_out.iter().copied().flatten() {
        println!(" not run             {} (not asked for)", step.name);
    }
    let failed: Vec<_> = outcomes
        .iter()
        .filter_map(|(name, (_, error))| error.as_ref().map(|error| format!("{name}: {error:#}")))
        .collect();
    if !failed.is_empty() {
        bail!(
            "{} of {} steps\n  {}",
            failed.len(),
            outcomes.len(),
            failed.join("\n  ")
        );
    }
    Ok(())
}

fn take(step: &Step) -> (Duration, Option<anyhow::Error>) {
    println!("\n=== {}", step.name);
    let start = Instant::now();
    let error = (step.run)().err();
    if let Some(error) = &error {
        println!("--- {} failed: {error:#}", step.name);
    }
    (start.elapsed(), error)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    command::run(command::cargo().args(arguments))
}

fn clippy() -> Result<()> {
    cargo(&[
        "clippy",
        "--workspace",
        "--all-features",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])
}

fn tests() -> Result<()> {
    if command::exists("cargo-nextest") {
        cargo(&["nextest", "run", "--workspace", "--all-features"])
    } else {
        cargo(&[
            "test",
            "--workspace",
            "--all-features",
            "--lib",
            "--bins",
            "--tests",
        ])
    }
}

fn documentation() -> Result<()> {
    let mut doc: Command = command::cargo();
    doc.args(["doc", "--workspace", "--all-features", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings");
    command::run(&mut doc)
}
