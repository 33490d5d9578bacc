//! A cell of the table and what a run of it gave.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Setup;
use crate::stress::load::{Counts, Latency};
use crate::units::{ByteRate, Bytes, Times};

/// One combination of what is varied.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// The container's memory limit.
    pub(crate) limit: Bytes,
    /// Load as a multiple of the capacity.
    pub(crate) rate: Times,
    /// Payload of an event.
    pub(crate) body: Bytes,
    /// Whether the node controls itself (`enforce`) or not (`off`).
    pub(crate) protection: bool,
}

/// What one run gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunResult {
    pub(crate) cell: Cell,
    pub(crate) run: u32,
    pub(crate) capacity: ByteRate,
    /// Length of the overload asked for.
    pub(crate) duration: Duration,
    /// How the node ended, in words.
    pub(crate) death: String,
    /// It drained after SIGTERM and returned 0.
    pub(crate) ended_well: bool,
    /// The kernel's counter.
    pub(crate) oom_kills: u64,
    /// From the start of the load to the node's end, when that came by itself.
    pub(crate) lived: Option<Duration>,
    pub(crate) peak_usage_bytes: u64,
    pub(crate) peak_working_set_bytes: u64,
    /// Growth of the working set ÷ payload held, where the working set was highest.
    pub(crate) amplification: Option<f64>,
    /// Payload delivered during the overload ÷ what the capacity allows in that time.
    pub(crate) goodput: f64,
    pub(crate) load: Counts,
    pub(crate) refused_by_status: BTreeMap<String, u64>,
    pub(crate) failed_by_kind: BTreeMap<String, u64>,
    pub(crate) without_retry_after: u64,
    pub(crate) accepted_latency: Latency,
    pub(crate) refused_latency: Latency,
    /// From the crossing of a threshold to the first refusal.
    pub(crate) first_refusal_ms: Option<f64>,
    /// From the fall of the load to 95 % admission.
    pub(crate) recovery_ms: Option<f64>,
    /// What does not add up; empty when the account is closed.
    pub(crate) account_gaps: Vec<String>,
    /// Which goals were missed.
    pub(crate) failures: Vec<String>,
}

// === impl Cell ===

impl Cell {
    pub(crate) fn name(&self) -> String {
        let protection = if self.protection { "on" } else { "off" };
        format!("{}-{}-{}-{protection}", self.limit, self.rate, self.body)
    }

    pub(crate) fn load_bytes_per_second(&self, capacity: ByteRate) -> f64 {
        self.rate.0 * capacity.0 as f64
    }

    /// How long the overload lasts. Without protection long enough for twice the limit to pile
    /// up, because only a kill makes the comparison; it ends there anyway.
    pub(crate) fn overload_duration(&self, setup: &Setup) -> Duration {
        let excess = self.load_bytes_per_second(setup.capacity) - setup.capacity.0 as f64;
        if self.protection || excess <= 0.0 {
            return setup.duration;
        }
        let seconds = 2.0 * self.limit.0 as f64 / excess;
        setup
            .duration
            .max(Duration::from_secs_f64(seconds.min(600.0)))
    }
}

// === impl RunResult ===

impl RunResult {
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.cell.name(), self.run)
    }

    pub(crate) fn peak_share(&self) -> f64 {
        self.peak_working_set_bytes as f64 / self.cell.limit.0 as f64
    }

    /// Whether this kept result answers what the present call asks.
    pub(crate) fn fits(&self, setup: &Setup) -> bool {
        self.capacity == setup.capacity && self.duration == setup.duration
    }

    /// The run in a line.
    pub(crate) fn line(&self) -> String {
        let verdict = if self.failures.is_empty() {
            "ok".to_owned()
        } else {
            self.failures.join(", ")
        };
        format!(
            "{:24} {:28} peak {:.2}  goodput {:.2}  {verdict}",
            self.name(),
            self.death,
            self.peak_share(),
            self.goodput,
        )
    }
}

/// A run that reached every goal.
#[cfg(test)]
pub(crate) fn sample_result() -> RunResult {
    let cell = Cell {
        limit: Bytes(64 << 20),
        rate: Times(10.0),
        body: Bytes(1024),
        protection: true,
    };
    RunResult {
        cell,
        run: 1,
        capacity: ByteRate(1 << 20),
        duration: Duration::from_secs(20),
        death: "drained, exit 0".to_owned(),
        ended_well: true,
        oom_kills: 0,
        lived: None,
        peak_usage_bytes: 40 << 20,
        peak_working_set_bytes: 40 << 20,
        amplification: Some(1.3),
        goodput: 0.99,
        load: Counts {
            sent: 10,
            accepted: 7,
            refused: 3,
            failed: 0,
        },
        refused_by_status: BTreeMap::from([("429".to_owned(), 3)]),
        failed_by_kind: BTreeMap::new(),
        without_retry_after: 0,
        accepted_latency: Latency {
            p50_us: 400,
            p99_us: 2_000,
            max_us: 9_000,
        },
        refused_latency: Latency {
            p50_us: 300,
            p99_us: 1_500,
            max_us: 8_000,
        },
        first_refusal_ms: Some(3.0),
        recovery_ms: Some(40.0),
        account_gaps: Vec::new(),
        failures: Vec::new(),
    }
}
