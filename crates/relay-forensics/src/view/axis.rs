//! Where an axis has its lines, and what stands there: numbers that a person would choose.
//!
//! The step is the smallest of 1, 2, 5 × 10ⁿ (for bytes: of powers of two) that gives at most five lines; Heckbert, *Nice
//! Numbers for Graph Labels* (Graphics Gems, 1990), without its extension of the range.

use super::answers::quantity;
use crate::{schema::Unit, time::Bytes};

/// Lines beside the zero.
const LINES_MAX: f64 = 5.0;

/// Values from zero up to `top`, at round steps. A top that is not a positive number has none but zero.
pub(super) fn lines(top: f64, unit: Unit) -> Vec<f64> {
    if !(top.is_finite() && top > 0.0) {
        return vec![0.0];
    }
    let step = step(top / LINES_MAX, unit);
    // At most five by the choice of the step, whatever becomes of the last digit.
    let count = (top / step).floor().min(LINES_MAX) as u32;
    (0..=count).map(|index| f64::from(index) * step).collect()
}

/// The smallest round number that is not below `least`.
fn step(least: f64, unit: Unit) -> f64 {
    if matches!(unit, Unit::Bytes | Unit::BytesPerSecond) {
        return least.log2().ceil().exp2();
    }
    let scale = 10.0_f64.powf(least.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * scale);
    let fits = round.into_iter().find(|step| *step >= least * (1.0 - 1e-9));
    fits.unwrap_or(least)
}

/// A value with its unit, as short as can be.
pub(super) fn label(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => Bytes(value).to_string().replace(".0 ", " "),
        Unit::BytesPerSecond => label(value, Unit::Bytes) + "/s",
        Unit::Microseconds if value >= 1e6 => format!("{} s", plain(value / 1e6)),
        Unit::Microseconds if value >= 1e3 => format!("{} ms", plain(value / 1e3)),
        Unit::Microseconds => format!("{} µs", plain(value)),
        Unit::Seconds => format!("{} s", plain(value)),
        Unit::Ratio | Unit::Count | Unit::Code => plain(value),
        unit => quantity(value, unit),
    }
}

/// At most three digits behind the point, and none that are zero.
fn plain(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_at_round_numbers() {
        assert_eq!(lines(67.2, Unit::Count), [0.0, 20.0, 40.0, 60.0]);
        let mib = f64::from(1 << 20);
        let found = lines(67.2 * mib, Unit::Bytes);
        let labels: Vec<_> = found
            .iter()
            .map(|value| label(*value, Unit::Bytes))
            .collect();
        assert_eq!(labels, ["0 B", "16 MiB", "32 MiB", "48 MiB", "64 MiB"]);
        assert_eq!(label(45_600.0, Unit::Microseconds), "45.6 ms");
        assert_eq!(label(0.25, Unit::Ratio), "0.25");
    }

    #[test]
    fn any_top_is_answered_with_a_few_lines() {
        for top in [
            0.0,
            -1.0,
            f64::NAN,
            f64::INFINITY,
            f64::MIN_POSITIVE,
            5e-324,
            1e-9,
            1.0,
            f64::MAX,
        ] {
            for unit in [Unit::Count, Unit::Bytes, Unit::Seconds] {
                let lines = lines(top, unit);
                assert!((1..=6).contains(&lines.len()), "{top} {unit:?}: {lines:?}");
                assert!(
                    lines.iter().all(|line| line.is_finite()),
                    "{top} {unit:?}: {lines:?}"
                );
            }
        }
    }
}
