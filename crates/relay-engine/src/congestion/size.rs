//! The size of a watched queue: what the arbiter and defensive mode do with it.

use super::{QueueReading, Watch};
use crate::actuate::Sizer;
use crate::pulse::Tick;
use relay_control::BufferInput;
use relay_event::{Bus, Code, ErrorBus, Severity};
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The size is right when the highest fill of the last minute is this; above it the sizer would grow.
const TARGET_FILL: f64 = 0.7;

impl Watch {
    /// Of the queue that feeds this emitter.
    pub(crate) fn of_emitter(mut self, id: Arc<str>) -> Self {
        self.emitter = Some(id);
        self
    }

    /// Whether the queue feeds the pool of this id.
    pub(crate) fn feeds(&self, pool: &str) -> bool {
        let pool = pool.strip_prefix("emitter:").unwrap_or(pool);
        self.emitter.as_deref() == Some(pool)
    }

    /// How many events it would have to hold for the highest load of the last half minute or minute, kept up to date.
    pub(crate) fn wanted_events(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.wanted_events)
    }

    /// How the queue stands, without telling anybody.
    pub(crate) fn reading(&self) -> QueueReading {
        let pressure = self.monitor.pressure();
        QueueReading {
            occupancy: pressure.occupancy(),
            held_back: pressure.waiting_publishers > 0
                || pressure.turned_away > self.seen.turned_away,
            is_reliable: self.monitor.is_reliable(),
        }
    }

    /// The size is another one from now on, because somebody configured it; if it is what was configured before, it goes
    /// on as it is.
    pub(crate) fn configure(&mut self, sizer: Sizer, errors: &ErrorBus) {
        if self.sizer.is_as(&sizer) {
            return;
        }
        let from = self.sizer.events();
        self.sizer = sizer;
        self.enforced_events = self.sizer.events();
        self.resized((from, self.enforced_events), "configured", None, errors);
    }

    /// One step by the law, which knows best whether it is up or down.
    pub(crate) fn resize(
        &mut self,
        pressure: Option<f64>,
        ledger_bytes: u64,
        tick: &Tick,
        errors: &ErrorBus,
    ) {
        let queue = self.monitor.pressure();
        let events = self.sizer.events() as f64;
        let input = BufferInput {
            fill: queue.queued_events as f64 / events,
            // The arbiter asks only when memory is known: without any limit nothing presses.
            pressure: Some(pressure.unwrap_or(0.0)),
            event_bytes: (queue.queued_events > 0)
                .then(|| queue.queued_bytes as f64 / queue.queued_events as f64),
            share_bytes: queue.limit_bytes.min(ledger_bytes),
        };
        if let Some(done) = self.sizer.step(&input) {
            let sizes = (done.from, done.to);
            self.resized(sizes, done.reason.as_str(), Some(tick), errors);
        }
    }

    /// One step down, because memory is critical.
    pub(crate) fn shrink(&mut self, tick: &Tick, errors: &ErrorBus) {
        if let Some(done) = self.sizer.shrink() {
            let sizes = (done.from, done.to);
            self.resized(sizes, done.reason.as_str(), Some(tick), errors);
        }
    }

    /// Defensive mode is over.
    pub(crate) fn restore(&mut self, tick: &Tick, errors: &ErrorBus) {
        if let Some(sizes) = self.sizer.restore() {
            self.resized(sizes, "released", Some(tick), errors);
        }
    }

    /// Makes the bounds what the law says they are. Nothing queued is lost. Allocates nothing: the ring was made for the
    /// largest size.
    pub(crate) fn enforce(&mut self, bus: &Bus) {
        let events = self.sizer.events();
        if events != self.enforced_events {
            self.enforced_events = events;
            bus.set_limits(self.id(), Some(events), self.byte_bound());
        }
    }

    /// Gives the queue its share of the ledger, of which it has less while it is smaller than usual.
    pub(crate) fn give(&mut self, share_bytes: u64, bus: &Bus) {
        self.share_bytes = Some(share_bytes);
        bus.set_limits(self.id(), None, self.byte_bound());
    }

    fn byte_bound(&self) -> Option<u64> {
        let share = self.share_bytes.filter(|_| self.shares)?;
        Some(((share as f64 * self.sizer.share()) as u64).max(1))
    }

    pub(super) fn note_peak(&mut self, queued_events: u64, tick: &Tick) {
        let peak = self.peak.look(queued_events, tick.now) as f64;
        self.wanted_events
            .store((peak / TARGET_FILL).ceil() as u64, Relaxed);
    }

    /// Tells that the queue now holds `to` events at most instead of `from`, and why.
    fn resized(
        &self,
        (from, to): (usize, usize),
        reason: &'static str,
        tick: Option<&Tick>,
        errors: &ErrorBus,
    ) {
        let code = match to.cmp(&from) {
            Ordering::Greater => Code::BufferGrow,
            Ordering::Less => Code::BufferShrink,
            Ordering::Equal => return,
        };
        let event = self
            .event(code, Severity::Info)
            .with("from_events", from as u64)
            .with("to_events", to as u64)
            .with("reason", reason)
            .with("wanted_events", self.wanted_events.load(Relaxed));
        errors.publish(match tick {
            Some(tick) => event.with("decision", tick.number),
            None => event,
        });
    }
}
