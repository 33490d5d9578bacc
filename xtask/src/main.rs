//! Developer commands of Relay: `cargo xtask test | tidy | simulate | stress | bench | soak`.
//!
//! Each command is a module; `cargo xtask <command> --help` lists its flags.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "commands report to the person who typed them"
)]

mod bench;
mod command;
mod cpu;
mod machine;
mod packages;
mod quantiles;
mod simulate;
mod soak;
mod stress;
mod test;
mod tidy;
mod units;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Relay")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything that must be green: format, lints, house rules, tests, docs, a container test.
    Test(test::Args),
    /// The house rules that the compiler does not know.
    Tidy,
    /// A whole node in virtual time, driven by the real laws: all laws side by side, invariants, sweeps.
    Simulate(simulate::Args),
    /// Scenarios in a real container with a real memory limit.
    Stress(stress::Args),
    /// Whole-program measurements.
    #[command(subcommand)]
    Bench(bench::Subject),
    /// A billion events through one bus, with flat memory and closed accounts.
    Soak(soak::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Tidy => tidy::run(),
        Command::Simulate(args) => simulate::run(&args),
        Command::Stress(args) => stress::run(&args),
        Command::Bench(subject) => bench::run(&subject),
        Command::Soak(args) => soak::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nFAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}
