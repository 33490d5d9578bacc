//! When each event is due: pure arithmetic, no clock.

use std::time::Duration;

use super::Phase;

/// The events of all phases in the order they are due.
#[derive(Debug)]
pub(super) struct Schedule {
    stretches: Vec<Stretch>,
    current: usize,
    issued: u64,
    sequence: u64,
}

/// One event: when, counted from the start of the run, and in which phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) due: Duration,
    pub(super) phase: usize,
    pub(super) sequence: u64,
}

#[derive(Debug)]
struct Stretch {
    start: Duration,
    events_per_second: f64,
    events: u64,
}

// === impl Schedule ===

impl Schedule {
    pub(super) fn new(phases: &[Phase], body_bytes: u64) -> Self {
        let mut start = Duration::ZERO;
        let stretches = phases
            .iter()
            .map(|phase| {
                let events_per_second = phase.rate.events_per_second(body_bytes);
                let events = (events_per_second * phase.duration.as_secs_f64()).round() as u64;
                let stretch = Stretch {
                    start,
                    events_per_second,
                    events,
                };
                start = start.saturating_add(phase.duration);
                stretch
            })
            .collect();
        Self {
            stretches,
            current: 0,
            issued: 0,
            sequence: 0,
        }
    }

    /// When the next event is due; `None` after the last one.
    pub(super) fn next_due(&mut self) -> Option<Duration> {
        while self.stretches.get(self.current)?.events == self.issued {
            self.current += 1;
            self.issued = 0;
        }
        let stretch = self.stretches.get(self.current)?;
        let offset = self.issued as f64 / stretch.events_per_second;
        Some(stretch.start + Duration::from_secs_f64(offset))
    }

    /// Takes the next event if it is due by `elapsed`.
    pub(super) fn take(&mut self, elapsed: Duration) -> Option<Slot> {
        let due = self.next_due().filter(|due| *due <= elapsed)?;
        let slot = Slot {
            due,
            phase: self.current,
            sequence: self.sequence,
        };
        self.issued += 1;
        self.sequence += 1;
        Some(slot)
    }
}
