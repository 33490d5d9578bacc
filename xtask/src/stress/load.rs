//! `relay load` as a child process, and the account it gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// Part of the load: payload bytes per second, for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub(super) bytes_per_second: f64,
    pub(super) duration: Duration,
}

/// A running load generator.
#[derive(Debug)]
pub(super) struct Load {
    child: Child,
    report: PathBuf,
}

/// The parts of the generator's account that scenarios look at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LoadReport {
    pub(super) started_unix_ms: f64,
    #[serde(flatten)]
    pub(super) total: Counts,
    pub(super) accepted_bytes: u64,
    pub(super) refused_by_status: BTreeMap<String, u64>,
    pub(super) without_retry_after: u64,
    pub(super) failed_by_kind: BTreeMap<String, u64>,
    pub(super) accepted_latency: Latency,
    pub(super) refused_latency: Latency,
    pub(super) bucket_ms: f64,
    pub(super) buckets: Vec<Bucket>,
}

/// sent = accepted + refused + failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
}

/// Percentiles from when events were due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "units come last in names")]
pub(super) struct Latency {
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
}

/// What was due in one stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Bucket {
    pub(super) offset_ms: f64,
    #[serde(flatten)]
    pub(super) counts: Counts,
}

// === impl Load ===

impl Load {
    /// Starts the phases towards `url`; the account will be in `folder/load.json`.
    pub(super) fn start(
        binary: &Path,
        url: &str,
        body_bytes: u64,
        phases: &[Phase],
        folder: &Path,
    ) -> Result<Self> {
        let report = folder.join("load.json");
        let [first, further @ ..] = phases else {
            bail!("no phase to send")
        };
        let mut command = Command::new(binary);
        command.args([
            "load",
            "--to",
            url,
            "--connections",
            "32",
            "--bucket",
            "20ms",
        ]);
        command.args([
            "--size",
            &format!("{body_bytes}B"),
            "--rate",
            &rate(first, body_bytes),
        ]);
        command
            .args(["--for", &millis(first)])
            .arg("--json")
            .arg(&report);
        for phase in further {
            command.args([
                "--then",
                &format!("{}:{}", rate(phase, body_bytes), millis(phase)),
            ]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(folder.join("load.log"))?)
            .spawn()
            .context("cannot start the load generator")?;
        Ok(Self { child, report })
    }

    pub(super) fn is_done(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Ends the schedule now; the account still closes.
    pub(super) fn interrupt(&mut self) -> Result<()> {
        if !self.is_done()? {
            kill_process(Pid::from_child(&self.child), Signal::INT)?;
        }
        Ok(())
    }

    /// Waits for the account.
    pub(super) fn finish(mut self) -> Result<LoadReport> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.is_done()? {
            if Instant::now() > deadline {
                bail!("the load generator does not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let text = std::fs::read_to_string(&self.report)
            .with_context(|| format!("no account in {}", self.report.display()))?;
        serde_json::from_str(&text).with_context(|| self.report.display().to_string())
    }
}

// === impl LoadReport ===

impl LoadReport {
    /// Several loads that ran side by side as one: sums, and the worst latencies. `None` of nothing.
    pub(super) fn merged(reports: Vec<Self>) -> Option<Self> {
        let mut reports = reports.into_iter();
        let mut sum = reports.next()?;
        for report in reports {
            sum.add(report);
        }
        Some(sum)
    }

    fn add(&mut self, other: Self) {
        self.started_unix_ms = self.started_unix_ms.min(other.started_unix_ms);
        self.total.add(other.total);
        self.accepted_bytes += other.accepted_bytes;
        self.without_retry_after += other.without_retry_after;
        for (status, count) in other.refused_by_status {
            *self.refused_by_status.entry(status).or_default() += count;
        }
        for (kind, count) in other.failed_by_kind {
            *self.failed_by_kind.entry(kind).or_default() += count;
        }
        self.accepted_latency = self.accepted_latency.worst(other.accepted_latency);
        self.refused_latency = self.refused_latency.worst(other.refused_latency);
        self.buckets.extend(other.buckets);
        self.buckets
            .sort_by(|a, b| a.offset_ms.total_cmp(&b.offset_ms));
        self.buckets.dedup_by(|later, sum| {
            let same = later.offset_ms == sum.offset_ms;
            if same {
                sum.counts.add(later.counts);
            }
            same
        });
    }
}

// === impl Counts ===

impl Counts {
    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.failed += other.failed;
    }
}

// === impl Latency ===

impl Latency {
    fn worst(self, other: Self) -> Self {
        Self {
            p50_us: self.p50_us.max(other.p50_us),
            p99_us: self.p99_us.max(other.p99_us),
            max_us: self.max_us.max(other.max_us),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// As events per second: exact, where bytes per second would have to be a whole number.
fn rate(phase: &Phase, body_bytes: u64) -> String {
    format!("{}/s", phase.bytes_per_second / body_bytes as f64)
}

fn millis(phase: &Phase) -> String {
    format!("{}ms", phase.duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_side_by_side_add_up_bucket_by_bucket() {
        let counts = |sent| Counts {
            sent,
            accepted: sent,
            ..Counts::default()
        };
        let report = |started_unix_ms, offsets: &[f64]| LoadReport {
            started_unix_ms,
            total: counts(offsets.len() as u64),
            accepted_bytes: 1,
            refused_by_status: BTreeMap::from([("429".to_owned(), 1)]),
            without_retry_after: 0,
            failed_by_kind: BTreeMap::new(),
            accepted_latency: Latency::default(),
            refused_latency: Latency::default(),
            bucket_ms: 20.0,
            buckets: offsets
                .iter()
                .map(|&offset_ms| Bucket {
                    offset_ms,
                    counts: counts(1),
                })
                .collect(),
        };
        let merged =
            LoadReport::merged(vec![report(5.0, &[0.0, 40.0]), report(4.0, &[0.0, 20.0])]).unwrap();
        assert_eq!((merged.started_unix_ms, merged.total.sent), (4.0, 4));
        assert_eq!(merged.refused_by_status["429"], 2);
        let buckets: Vec<_> = merged
            .buckets
            .iter()
            .map(|b| (b.offset_ms, b.counts.sent))
            .collect();
        assert_eq!(buckets, [(0.0, 2), (20.0, 1), (40.0, 1)]);
        assert!(LoadReport::merged(Vec::new()).is_none());
    }
}
