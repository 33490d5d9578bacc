//! What each command does, one file each.
//!
//! A command is a function of its arguments, the environment and where to write, and returns an
//! [exit code](crate::exit): nothing here ends the process.

pub mod blackbox;
pub mod check;
pub mod config;
pub mod doctor;
pub mod events;
pub mod run;

mod diagnosis;

use std::error::Error;
use std::io::{self, Write};

use crate::cli::Command;
use crate::config::Environment;
use crate::exit;
use crate::load::{self, Counts, LoadArgs, LoadError, Report};

/// Does what `command` says: data to `out`, mistakes and warnings to `errors`.
///
/// # Errors
///
/// When `out` or `errors` cannot be written. Everything else is said on `errors` and in the exit
/// code.
pub fn execute(
    command: &Command,
    environment: &Environment,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    match command {
        Command::Blackbox(args) => blackbox::execute(args, environment, out, errors),
        Command::Check(args) => check::execute(args, environment, out, errors),
        Command::Config(args) => config::execute(args, environment, out, errors),
        Command::Doctor(args) => doctor::execute(args, environment, out, errors),
        Command::Load(args) => send_load(args, errors),
        Command::Run(args) => run::execute(args, environment, errors),
        Command::Events(args) => events::execute(args, out, errors),
    }
}

fn send_load(args: &LoadArgs, errors: &mut dyn Write) -> io::Result<u8> {
    let error = match load::execute(args) {
        Ok(report) => return judge_load(&report, errors),
        Err(error) => error,
    };
    write!(errors, "error: {error}")?;
    if let Some(source) = error.source() {
        write!(errors, ": {source}")?;
    }
    writeln!(errors)?;
    Ok(if matches!(error, LoadError::Invalid(_)) {
        exit::USAGE
    } else {
        exit::FAILURE
    })
}

/// Failures are lines of the account, unless nothing at all got through: then there was no one to load.
fn judge_load(report: &Report, errors: &mut dyn Write) -> io::Result<u8> {
    let Counts {
        sent,
        accepted,
        failed,
        ..
    } = report.total;
    if accepted > 0 || failed == 0 {
        return Ok(exit::SUCCESS);
    }
    writeln!(
        errors,
        "error: nothing was accepted, and {failed} of {sent} events failed: check that a node listens at {}",
        report.target
    )?;
    Ok(exit::FAILURE)
}
