//! Numbers as people type them: sizes (`256MiB`), rates (`1MiB/s`), ratios (`70%`, `0.7`) and
//! durations (`50ms`).
//!
//! Every type here prints in a form that it reads back to the same value, so what `relay config`
//! prints can be pasted into a file. Nothing is guessed: a duration without a unit and a ratio
//! such as `70` (70 %? 7000 %?) are refused with the form that was probably meant.
//!
//! Units are those of IEC 80000-13 (`KiB` = 1024 bytes) and SI (`kB` = 1000 bytes), plus the
//! short forms of Kubernetes manifests (`64Mi`, `1G`).

mod ratio;
mod size;

use std::time::Duration;

pub use ratio::Ratio;
pub use size::{ByteRate, ByteSize};

/// Why a text is not the number it should be: a fragment that reads well after a colon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// Nothing was given.
    #[error("the value is empty")]
    Empty,
    /// Not a number at all, a negative one, or not a finite one.
    #[error("not a number of 0 or more")]
    NotANumber,
    /// A number followed by a unit that does not exist.
    #[error("unknown unit `{0}`, expected B, KiB, MiB, GiB, TiB, kB, MB, GB or TB")]
    UnknownUnit(String),
    /// More than a `u64` holds.
    #[error("the number is too large")]
    TooLarge,
    /// A fraction that does not end on a byte.
    #[error("not a whole number of bytes")]
    NotWhole,
    /// A rate without its denominator.
    #[error("a rate ends in `/s`, such as 1MiB/s")]
    NotPerSecond,
    /// A ratio above one whole.
    #[error("above 100%; a percentage is written with its sign, such as 70%")]
    AboveOne,
    /// Not a duration.
    #[error("{0}")]
    Duration(String),
}

/// Reads a duration with its unit: `50ms`, `1m 30s`.
///
/// # Errors
///
/// When the unit is missing or unknown, or the number is not one.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    humantime::parse_duration(text.trim()).map_err(|error| match error {
        humantime::DurationError::Empty => UnitError::Empty,
        other => UnitError::Duration(other.to_string()),
    })
}

/// Prints a duration so that [`parse_duration`] reads it back.
pub fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests;
