//! Which log lines are written.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// A level, and other levels for some targets: `info,relay_http=debug`.
///
/// Stricter than the usual filter syntax, where a mistyped level such as `inof` is taken for a
/// target and silences everything.
///
/// ```
/// use relay_node::config::LogFilter;
///
/// assert!("info,relay_http=debug".parse::<LogFilter>().is_ok());
/// assert!("inof".parse::<LogFilter>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    level: LevelFilter,
    targets: Vec<(String, LevelFilter)>,
}

/// Most targets of one filter: each log call site is compared with all.
const TARGETS_MAX: usize = 64;

impl LogFilter {
    /// The filter as tracing wants it.
    pub fn targets(&self) -> Targets {
        Targets::new()
            .with_default(self.level)
            .with_targets(self.targets.clone())
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self {
            level: LevelFilter::INFO,
            targets: Vec::new(),
        }
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None => filter.level = level(part)?,
                Some((target, name)) if is_target(target) => {
                    filter.targets.push((target.to_owned(), level(name)?));
                }
                Some((target, _)) => {
                    return Err(format!("`{}` is not a target", target.escape_debug()));
                }
            }
        }
        if filter.targets.len() > TARGETS_MAX {
            return Err(format!("more than {TARGETS_MAX} targets"));
        }
        Ok(filter)
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level)?;
        self.targets
            .iter()
            .try_for_each(|(target, level)| write!(f, ",{target}={level}"))
    }
}

fn is_target(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c))
}

fn level(name: &str) -> Result<LevelFilter, String> {
    match name.to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" | "warning" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(format!("`{}` is not a log level", name.escape_debug())),
    }
}
