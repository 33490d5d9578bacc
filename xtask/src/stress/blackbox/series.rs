//! Many kills from outside, each at another moment of back-to-back recording.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use relay_forensics::Cause;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::judge;
use crate::stress::container::{self, Exit};

/// Moments are spread over this time, which is a few laps of the rings.
const SPREAD: Duration = Duration::from_millis(15);

/// A process without memory to give back is gone at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of the series.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) kills: u32,
    pub(super) torn: usize,
    /// From the last record to the signal, sorted.
    pub(super) gaps_us: Vec<i64>,
    /// What was wrong, at most a few.
    pub(super) failures: Vec<String>,
}

/// Kills the program so many times.
pub(super) fn run(program: &Path, out: &Path, kills: u32) -> Result<Series> {
    let folder = out.join("kill-9");
    container::fresh(&folder)?;
    let mut series = Series {
        kills,
        ..Series::default()
    };
    for round in 0..kills {
        match one(program, &folder, round) {
            Ok((gap_us, torn)) => {
                series.gaps_us.push(gap_us);
                series.torn += torn;
            }
            Err(error) => series.failures.push(format!("kill {round}: {error:#}")),
        }
        if series.failures.len() > 5 {
            bail!("{}", series.failures.join("\n  "));
        }
    }
    series.gaps_us.sort_unstable();
    if series.failures.is_empty() {
        std::fs::remove_dir_all(folder)?;
    }
    println!("{}", series.line());
    Ok(series)
}

fn one(program: &Path, folder: &Path, round: u32) -> Result<(i64, usize)> {
    let mut body = Body::free(program, &["--churn"], folder)?;
    // Another part of a lap each time; the multiplier is Knuth's, for an even spread.
    let part = u64::from(round.wrapping_mul(2_654_435_761)) % SPREAD.as_micros() as u64;
    std::thread::sleep(Duration::from_micros(part));
    let killed_ns = body.kill()?;
    let (_, exit) = body.wait(PATIENCE)?;
    ensure!(exit == Exit::Signal(9), "ended with {exit}");
    let path = body.recording.clone();
    drop(body);
    let (recording, found) = judge::recording(&path)?;
    let verdict = recording.verdict();
    ensure!(verdict.cause == Cause::Killed, "the verdict is: {verdict}");
    // It goes on between the clock's reading here and the signal.
    Ok((((killed_ns - found.last_ns) / 1000).max(0), found.torn))
}

// === impl Series ===

impl Series {
    pub(super) fn line(&self) -> String {
        format!(
            "kill -9, {} times: {} wrong, {} torn slots, all found; last record before the signal: median {} µs, p90 {} µs, max {} µs",
            self.kills,
            self.failures.len(),
            self.torn,
            quantile(&self.gaps_us, 0.5),
            quantile(&self.gaps_us, 0.9),
            quantile(&self.gaps_us, 1.0),
        )
    }
}

/// Of sorted values; 0 of none.
pub(super) fn quantile(sorted: &[i64], share: f64) -> i64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * share).round() as usize)
        .copied()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_there() {
        assert_eq!(quantile(&[], 0.5), 0);
        assert_eq!(quantile(&[1, 2, 30], 0.5), 2);
        assert_eq!(quantile(&[1, 2, 30], 1.0), 30);
    }
}
