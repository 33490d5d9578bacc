//! The text of a pressure file.
//!
//! ```text
//! some avg10=0.20 avg60=0.07 avg300=0.01 total=4497776
//! full avg10=0.00 avg60=0.00 avg300=0.00 total=3116197
//! ```
//!
//! `some` is time in which at least one task waited, `full` time in which all did and nothing useful ran.
//! Averages are percent with two digits, renewed every 2 s; the total is in microseconds and exact when
//! read. Kernels before 5.13 print no `full` for processors. Source: kernel `accounting/psi`.

use std::time::Duration;

use crate::text;

/// The averages are printed in hundredths of a percent: this many make the whole.
const WHOLE: u64 = 10_000;

/// One line: the share of time lost, as a **ratio**, so that 20 % is `0.20`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Stall {
    /// Over the last 10 s, from 0 to 1.
    pub avg10: f64,
    /// Over the last 60 s, from 0 to 1.
    pub avg60: f64,
    /// Over the last 300 s, from 0 to 1.
    pub avg300: f64,
    /// All time lost since the group was made or the system started.
    pub total: Duration,
}

/// A pressure file. A line that is missing or not understood is `None`: unknown, not zero.
///
/// ```
/// use relay_sense::Psi;
///
/// let psi = Psi::parse(b"some avg10=20.00 avg60=7.50 avg300=1.25 total=4497776\n");
/// let some = psi.some.expect("the line is there");
/// assert_eq!(some.avg10, 0.20);
/// assert_eq!(some.total.as_micros(), 4_497_776);
/// assert_eq!(psi.full, None);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Psi {
    /// At least one task waited.
    pub some: Option<Stall>,
    /// All tasks that had something to do waited.
    pub full: Option<Stall>,
}

// === impl Psi ===

impl Psi {
    /// Reads the text of a pressure file, allocating nothing. Keys may come in any order and more may
    /// be added; each line needs the four above.
    pub fn parse(text: &[u8]) -> Self {
        let mut psi = Self::default();
        for (kind, rest) in text::lines(text).filter_map(text::pair) {
            match kind {
                b"some" => psi.some = Stall::parse(rest),
                b"full" => psi.full = Stall::parse(rest),
                _ => {}
            }
        }
        psi
    }
}

// === impl Stall ===

impl Stall {
    fn parse(line: &[u8]) -> Option<Self> {
        let (mut avg10, mut avg60, mut avg300, mut total) = (None, None, None, None);
        for word in line.split(|byte| *byte == b' ') {
            let equals = word.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (&word[..equals], &word[equals + 1..]);
            match key {
                b"avg10" => avg10 = Some(ratio(value)?),
                b"avg60" => avg60 = Some(ratio(value)?),
                b"avg300" => avg300 = Some(ratio(value)?),
                b"total" => total = Some(Duration::from_micros(text::number(value)?)),
                _ => {}
            }
        }
        Some(Self {
            avg10: avg10?,
            avg60: avg60?,
            avg300: avg300?,
            total: total?,
        })
    }
}

/// A percentage with two digits, as a ratio that equals the literal of that value: `20.00` is `0.2`.
/// Rounding in the kernel can print slightly more than 100; more than double that is no percentage.
fn ratio(percent: &[u8]) -> Option<f64> {
    let point = percent.iter().position(|byte| *byte == b'.')?;
    let (whole, fraction) = (&percent[..point], &percent[point + 1..]);
    if fraction.len() != 2 {
        return None;
    }
    let hundredths = text::number(whole)?
        .checked_mul(100)?
        .checked_add(text::number(fraction)?)?;
    (hundredths <= 2 * WHOLE).then(|| hundredths.min(WHOLE) as f64 / WHOLE as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn k01_both_lines_with_all_fields() {
        let psi = Psi::parse(
            b"some avg10=0.20 avg60=0.07 avg300=0.01 total=4497776\n\
              full avg10=0.00 avg60=0.00 avg300=0.00 total=3116197\n",
        );
        let some = Stall {
            avg10: 0.0020,
            avg60: 0.0007,
            avg300: 0.0001,
            total: Duration::from_micros(4_497_776),
        };
        assert_eq!(psi.some, Some(some));
        assert_eq!(psi.full.unwrap().total, Duration::from_micros(3_116_197));
    }

    #[test]
    fn k02_twenty_percent_is_a_fifth_and_exactly_so() {
        let avg10 = |percent: &str| {
            let line = format!("some avg10={percent} avg60=0.00 avg300=0.00 total=0\n");
            Psi::parse(line.as_bytes()).some.map(|some| some.avg10)
        };
        let threshold = 0.20;
        assert!(avg10("19.99").unwrap() < threshold);
        assert_eq!(avg10("20.00"), Some(threshold));
        assert!(avg10("20.01").unwrap() > threshold);
        assert_eq!(avg10("100.00"), Some(1.0));
        assert_eq!(avg10("100.01"), Some(1.0), "the kernel's rounding");
    }

    #[test]
    fn what_is_missing_or_broken_is_unknown() {
        let whole = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1";
        assert!(Psi::parse(whole.as_bytes()).some.is_some(), "no newline");
        assert!(
            Psi::parse(format!("{whole} new=1\n").as_bytes())
                .some
                .is_some()
        );
        for broken in [
            "",
            "some\n",
            "some avg10=0.00 avg60=0.00 avg300=0.00\n",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=-1\n",
            "some avg10=0.0 avg60=0.00 avg300=0.00 total=1\n",
            "some avg10=nan avg60=0.00 avg300=0.00 total=1\n",
            "some avg10=0,00 avg60=0.00 avg300=0.00 total=1\n",
            "some avg10=1000.00 avg60=0.00 avg300=0.00 total=1\n",
            "sometimes avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
        ] {
            assert_eq!(Psi::parse(broken.as_bytes()), Psi::default(), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse(text in any::<Vec<u8>>()) {
            let _ = Psi::parse(&text);
        }

        #[test]
        fn what_the_kernel_prints_comes_back(hundredths in 0_u64..=10_000, total: u64) {
            let (whole, rest) = (hundredths / 100, hundredths % 100);
            let line = format!("full avg10=0.00 avg60={whole}.{rest:02} avg300=0.00 total={total}\n");
            let full = Psi::parse(line.as_bytes()).full.unwrap();
            prop_assert_eq!(full.avg60, hundredths as f64 / 10_000.0);
            prop_assert_eq!(full.total, Duration::from_micros(total));
        }
    }
}
