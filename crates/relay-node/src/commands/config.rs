//! `relay config`: the configuration in force.

use std::io::{self, Write};

use super::check::report;
use crate::cli::ConfigCommandArgs;
use crate::config::{Environment, explanation, listing};
use crate::exit;

/// Prints the configuration to `out`, with its reasons when asked; mistakes go to `errors`.
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
