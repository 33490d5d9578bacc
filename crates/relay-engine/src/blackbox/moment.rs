//! What the pulse has at hand when a snapshot is due.

use crate::congestion::Watch;
use crate::ingest::{Ingest, RefusalReason};
use crate::knobs::Knobs;
use relay_control::{Decision, Outlook};
use relay_event::{DropReason, Reason};
use relay_forensics::Name;
use relay_forensics::standard::{EMITTERS, HOLDERS};
use relay_sense::{PressureSample, Sample};
use std::time::Duration;

/// One tick, with everything that it saw and decided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'a> {
    /// Since the engine started.
    pub(crate) since: Duration,
    pub(crate) sample: &'a Sample,
    pub(crate) decision: &'a Decision,
    pub(crate) outlook: Outlook,
    pub(crate) stall: Option<PressureSample>,
    pub(crate) knobs: &'a Knobs,
    /// `None` while a queue is being added.
    pub(crate) queues: Option<Queues>,
    /// How long emitting took of late: median and 99th percentile, in microseconds.
    pub(crate) emitting: Option<(f32, f32)>,
}

/// All queues of emitters in a few numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Queues {
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) oldest: Duration,
    pub(super) delivered: u64,
    pub(super) full: u64,
    pub(super) early: u64,
    pub(super) slow: u64,
    pub(super) other: u64,
    /// Largest first.
    pub(super) holders: [Option<(Name, u64)>; HOLDERS],
    pub(super) emitters: [Option<EmitterLine>; EMITTERS],
}

#[derive(Debug, Clone, Copy)]
pub(super) struct EmitterLine {
    pub(super) name: Name,
    pub(super) is_failing: bool,
    pub(super) failures: u64,
    pub(super) lag: Duration,
}

/// What came in over all adapters.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Incoming {
    pub(super) accepted: u64,
    pub(super) refused_rate: u64,
    pub(super) refused_size: u64,
    pub(super) refused_busy: u64,
}

// === impl Queues ===

impl Queues {
    /// Looks at every queue once.
    pub(crate) fn of(since: Duration, watches: &mut [Watch]) -> Self {
        let mut queues = Self::default();
        for (index, watch) in watches.iter_mut().enumerate() {
            let lag = watch.lag(since);
            let pressure = watch.pressure();
            queues.events += pressure.queued_events;
            queues.bytes += pressure.queued_bytes;
            queues.oldest = queues.oldest.max(lag);
            queues.delivered += pressure.delivered_events;
            for reason in DropReason::ALL {
                *queues.drops(reason) += pressure.dropped(reason);
            }
            queues.hold(watch.name(), pressure.queued_bytes);
            if let Some(line) = queues.emitters.get_mut(index) {
                *line = Some(EmitterLine {
                    name: watch.name(),
                    is_failing: watch.is_failing(),
                    failures: watch.failures(),
                    lag,
                });
            }
        }
        queues
    }

    fn drops(&mut self, reason: DropReason) -> &mut u64 {
        match reason {
            DropReason::Full => &mut self.full,
            DropReason::Early => &mut self.early,
            DropReason::Oldest => &mut self.slow,
            _ => &mut self.other,
        }
    }

    /// Takes its place among the largest; the smallest of them goes.
    pub(super) fn hold(&mut self, name: Name, bytes: u64) {
        let mut next = Some((name, bytes)).filter(|(_, bytes)| *bytes > 0);
        for place in &mut self.holders {
            let size = |holder: &Option<(Name, u64)>| holder.map_or(0, |(_, bytes)| bytes);
            if size(&next) > size(place) {
                std::mem::swap(place, &mut next);
            }
        }
    }
}

// === impl Incoming ===

impl Incoming {
    pub(super) fn of(ingests: &[Ingest]) -> Self {
        let mut sum = Self::default();
        for ingest in ingests {
            let stats = ingest.stats();
            sum.accepted += stats.accepted;
            for (reason, count) in stats.refusals() {
                match reason {
                    RefusalReason::Gate(Reason::Rate | Reason::Priority) => {
                        sum.refused_rate += count;
                    }
                    RefusalReason::Gate(Reason::TooLarge) | RefusalReason::BodyTooLarge => {
                        sum.refused_size += count;
                    }
                    RefusalReason::Gate(_) | RefusalReason::QueueFull | RefusalReason::Closed => {
                        sum.refused_busy += count;
                    }
                    // Not for want of anything here: the sender's own doing.
                    RefusalReason::Invalid
                    | RefusalReason::Slow
                    | RefusalReason::Aborted
                    | RefusalReason::Unsupported => {}
                }
            }
        }
        sum
    }
}
