//! What one run gave.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::variant::Variant;
use crate::stress::load::Counts;
use crate::stress::state::Level;

/// A run of a scenario under a variant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) scenario: String,
    pub(super) variant: Variant,
    pub(super) run: u32,
    /// Times were scaled by this; a kept result of another scale answers another question.
    pub(super) scale: f64,
    #[serde(flatten)]
    pub(super) figures: Figures,
    /// Which goals were missed.
    pub(super) failures: Vec<String>,
}

/// The figures of a run; `None` where there was nothing to measure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Figures {
    /// How the node ended, in words.
    pub(super) death: String,
    pub(super) ended_well: bool,
    /// A signal ended the node.
    pub(super) killed: bool,
    /// The kernel's count for the container.
    pub(super) oom_kills: u64,
    /// Whether the kernel took the neighbour.
    pub(super) neighbour_killed: bool,
    /// From the start of the load to an end that came by itself.
    pub(super) lived_seconds: Option<f64>,
    /// Highest working set, and highest raw usage, as shares of the limit in force.
    pub(super) peak_share: f64,
    pub(super) usage_share: f64,
    /// Delivered during the first overload ÷ what the capacity allows.
    pub(super) goodput: Option<f64>,
    /// p95 − p5 in the second half of the first overload: of the limit; in points.
    pub(super) memory_swing: Option<f64>,
    pub(super) admission_swing: Option<f64>,
    /// From the begin of the overload to the first knob turned or event refused.
    pub(super) first_action_ms: Option<f64>,
    /// From the crossing of the level warning, as seen from outside, to the event that tells it.
    pub(super) told_ms: Option<f64>,
    /// From that event to a death, and how much of the limit was free then.
    pub(super) lead_seconds: Option<f64>,
    pub(super) lead_room: Option<f64>,
    /// Codes of all that the node told, each once.
    pub(super) codes: Vec<String>,
    /// From the crossing of a threshold to the first refusal, as the node notes it.
    pub(super) first_refusal_ms: Option<f64>,
    /// The longest time for which its threads waited for a processor, all together.
    #[serde(default)]
    pub(super) held_up_ms: f64,
    /// From the begin of the overload to the last window of admission, or mean of memory, outside its final band.
    pub(super) steady_ms: Option<f64>,
    pub(super) memory_steady_ms: Option<f64>,
    /// From the last fall of the load to 95 % admission.
    pub(super) recovery_ms: Option<f64>,
    pub(super) highest_level: Option<Level>,
    /// Processor time of the node for each event sent to it.
    pub(super) cpu_us_per_event: Option<f64>,
    pub(super) load: Counts,
    pub(super) without_retry_after: u64,
    pub(super) failed_by_kind: BTreeMap<String, u64>,
    pub(super) account_gaps: Vec<String>,
    /// For each payload size: growth of memory ÷ payload held.
    pub(super) amplification: Vec<(u64, f64)>,
    /// How long each new limit took to be known.
    pub(super) limits_seen_ms: Vec<Option<f64>>,
    /// Share of its queue that the node gave back to a neighbour.
    pub(super) yielded: Option<f64>,
    pub(super) rests: Vec<Rest>,
}

/// The load at rest after an overload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rest {
    /// In its second half.
    pub(super) admitted: f64,
    /// At its end.
    pub(super) level: Option<Level>,
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn name(&self) -> String {
        format!("{}-{}-{}", self.scenario, self.variant.name(), self.run)
    }

    /// The run in a line.
    pub(super) fn line(&self) -> String {
        let verdict = if self.failures.is_empty() {
            "ok".to_owned()
        } else {
            self.failures.join(", ")
        };
        format!(
            "{:32} {:22} peak {:.2}  {verdict}",
            self.name(),
            self.figures.death,
            self.figures.peak_share
        )
    }
}

/// Figures that reach every goal of a node that lives.
#[cfg(test)]
pub(super) fn sample_figures() -> Figures {
    Figures {
        death: "alive, drained".to_owned(),
        ended_well: true,
        killed: false,
        oom_kills: 0,
        neighbour_killed: false,
        lived_seconds: None,
        peak_share: 0.6,
        usage_share: 0.99,
        goodput: Some(0.99),
        memory_swing: Some(0.01),
        admission_swing: Some(3.0),
        first_action_ms: Some(12.0),
        told_ms: Some(20.0),
        lead_seconds: None,
        lead_room: None,
        codes: vec!["DROP_RED".to_owned(), "GOVERNOR_SCALE".to_owned()],
        first_refusal_ms: Some(2.0),
        held_up_ms: 12.0,
        steady_ms: Some(400.0),
        memory_steady_ms: Some(4000.0),
        recovery_ms: Some(40.0),
        highest_level: Some(Level::Normal),
        cpu_us_per_event: Some(30.0),
        load: Counts {
            sent: 10,
            accepted: 10,
            refused: 0,
            failed: 0,
        },
        without_retry_after: 0,
        failed_by_kind: BTreeMap::new(),
        account_gaps: Vec::new(),
        amplification: vec![(1 << 10, 1.9), (1 << 20, 1.1)],
        limits_seen_ms: vec![Some(20.0)],
        yielded: Some(0.5),
        rests: vec![Rest {
            admitted: 1.0,
            level: Some(Level::Normal),
        }],
    }
}
