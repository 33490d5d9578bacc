//! `relay doctor`: what is sensed, from where, and what is not available and why.

use std::io::{self, Write};
use std::time::Instant;

use relay_sense::{Bound, Detect, Environ, Sampler, SenseError};

use super::check::report;
use super::diagnosis::Diagnosis;
use crate::cli::DoctorArgs;
use crate::config::{Config, Environment, LimitFacts, summary};
use crate::exit;
use crate::units::ByteSize;

/// Looks once at the machine and prints what is seen to `out`; what prevents that, to `errors`.
///
/// With `--root` every kernel file is taken from there. A limit in the environment of this process counts all the same;
/// one that is not set here is looked up in the folder's own `proc/self/environ`, if there is one.
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
    // A node refuses to start with a limit that cannot be meant; whoever asks what the limits are
    // wants an answer all the same, in which that one is a note.
    let load = |environment: &Environment| args.config.sources(environment).load();
    let loaded = load(environment).or_else(|_| load(&environment.clone().without_limits()));
    let Some(loaded) = report(loaded, errors)? else {
        return Ok(exit::USAGE);
    };
    match examine(args, environment, loaded.config()) {
        Ok((diagnosis, _)) if args.json => writeln!(out, "{:#}", diagnosis.json())?,
        Ok((diagnosis, limit)) => {
            write!(out, "{}", diagnosis.text())?;
            write!(
                out,
                "\nWith this configuration:\n\n{}",
                summary(loaded.config(), &limit)
            )?;
        }
        // Either a folder that is not there or a limit of zero: starting again changes nothing.
        Err(error) => {
            writeln!(errors, "error: cannot look at the machine: {error}")?;
            return Ok(exit::USAGE);
        }
    }
    Ok(exit::SUCCESS)
}

fn examine(
    args: &DoctorArgs,
    environment: &Environment,
    config: &Config,
) -> Result<(Diagnosis, LimitFacts), SenseError> {
    let root = args.root.root();
    let recorded = args.root.root.as_ref().map(|_| Environ::of(&root));
    let lookup = |name: &str| {
        let ours = environment.get(name);
        ours.or_else(|| recorded.as_ref().and_then(|recorded| recorded.get(name)))
    };
    let mut detect = Detect::new(&root).environment(&lookup);
    if let Some(limit) = config.memory.limit.fixed() {
        detect = detect.configured(limit.bytes());
    }
    if let Some(limit) = config.memory.soft_limit {
        detect = detect.configured_soft(limit.bytes());
    }
    let detection = detect.run()?;
    let mut sampler = Sampler::new(&root)?;
    if let Bound::Bytes(bytes) = detection.fixed_limit {
        // A limit of zero (`ulimit -v 0`) leaves as little room as one of a byte.
        sampler = sampler.with_configured(bytes.max(1))?;
    }
    let sample = sampler.sample(Instant::now());
    let limit = LimitFacts::new(&detection, None::<ByteSize>);
    Ok((Diagnosis::new(&detection, &sample, &config.blackbox), limit))
}
