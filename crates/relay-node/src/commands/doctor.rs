//! `relay doctor`: what is sensed, from where, and what is not available and why.

use std::io::{self, Write};
use std::time::Instant;

use relay_sense::{Sampler, SenseError, detect};

use super::check::report;
use super::diagnosis::Diagnosis;
use crate::cli::DoctorArgs;
use crate::config::{Auto, Config, Environment, LimitFacts, summary};
use crate::exit;

/// Looks once at the machine and prints what is seen to `out`; what prevents that, to `errors`.
///
/// # Errors
///
/// When `out` or `errors` cannot be written.
pub fn execute(
    args: &DoctorArgs,
    environment: &Environment,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let Some(loaded) = report(args.config.sources(environment).load(), errors)? else {
        return Ok(exit::USAGE);
    };
    match examine(args, loaded.config()) {
        Ok((diagnosis, _)) if args.json => writeln!(out, "{:#}", diagnosis.json())?,
        Ok((diagnosis, limit)) => {
            write!(out, "{}", diagnosis.text())?;
            write!(
                out,
                "\nWith this configuration:\n\n{}",
                summary(loaded.config(), &limit)
            )?;
        }
        Err(error) => {
            writeln!(errors, "error: cannot look at the machine: {error}")?;
            return Ok(exit::FAILURE);
        }
    }
    Ok(exit::SUCCESS)
}

fn examine(args: &DoctorArgs, config: &Config) -> Result<(Diagnosis, LimitFacts), SenseError> {
    let root = args.root.root();
    let configured = match config.memory.limit {
        Auto::Auto => None,
        Auto::Fixed(limit) => Some(limit.bytes()),
    };
    let detection = detect(&root, configured)?;
    let mut sampler = Sampler::new(&root)?;
    if let Some(limit_bytes) = configured {
        sampler = sampler.with_configured(limit_bytes)?;
    }
    let sample = sampler.sample(Instant::now());
    let limit = LimitFacts::new(&detection, config.memory.soft_limit);
    Ok((Diagnosis::new(&detection, &sample), limit))
}
