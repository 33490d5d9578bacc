//! Quantiles of what was measured.

/// The value below which a share of them lies, between two neighbours in proportion; `None` of none.
///
/// Hyndman and Fan, *Sample Quantiles in Statistical Packages* (1996), type 7.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = values.len().checked_sub(1)? as f64 * share.clamp(0.0, 1.0);
    let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// p95 − p5; `None` of none.
pub(crate) fn swing(mut values: Vec<f64>) -> Option<f64> {
    Some(quantile(&mut values, 0.95)? - quantile(&mut values, 0.05)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_one_bad_value() {
        assert_eq!(median(&mut [10.0, 99.0, 11.0]), Some(11.0));
        assert_eq!(median(&mut [12.0, 10.0]), Some(11.0));
        assert_eq!(median(&mut []), None);
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let mut values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.0), Some(0.0));
        assert_eq!(quantile(&mut values, 0.905), Some(90.5));
        assert_eq!(quantile(&mut values, 1.0), Some(100.0));
        assert_eq!(swing(values), Some(90.0));
    }
}
