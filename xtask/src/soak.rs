//! `cargo xtask soak`: a bus under every kind of use until a number of events has gone through it.

use anyhow::Result;

use crate::{command, workspace};

/// How long to go on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Events to publish.
    #[arg(long, default_value_t = 1_000_000_000)]
    events: u64,
}

/// Builds the program optimised and runs it to its end.
pub(crate) fn run(args: &Args) -> Result<()> {
    soak("bench", "release", args.events)
}

/// A short one, in the profile that the tests have built already.
pub(crate) fn quick() -> Result<()> {
    soak("dev", "debug", 3_000_000)
}

fn soak(profile: &str, folder: &str, events: u64) -> Result<()> {
    let mut build = command::cargo();
    build
        .args([
            "build",
            "--quiet",
            "--package",
            "relay-bench",
            "--bin",
            "soak",
        ])
        .args(["--profile", profile]);
    command::run(&mut build)?;
    let program = workspace::target().join(folder).join("soak");
    command::run(std::process::Command::new(program).arg(events.to_string()))
}
