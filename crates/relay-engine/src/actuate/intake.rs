//! What came in against what was offered, for the detector of latch-ups.

use super::Situation;
use crate::ingest::Ingest;
use relay_control::{LatchUpInput, Reading};
use std::time::{Duration, Instant};

/// Long enough that some events fall into it, and a tenth of the detector's patience.
const WINDOW: Duration = Duration::from_secs(1);

/// Counts over windows of a second.
pub(crate) struct Intake {
    ingests: Vec<Ingest>,
    seen: Option<Seen>,
}

/// The totals at the begin of the window.
#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Instant,
    received: u64,
    accepted: u64,
    /// Accounted bytes that came in: what has left, and what is still here.
    bytes: u64,
}

impl Intake {
    pub(crate) fn new(ingests: Vec<Ingest>) -> Self {
        Self {
            ingests,
            seen: None,
        }
    }

    /// The admitted share is `None` between the ends of two windows, and when nothing was offered.
    pub(crate) fn look(
        &mut self,
        situation: &Situation<'_>,
        pressure: Option<f64>,
        now: Instant,
    ) -> LatchUpInput {
        let limit_bytes = match situation.memory {
            Reading::Known(memory) => memory.steering_limit_bytes().max(1),
            Reading::Unknown | Reading::NoLimit => 0,
        };
        LatchUpInput {
            admitted_share: self.admitted_share(situation, now),
            live_share: situation
                .live_bytes
                .filter(|_| limit_bytes > 0)
                .map(|live| live as f64 / limit_bytes as f64),
            pressure,
        }
    }

    fn admitted_share(&mut self, situation: &Situation<'_>, now: Instant) -> Option<f64> {
        let begun = self.seen.map(|seen| seen.at);
        if begun.is_some_and(|at| now.saturating_duration_since(at) < WINDOW) {
            return None;
        }
        let (received, accepted) = self
            .ingests
            .iter()
            .map(Ingest::stats)
            .fold((0, 0), |(received, accepted), stats| {
                (received + stats.received, accepted + stats.accepted)
            });
        let fresh = Seen {
            at: now,
            received,
            accepted,
            bytes: situation.delivered_bytes + situation.ledger_used_bytes,
        };
        let seen = self.seen.replace(fresh)?;
        let offered = fresh.received - seen.received;
        if offered == 0 {
            return None;
        }
        let of_offered = (fresh.accepted - seen.accepted) as f64 / offered as f64;
        let seconds = now.saturating_duration_since(seen.at).as_secs_f64();
        let drained = situation
            .decision
            .drain_bytes_per_second
            .unwrap_or(f64::INFINITY)
            * seconds;
        let of_drained = fresh.bytes.saturating_sub(seen.bytes) as f64 / drained.max(1.0);
        // Of the smaller of the two: the larger share.
        Some(of_offered.max(of_drained))
    }
}
