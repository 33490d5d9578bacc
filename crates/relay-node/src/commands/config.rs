//! `relay config`: the configuration in force.

use std::io::{self, Write};

use super::check::report;
use crate::cli::ConfigCommandArgs;
use crate::config::{Environment, explanation, listing};
use crate::exit;

/// Prints the configuration to `out`, with its reasons when asked, or a profile; mistakes go to `errors`.
///
/// # Errors
///
/// When `out` or `errors` cannot be written.
pub fn execute(
    args: &ConfigCommandArgs,
    environment: &Environment,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    if let Some(profile) = args.profile {
        out.write_all(profile.text().as_bytes())?;
        return Ok(exit::SUCCESS);
    }
    let loaded = args.config.sources(environment).load();
    let Some(loaded) = report(loaded, errors)? else {
        return Ok(exit::USAGE);
    };
    let text = if args.explain {
        explanation(&loaded)
    } else {
        listing(&loaded)
    };
    out.write_all(text.as_bytes())?;
    Ok(exit::SUCCESS)
}
