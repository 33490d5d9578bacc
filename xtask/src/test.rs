//! `cargo xtask test`: the one test command.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{command, packages, stress, tidy, workspace};

/// How much to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave out documentation, containers and the guest, and say so.
    #[arg(long, conflicts_with = "long")]
    quick: bool,
    /// Add the whole stress and rescue tables, the false alarm, the idle node and the ingest bench (45 min).
    #[arg(long)]
    long: bool,
    /// Add the tests of relay-event and of the allocator under `AddressSanitizer`; needs a nightly toolchain.
    #[arg(long)]
    sanitize: bool,
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
        name: "models of atomic protocols",
        run: models,
    },
    Step {
        name: "systems other than Linux",
        run: portable,
    },
    Step {
        name: "simulation (fixed seeds and random nodes)",
        run: crate::simulate::quick,
    },
    Step {
        name: "soak (3 million events)",
        run: crate::soak::quick,
    },
    Step {
        name: "container (overload --quick)",
        run: stress::overload_quick,
    },
    Step {
        name: "container (scenarios --quick)",
        run: stress::scenarios_quick,
    },
    Step {
        name: "container (ramp --quick)",
        run: stress::ramp_quick,
    },
    Step {
        name: "live checks (containers and guest)",
        run: stress::live,
    },
    Step {
        name: "rescue --quick (containers and guest)",
        run: stress::rescue_quick,
    },
    Step {
        name: "blackbox --quick (containers and guest)",
        run: stress::blackbox_quick,
    },
];

const SANITIZE: &[Step] = &[Step {
    name: "AddressSanitizer",
    run: sanitize,
}];

const LONG: &[Step] = &[
    Step {
        name: "overload",
        run: stress::overload_full,
    },
    Step {
        name: "scenarios",
        run: stress::scenarios_full,
    },
    Step {
        name: "rescue",
        run: stress::rescue_full,
    },
    Step {
        name: "blackbox",
        run: stress::blackbox_full,
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
        packages::ensure(&[packages::CONTAINER, packages::BENCH, packages::GUEST])?;
        steps.extend(DEFAULT);
    }
    if args.long {
        steps.extend(LONG);
    }
    if args.sanitize {
        steps.extend(SANITIZE);
    }
    let outcomes: Vec<_> = steps.iter().map(|step| (step.name, take(step))).collect();
    println!("\n=== summary");
    for (name, (took, error)) in &outcomes {
        let verdict = error.as_ref().map_or("ok", |_| "FAILED");
        println!("{verdict:>8}  {:7.1} s  {name}", took.as_secs_f64());
    }
    let all = [QUICK, DEFAULT, SANITIZE, LONG].into_iter().flatten();
    let left_out = all.filter(|step| !outcomes.iter().any(|(name, _)| *name == step.name));
    for step in left_out {
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
    all_tests()?;
    // Real groups of the kernel: ignored elsewhere, because they take root.
    let group = ["test", "--package", "relay-sense", "--all-features"];
    cargo(&[&group[..], &["--test", "group", "--", "--ignored"]].concat())
}

fn all_tests() -> Result<()> {
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

/// Every interleaving of the protocols that are written by hand; in a build of its own, because the atomics are loom's
/// there.
fn models() -> Result<()> {
    let mut test = command::cargo();
    test.args(["test", "--profile", "model", "--package", "relay-event"])
        .args([
            "--package",
            "relay-sense",
            "--package",
            "relay-forensics",
            "--lib",
            "models",
            "--target-dir",
        ])
        .arg(workspace::target().join("loom"))
        .env("RUSTFLAGS", "--cfg relay_loom");
    command::run(&mut test)
}

/// What macOS and Windows get, built and tested here: everything behind the seams of `sys` is chosen by a `cfg` of ours.
fn portable() -> Result<()> {
    let libraries = [
        "relay-event",
        "relay-sense",
        "relay-control",
        "relay-engine",
    ];
    portable_tests(&libraries, &["--lib"])?;
    // Those of relay-forensics take files and kernel calls; it has one of its own for what is left.
    portable_tests(
        &["relay-sense", "relay-forensics"],
        &["--test", "machines", "--test", "portable"],
    )
}

fn portable_tests(packages: &[&str], targets: &[&str]) -> Result<()> {
    let mut test = command::cargo();
    if command::exists("cargo-nextest") {
        test.args(["nextest", "run"]);
    } else {
        test.arg("test");
    }
    for package in packages {
        test.args(["--package", package]);
    }
    test.args(targets)
        .arg("--target-dir")
        .arg(workspace::target().join("portable"))
        .env("RUSTFLAGS", "--cfg relay_portable -D warnings");
    command::run(&mut test)
}

/// What the models cannot see: that no pointer is used after its end, in the code as it is shipped.
fn sanitize() -> Result<()> {
    sanitized(&["relay-event", "--all-features", "--lib", "--tests"])?;
    // What purges an allocator finds another one under the sanitizer, and nothing to give back.
    sanitized(&[
        "relay-sense",
        "--lib",
        "--test",
        "counting",
        "--test",
        "global_allocator",
    ])
}

fn sanitized(what: &[&str]) -> Result<()> {
    let mut test = Command::new("rustup");
    test.current_dir(workspace::root());
    test.args(["run", "nightly", "cargo", "test", "--package"])
        .args(what)
        .args(["--target", "x86_64-unknown-linux-gnu", "--target-dir"])
        .arg(workspace::target().join("sanitize"))
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .env_remove("RUSTUP_TOOLCHAIN");
    command::run(&mut test)
}
