//! The account as it is handed out: JSON for programs, a few lines for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::LoadOptions;
use super::account::{Counts, FailureKind, Tally};

/// What was sent and what became of it: `sent = accepted + refused + failed`, in total, per phase
/// and per time bucket.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where the events went.
    pub target: String,
    /// The run's name: event ids are `<run>-<sequence>`, the source is `relay-load/<run>`.
    pub run: String,
    /// Payload bytes of each event.
    pub body_bytes: u64,
    /// Connections used.
    pub connections: usize,
    /// When the first event was due, wall clock.
    pub started_unix_ms: u64,
    /// When the first refusal was read, wall clock.
    pub first_refusal_unix_ms: Option<u64>,
    /// From the start to the last answer.
    pub elapsed_ms: u64,
    /// Everything together.
    #[serde(flatten)]
    pub total: Counts,
    /// Payload bytes of the accepted events.
    pub accepted_bytes: u64,
    /// Refusals by HTTP status.
    pub refused_by_status: BTreeMap<u16, u64>,
    /// Refusals by the `error.code` of the answer, `unnamed` without one.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Refusals with status 429 or 503 that did not say `Retry-After`.
    pub without_retry_after: u64,
    /// Failures by kind.
    pub failed_by_kind: BTreeMap<FailureKind, u64>,
    /// Latency of accepted events, from when each was due.
    pub accepted_latency: Latency,
    /// Latency of refusals, from when each was due.
    pub refused_latency: Latency,
    /// One entry a phase, in order.
    pub phases: Vec<PhaseReport>,
    /// Width of a time bucket.
    pub bucket_ms: u64,
    /// By the time an event was due; buckets in which none was due are left out.
    pub buckets: Vec<Bucket>,
}

/// Percentiles; all zero when nothing was counted.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Latency {
    /// Median.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// One phase of the load.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseReport {
    /// Rate asked for.
    pub events_per_second: f64,
    /// Length asked for.
    pub duration_ms: u64,
    /// What became of its events.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What was due in one stretch of time.
#[derive(Debug, Clone, Serialize)]
pub struct Bucket {
    /// Start of the bucket, from the start of the run.
    pub offset_ms: u64,
    /// What became of its events.
    #[serde(flatten)]
    pub counts: Counts,
}

// === impl Report ===

impl Report {
    pub(super) fn new(
        options: &LoadOptions,
        run: String,
        started_unix_ms: u64,
        elapsed: Duration,
        tally: &Tally,
    ) -> Self {
        Self {
            target: options.target.to_string(),
            run,
            body_bytes: options.body_bytes,
            connections: options.connections,
            started_unix_ms,
            first_refusal_unix_ms: tally.first_refusal_unix_ms,
            elapsed_ms: elapsed.as_millis() as u64,
            total: tally.total,
            accepted_bytes: tally.total.accepted * options.body_bytes,
            refused_by_status: tally.refused_by_status.clone(),
            refused_by_reason: tally.refused_by_reason.clone(),
            without_retry_after: tally.without_retry_after,
            failed_by_kind: tally.failed_by_kind.clone(),
            accepted_latency: Latency::of(&tally.accepted_latency_us),
            refused_latency: Latency::of(&tally.refused_latency_us),
            phases: phase_reports(options, tally),
            bucket_ms: options.bucket.as_millis() as u64,
            buckets: bucket_reports(options, tally),
        }
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> String {
        // Maps have string or integer keys and every number is finite, so this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            sent,
            accepted,
            refused,
            failed,
        } = self.total;
        let seconds = Duration::from_millis(self.elapsed_ms).as_secs_f64();
        writeln!(
            f,
            "{} to {} in {seconds:.1} s",
            plural(sent, "event"),
            self.target
        )?;
        writeln!(
            f,
            "  sent      {sent:>10} = {accepted} accepted + {refused} refused + {failed} failed"
        )?;
        writeln!(f, "  accepted  {accepted:>10}  {}", self.accepted_latency)?;
        writeln!(f, "  refused   {refused:>10}  {}", self.refused_latency)?;
        for (status, count) in &self.refused_by_status {
            writeln!(f, "    status {status:<14} {count:>10}")?;
        }
        for (reason, count) in &self.refused_by_reason {
            writeln!(f, "    reason {reason:<14} {count:>10}")?;
        }
        if self.without_retry_after > 0 {
            writeln!(
                f,
                "    without Retry-After   {:>10}",
                self.without_retry_after
            )?;
        }
        writeln!(f, "  failed    {failed:>10}")?;
        for (kind, count) in &self.failed_by_kind {
            writeln!(f, "    {:<21} {count:>10}", format!("{kind:?}"))?;
        }
        Ok(())
    }
}

// === impl Latency ===

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            p50_us: histogram.value_at_quantile(0.50),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| us as f64 / 1000.0;
        let (p50, p99, max) = (ms(self.p50_us), ms(self.p99_us), ms(self.max_us));
        write!(f, "p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms")
    }
}

fn phase_reports(options: &LoadOptions, tally: &Tally) -> Vec<PhaseReport> {
    let both = options.phases.iter().zip(&tally.phases);
    both.map(|(phase, counts)| PhaseReport {
        events_per_second: phase.rate.events_per_second(options.body_bytes),
        duration_ms: phase.duration.as_millis() as u64,
        counts: *counts,
    })
    .collect()
}

fn bucket_reports(options: &LoadOptions, tally: &Tally) -> Vec<Bucket> {
    let bucket_us = options.bucket.as_micros() as u64;
    let all = tally.buckets.iter().enumerate();
    all.filter(|(_, counts)| counts.sent > 0)
        .map(|(index, counts)| Bucket {
            offset_ms: index as u64 * bucket_us / 1000,
            counts: *counts,
        })
        .collect()
}

fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
