//! Moments and spans as a person reads them.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// Nanoseconds since 1970 as RFC 3339 with milliseconds; beyond the year 9999 as the bare number.
pub(crate) struct Utc(pub(crate) u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match timestamp(self.0) {
            Some(time) => write!(f, "{time:.3}"),
            None => write!(f, "{} ns", self.0),
        }
    }
}

/// `20260105T101112Z`.
pub(crate) fn compact(real_ns: u64) -> String {
    let text = format!("{:.0}", timestamp(real_ns).unwrap_or(Timestamp::UNIX_EPOCH));
    text.chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

/// `1.5 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 if self.0.as_millis() < 1 => write!(f, "{} us", self.0.as_micros()),
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..60 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            60..3600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            _ => write!(f, "{} h {} min", seconds / 3600, seconds / 60 % 60),
        }
    }
}

/// `64.0 MiB`.
pub(crate) struct Bytes(pub(crate) f64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut value = self.0;
        let mut unit = 0;
        while value.abs() >= 1024.0 && unit + 1 < units.len() {
            value /= 1024.0;
            unit += 1;
        }
        if unit == 0 {
            write!(f, "{value:.0} B")
        } else {
            write!(f, "{value:.1} {}", units[unit])
        }
    }
}

fn timestamp(real_ns: u64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(real_ns)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_spans_read_well() {
        assert_eq!(Utc(1_767_607_872_345_678_901).to_string(), "2026-01-05T10:11:12.345Z");
        assert_eq!(compact(1_767_607_872_945_678_901), "20260105T101112Z");
        assert_eq!(Utc(u64::MAX).to_string(), "2554-07-21T23:34:33.709Z");
        let span = |ms| Span(Duration::from_millis(ms)).to_string();
        assert_eq!(span(0), "0 us");
        assert_eq!(span(12), "12 ms");
        assert_eq!(span(1500), "1.5 s");
        assert_eq!(span(200_000), "3 min 20 s");
        assert_eq!(span(7_500_000), "2 h 5 min");
        assert_eq!(Bytes(512.0).to_string(), "512 B");
        assert_eq!(Bytes(67_108_864.0).to_string(), "64.0 MiB");
        assert_eq!(Bytes(1.0e18).to_string(), "909494.7 TiB");
    }
}
