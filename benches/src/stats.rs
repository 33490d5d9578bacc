//! Order statistics of repeated measurements: on a shared machine the mean belongs to whoever disturbed the run.

use serde::Serialize;

/// What the rounds of one measurement came to, in the unit of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Half of the rounds were at or below this.
    pub median: f64,
    /// The 10th percentile.
    pub p10: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The smallest.
    pub min: f64,
    /// How many rounds there were.
    pub rounds: usize,
}

impl Summary {
    /// Summarises at least one round; `None` without any.
    pub fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            p10: quantile(&sorted, 0.1)?,
            p90: quantile(&sorted, 0.9)?,
            min: *sorted.first()?,
            rounds: sorted.len(),
        })
    }
}

/// The `q`-quantile of ascending values, interpolated linearly between neighbours (type 7 of Hyndman and Fan, 1996:
/// what R and `NumPy` do by default). `q` is clamped to 0 … 1; `None` without values.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = q.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let weight = position - below as f64;
    Some(sorted[below] + (sorted[above] - sorted[below]) * weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_disturbed_round_moves_no_median() {
        let summary = Summary::of(&[3.0, 1.0, 2.0, 4.0, 1e9]).unwrap();
        assert_eq!(summary.median, 3.0);
        assert_eq!(summary.min, 1.0);
        assert_eq!(summary.rounds, 5);
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let sorted = [0.0, 10.0, 20.0, 30.0, 40.0];
        assert_eq!(quantile(&sorted, 0.1), Some(4.0));
        assert_eq!(quantile(&sorted, 0.5), Some(20.0));
        assert_eq!(quantile(&sorted, 0.9), Some(36.0));
        assert_eq!(quantile(&sorted, 2.0), Some(40.0));
        assert_eq!(quantile(&[7.0], 0.9), Some(7.0));
    }

    #[test]
    fn nothing_measured_is_no_summary() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(quantile(&[], 0.5), None);
    }
}
