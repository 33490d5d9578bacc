//! `relay check`: every mistake of a configuration at once.

use std::io::{self, Write};

use crate::cli::ConfigArgs;
use crate::config::{Environment, InvalidConfig, Loaded, Warning};
use crate::exit;

/// Checks and reports: the summary to `out`, mistakes and warnings to `errors`.
///
/// # Errors
///
/// When `out` or `errors` cannot be written.
pub fn execute(
    args: &ConfigArgs,
    environment: &Environment,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let sources = args.sources(environment);
    let from = sources.config_file().map_or_else(
        || "no file, defaults".to_owned(),
        |file| file.display().to_string(),
    );
    let Some(loaded) = report(sources.load(), errors)? else {
        return Ok(exit::USAGE);
    };
    let config = loaded.config();
    writeln!(
        out,
        "configuration ok: {from}; {}, {}",
        count(config.adapters.len(), "adapter"),
        count(config.emitters.len(), "emitter"),
    )?;
    Ok(exit::SUCCESS)
}

/// Writes the warnings, and every mistake with their number; `None` when there is a mistake.
///
/// # Errors
///
/// When `errors` cannot be written.
pub fn report(
    loaded: Result<Loaded, InvalidConfig>,
    errors: &mut dyn Write,
) -> io::Result<Option<Loaded>> {
    match loaded {
        Ok(loaded) => {
            warn(loaded.warnings(), errors)?;
            Ok(Some(loaded))
        }
        Err(invalid) => {
            for problem in invalid.problems() {
                writeln!(errors, "error: {problem}")?;
            }
            warn(invalid.warnings(), errors)?;
            let mistakes = count(invalid.problems().len(), "mistake");
            writeln!(errors, "{mistakes} in the configuration")?;
            Ok(None)
        }
    }
}

fn warn(warnings: &[Warning], errors: &mut dyn Write) -> io::Result<()> {
    warnings
        .iter()
        .try_for_each(|warning| writeln!(errors, "warning: {warning}"))
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
