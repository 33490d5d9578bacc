//! Numbers with units and a range.

use std::time::Duration;

use super::{Kind, not_a};
use crate::config::raw::RawValue;
use crate::units::{ByteRate, ByteSize, Ratio, format_duration, parse_duration};

/// A number that a field can hold.
pub(crate) trait Number: PartialOrd + Copy {
    /// Reads it, with or without its unit, as the type allows.
    fn read(raw: &RawValue) -> Result<Self, String>;

    /// The number as a TOML literal.
    fn literal(self) -> String;
}

/// A number within bounds.
pub(crate) struct Within<N> {
    low: End<N>,
    high: End<N>,
}

/// One end of a range.
#[derive(Clone, Copy)]
enum End<N> {
    Included(N),
    Excluded(N),
}

/// Numbers from `low` to `high`, both allowed.
pub(crate) const fn within<N>(low: N, high: N) -> Within<N> {
    Within {
        low: End::Included(low),
        high: End::Included(high),
    }
}

/// Numbers above `low` and up to `high`.
pub(crate) const fn above<N>(low: N, high: N) -> Within<N> {
    Within {
        low: End::Excluded(low),
        high: End::Included(high),
    }
}

/// Numbers strictly between `low` and `high`.
pub(crate) const fn between<N>(low: N, high: N) -> Within<N> {
    Within {
        low: End::Excluded(low),
        high: End::Excluded(high),
    }
}

/// Numbers from `low` up to but not `high`.
pub(crate) const fn from_below<N>(low: N, high: N) -> Within<N> {
    Within {
        low: End::Included(low),
        high: End::Excluded(high),
    }
}

// === impl Within ===

impl<N: Number> Kind for Within<N> {
    type Value = N;

    fn read(&self, raw: &RawValue) -> Result<N, String> {
        let number = N::read(raw)?;
        let above_low = match self.low {
            End::Included(low) => number >= low,
            End::Excluded(low) => number > low,
        };
        let below_high = match self.high {
            End::Included(high) => number <= high,
            End::Excluded(high) => number < high,
        };
        match (above_low, below_high) {
            (true, true) => Ok(number),
            (false, _) => Err("too small".to_owned()),
            (_, false) => Err("too large".to_owned()),
        }
    }

    fn show(&self, value: &N) -> String {
        value.literal()
    }

    fn allowed(&self) -> String {
        let plain = |number: &N| number.literal().trim_matches('"').to_owned();
        match (&self.low, &self.high) {
            (End::Included(low), End::Included(high)) => {
                format!("{} to {}", plain(low), plain(high))
            }
            (End::Included(low), End::Excluded(high)) => {
                format!("{} or more, and below {}", plain(low), plain(high))
            }
            (End::Excluded(low), End::Included(high)) => {
                format!("above {}, up to {}", plain(low), plain(high))
            }
            (End::Excluded(low), End::Excluded(high)) => {
                format!("above {} and below {}", plain(low), plain(high))
            }
        }
    }
}

// === impl Number ===

impl Number for Ratio {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let text = match raw {
            RawValue::Float(number) => number.to_string(),
            RawValue::Integer(number) => number.to_string(),
            RawValue::Text(text) | RawValue::Loose(text) => text.clone(),
            other => return Err(not_a("a ratio such as \"70%\" or 0.7", other)),
        };
        text.parse()
            .map_err(|error| format!("not a ratio: {error}"))
    }

    fn literal(self) -> String {
        format!("\"{self}\"")
    }
}

impl Number for ByteSize {
    fn read(raw: &RawValue) -> Result<Self, String> {
        match raw {
            RawValue::Integer(bytes) => u64::try_from(*bytes)
                .map(ByteSize::from_bytes)
                .map_err(|_| "a size is not negative".to_owned()),
            RawValue::Text(text) | RawValue::Loose(text) => {
                text.parse().map_err(|error| format!("not a size: {error}"))
            }
            other => Err(not_a("a size such as \"256MiB\"", other)),
        }
    }

    fn literal(self) -> String {
        format!("\"{self}\"")
    }
}

impl Number for ByteRate {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let text = raw
            .text()
            .ok_or_else(|| not_a("a rate such as \"1MiB/s\"", raw))?;
        text.parse().map_err(|error| format!("not a rate: {error}"))
    }

    fn literal(self) -> String {
        format!("\"{self}\"")
    }
}

impl Number for Duration {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let text = match raw {
            RawValue::Text(text) | RawValue::Loose(text) => text,
            RawValue::Integer(_) | RawValue::Float(_) => {
                return Err("a duration needs its unit, such as \"50ms\" or \"30s\"".to_owned());
            }
            other => return Err(not_a("a duration such as \"50ms\"", other)),
        };
        parse_duration(text).map_err(|error| format!("not a duration: {error}"))
    }

    fn literal(self) -> String {
        format!("\"{}\"", format_duration(self))
    }
}

impl Number for f64 {
    fn read(raw: &RawValue) -> Result<Self, String> {
        match raw {
            RawValue::Float(number) => Ok(*number),
            RawValue::Integer(number) => Ok(*number as Self),
            RawValue::Loose(text) => text.trim().parse().map_err(|_| "not a number".to_owned()),
            other => Err(not_a("a number", other)),
        }
    }

    fn literal(self) -> String {
        format!("{self:?}")
    }
}

impl Number for usize {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let out_of_range = || "not a whole number of 0 or more".to_owned();
        match raw {
            RawValue::Integer(number) => Self::try_from(*number).map_err(|_| out_of_range()),
            RawValue::Loose(text) => text.trim().parse().map_err(|_| out_of_range()),
            other => Err(not_a("an integer", other)),
        }
    }

    fn literal(self) -> String {
        self.to_string()
    }
}

impl Number for u32 {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let number = <usize as Number>::read(raw)?;
        Self::try_from(number).map_err(|_| "too large".to_owned())
    }

    fn literal(self) -> String {
        self.to_string()
    }
}
