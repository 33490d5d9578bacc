//! Watching queues: each episode of a full queue, of publishers held back, and of drops is told once, with its numbers.
//!
//! The pulse looks at every subscription of an emitter, so nothing of this costs the publishing path more than the
//! counts that it keeps anyway. It allocates nothing and waits for nobody.

mod size;

use crate::actuate::{Peak, Sizer};
use crate::blackbox::Lag;
use crate::delivery::EmitCounts;
use crate::pulse::Tick;
use crate::sketch::Sketch;
use relay_event::{
    Code, Component, DropReason, ErrorBus, ErrorEvent, QueuePressure, Severity, Signal,
    SubscriptionId, SubscriptionMonitor,
};
use relay_forensics::Name;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A queue is saturated from here …
const SATURATED: f64 = 0.8;

/// … until it has fallen below this: without the distance a queue at the edge would be reported at every look.
const RELIEVED: f64 = 0.6;

/// An episode of back-pressure is over when no publisher was held back for so long …
const CALM: Duration = Duration::from_secs(1);

/// … and worth a warning when it has lasted as long as this.
const BLOCKED: Duration = Duration::from_secs(1);

/// Drops of one subscription and kind are told at most so often, with their number.
const DROP_PERIOD: Duration = Duration::from_secs(1);

const DROPS: [(DropReason, Code); 3] = [
    (DropReason::Oldest, Code::DropSlow),
    (DropReason::Early, Code::DropRed),
    (DropReason::Full, Code::DropFull),
];

/// Defensive mode leaves a queue so much room, unless it was told otherwise.
pub(crate) const DEFENCE_EVENTS: usize = 8;

/// What is known of one subscription.
#[derive(Debug)]
pub(crate) struct Watch {
    monitor: SubscriptionMonitor,
    /// Whether its byte bound is its share of the ledger.
    pub(crate) shares: bool,
    /// How many events it may hold.
    pub(crate) sizer: Sizer,
    /// The emitter that it feeds.
    emitter: Option<Arc<str>>,
    /// The bound in events that is in force.
    enforced_events: usize,
    /// Its share of the ledger, where that is its byte bound.
    share_bytes: Option<u64>,
    peak: Peak,
    wanted_events: Arc<AtomicU64>,
    component: Component,
    seen: QueuePressure,
    is_saturated: bool,
    episode: Option<Episode>,
    drops: [Drops; DROPS.len()],
    /// How a recording names it, and what its emitter counts.
    name: Name,
    counts: Option<Arc<EmitCounts>>,
    lag: Lag,
}

/// Publishers are held back.
#[derive(Debug, Clone, Copy)]
struct Episode {
    began: Instant,
    last: Instant,
    turned_away_before: u64,
    is_warned: bool,
}

/// What the slow laws are told of a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueReading {
    /// How full it is, from 0 to 1.
    pub(crate) occupancy: f64,
    /// Publishers were held back since the look before.
    pub(crate) held_back: bool,
    /// Publishers wait for it, rather than drop.
    pub(crate) is_reliable: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Drops {
    told: u64,
    told_at: Option<Instant>,
}

impl Watch {
    /// Of a subscription of the bus named `bus`.
    pub(crate) fn new(bus: &str, monitor: SubscriptionMonitor) -> Self {
        let id = monitor.id().number();
        let events = monitor.pressure().limit_events as usize;
        Self {
            monitor,
            shares: false,
            sizer: Sizer::fixed(events, DEFENCE_EVENTS),
            emitter: None,
            enforced_events: events,
            share_bytes: None,
            peak: Peak::default(),
            wanted_events: Arc::default(),
            component: Component::Subscription {
                bus: Arc::from(bus),
                id,
            },
            seen: QueuePressure::default(),
            is_saturated: false,
            episode: None,
            drops: [Drops::default(); DROPS.len()],
            name: Name::NONE,
            counts: None,
            lag: Lag::default(),
        }
    }

    /// The same, of an emitter that a recording names so and that counts there.
    pub(crate) fn recorded_as(mut self, name: Name, counts: Arc<EmitCounts>) -> Self {
        self.name = name;
        self.counts = Some(counts);
        self
    }

    pub(crate) fn name(&self) -> Name {
        self.name
    }

    pub(crate) fn component(&self) -> &Component {
        &self.component
    }

    /// How the queue was when it was looked at last.
    pub(crate) fn pressure(&self) -> &QueuePressure {
        &self.seen
    }

    /// How long the oldest event has waited at most, then; called once a snapshot.
    pub(crate) fn lag(&mut self, since: Duration) -> Duration {
        let (put, queued) = (self.seen.put_events, self.seen.queued_events);
        self.lag.look(since, put, queued)
    }

    pub(crate) fn durations(&self) -> Option<&Sketch> {
        self.counts.as_ref().map(|counts| &counts.durations)
    }

    pub(crate) fn is_failing(&self) -> bool {
        let counts = self.counts.as_ref();
        counts.is_some_and(|counts| counts.failing.load(Relaxed))
    }

    pub(crate) fn failures(&self) -> u64 {
        let counts = self.counts.as_ref();
        counts.map_or(0, |counts| counts.failures.load(Relaxed))
    }

    pub(crate) fn id(&self) -> SubscriptionId {
        self.monitor.id()
    }

    /// Looks at the queue and tells what has changed.
    pub(crate) fn look(&mut self, tick: &Tick, errors: &ErrorBus) {
        let pressure = self.monitor.pressure();
        self.note_peak(pressure.queued_events, tick);
        self.saturation(&pressure, tick, errors);
        self.back_pressure(&pressure, tick, errors);
        self.drops(&pressure, tick, errors);
        self.seen = pressure;
    }

    fn event(&self, code: Code, severity: Severity) -> ErrorEvent {
        ErrorEvent::new(code, severity, self.component.clone())
    }

    fn saturation(&mut self, pressure: &QueuePressure, tick: &Tick, errors: &ErrorBus) {
        let occupancy = pressure.occupancy();
        let (severity, signal) = if !self.is_saturated && occupancy > SATURATED {
            (Severity::Warning, Signal::Throttle)
        } else if self.is_saturated && occupancy < RELIEVED {
            (Severity::Info, Signal::Recovered)
        } else {
            return;
        };
        self.is_saturated = !self.is_saturated;
        let event = self.event(Code::BufferSaturated, severity).signal(signal);
        errors.publish(
            event
                .with("utilization", occupancy)
                .with("buffer_used", pressure.queued_events)
                .with("buffer_size", pressure.limit_events)
                .with("used_bytes", pressure.queued_bytes)
                .with("limit_bytes", pressure.limit_bytes)
                .with("decision", tick.number),
        );
    }

    fn back_pressure(&mut self, pressure: &QueuePressure, tick: &Tick, errors: &ErrorBus) {
        let now = tick.now;
        let held_back =
            pressure.waiting_publishers > 0 || pressure.turned_away > self.seen.turned_away;
        let Some(mut episode) = self.episode else {
            if held_back {
                self.episode = Some(Episode {
                    began: now,
                    last: now,
                    turned_away_before: self.seen.turned_away,
                    is_warned: false,
                });
                let event = self.event(Code::BackPressure, Severity::Info);
                errors.publish(
                    event
                        .signal(Signal::Throttle)
                        .with("waiting", pressure.waiting_publishers as u64)
                        .with("decision", tick.number),
                );
            }
            return;
        };
        let lasted = now.saturating_duration_since(episode.began);
        let turned_away = pressure.turned_away - episode.turned_away_before;
        if held_back {
            episode.last = now;
            if lasted > BLOCKED && !episode.is_warned {
                episode.is_warned = true;
                let event = self.event(Code::PublishBlock, Severity::Warning);
                errors.publish(
                    event
                        .signal(Signal::Throttle)
                        .with("blocked_seconds", lasted.as_secs_f64())
                        .with("turned_away", turned_away)
                        .with("decision", tick.number),
                );
            }
            self.episode = Some(episode);
        } else if now.saturating_duration_since(episode.last) >= CALM {
            self.episode = None;
            let lasted = episode.last.saturating_duration_since(episode.began);
            let event = self.event(Code::BackPressure, Severity::Info);
            errors.publish(
                event
                    .signal(Signal::Recovered)
                    .with("seconds", lasted.as_secs_f64())
                    .with("turned_away", turned_away)
                    .with("decision", tick.number),
            );
        }
    }

    fn drops(&mut self, pressure: &QueuePressure, tick: &Tick, errors: &ErrorBus) {
        let now = tick.now;
        for (index, (reason, code)) in DROPS.into_iter().enumerate() {
            let total = pressure.dropped(reason);
            let drops = &mut self.drops[index];
            let is_due = drops
                .told_at
                .is_none_or(|at| now.saturating_duration_since(at) >= DROP_PERIOD);
            if total > drops.told && is_due {
                let new = total - drops.told;
                *drops = Drops {
                    told: total,
                    told_at: Some(now),
                };
                let event = self.event(code, Severity::Error);
                errors.publish(
                    event
                        .signal(Signal::Shed)
                        .with("count", new)
                        .with("total", total)
                        .with("decision", tick.number),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
