//! Quantities on the command line and in reports: `64MiB`, `1MiB/s`, `10x`, `20s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A number of bytes, written `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Bytes(pub(crate) u64);

/// Bytes per second, written `1MiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ByteRate(pub(crate) u64);

/// A multiple of the capacity, written `10x`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Times(pub(crate) f64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no size: write it as 64MiB or 1KiB");
        let (unit, scale) = UNITS
            .into_iter()
            .find(|(unit, _)| text.ends_with(unit))
            .ok_or_else(wrong)?;
        let number: f64 = text[..text.len() - unit.len()]
            .parse()
            .map_err(|_| wrong())?;
        let bytes = number * scale as f64;
        if bytes >= 1.0 {
            Ok(Self(bytes as u64))
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, scale): &(&str, u64)| self.0 >= *scale && self.0.is_multiple_of(*scale);
        let (unit, scale) = UNITS.into_iter().find(exact).unwrap_or(("B", 1));
        f.pad(&format!("{}{unit}", self.0 / scale))
    }
}

impl FromStr for ByteRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = text
            .strip_suffix("/s")
            .and_then(|bytes| bytes.parse::<Bytes>().ok());
        let bytes = bytes.ok_or_else(|| format!("{text:?} is no rate: write it as 1MiB/s"))?;
        Ok(Self(bytes.0))
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", Bytes(self.0)))
    }
}

impl FromStr for Times {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text
            .strip_suffix('x')
            .and_then(|number| number.parse().ok());
        let sensible = number.filter(|number| *number > 0.0 && *number <= 1000.0);
        sensible
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no multiple: write it as 10x"))
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}x", self.0))
    }
}

/// Reads `20s`, `1.5s` or `250ms`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, scale) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or_default(), 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * scale);
    let sensible = seconds.filter(|seconds| (0.001..=86_400.0).contains(seconds));
    let seconds = sensible.ok_or_else(|| format!("{text:?} is no duration: write it as 20s"))?;
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        for text in ["64MiB", "1KiB", "3GiB", "1000B", "1536KiB"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
        assert_eq!("1.5MiB/s".parse::<ByteRate>().unwrap().0, 1_572_864);
        assert_eq!("1.4x".parse::<Times>().unwrap().to_string(), "1.4x");
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "MiB", "64", "-1MiB", "0B", "nanMiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        assert!("1MiB".parse::<ByteRate>().is_err());
        for text in ["10", "0x", "-1x", "infx", "NaNx"] {
            assert!(text.parse::<Times>().is_err(), "{text}");
        }
        for text in ["", "s", "20", "-1s", "infs"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
