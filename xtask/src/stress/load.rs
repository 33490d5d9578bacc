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
