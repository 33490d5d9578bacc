//! The size of one queue: fixed, or between a least and a most.

use relay_control::{BufferConfig, BufferInput, BufferSize, InvalidConfig, LoadReading, Resize};
use std::time::{Duration, Instant};

/// How long a peak is remembered at least; twice as long at most.
const PEAK_WINDOW: Duration = Duration::from_secs(30);

/// The law of one queue. A queue of a fixed size gives up room in defensive mode only, and gets it back afterwards.
#[derive(Debug)]
pub(crate) struct Sizer {
    size: BufferSize,
    /// As it was configured.
    config: BufferConfig,
    fresh: BufferSize,
    is_elastic: bool,
    /// Has been made smaller in defensive mode.
    is_shrunk: bool,
}

/// The most that was queued lately.
#[derive(Debug, Default)]
pub(crate) struct Peak {
    events: u64,
    before: u64,
    since: Option<Instant>,
}

// === impl Sizer ===

impl Sizer {
    /// Of a queue whose size the law moves.
    ///
    /// # Errors
    ///
    /// When a number is out of its range.
    pub(crate) fn elastic(config: BufferConfig) -> Result<Self, InvalidConfig> {
        let size = BufferSize::try_new(config.clone())?;
        Ok(Self {
            fresh: size.clone(),
            size,
            config,
            is_elastic: true,
            is_shrunk: false,
        })
    }

    /// Of a queue of `events`, which keeps at least `min` of them whatever happens.
    pub(crate) fn fixed(events: usize, min: usize) -> Self {
        let events = events.max(1);
        let config = BufferConfig {
            min: min.clamp(1, events),
            start: events,
            max: events,
            ..BufferConfig::default()
        };
        let sizer =
            Self::elastic(config).expect("the least, first and most of one size are in order");
        Self {
            is_elastic: false,
            ..sizer
        }
    }

    pub(crate) fn events(&self) -> usize {
        self.size.events()
    }

    /// What is left of the size that it began with, at most 1.
    pub(crate) fn share(&self) -> f64 {
        (self.events() as f64 / self.config.start as f64).min(1.0)
    }

    /// The most that it may ever be, in events.
    pub(crate) fn most_events(&self) -> usize {
        self.config.max
    }

    /// Whether both were configured alike, whatever became of them since.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.config == other.config && self.is_elastic == other.is_elastic
    }

    /// For the arbiter, which may not touch a queue of a fixed size.
    pub(crate) fn load(&self, occupancy: f64) -> LoadReading {
        LoadReading {
            load: occupancy,
            can_grow: self.is_elastic && self.size.can_grow(),
            can_shrink: self.is_elastic && self.size.can_shrink(),
        }
    }

    /// One step by the law.
    pub(crate) fn step(&mut self, input: &BufferInput) -> Option<Resize> {
        self.size.step(input)
    }

    /// One step down, because memory is critical.
    pub(crate) fn shrink(&mut self) -> Option<Resize> {
        let critical = BufferInput {
            fill: 1.0,
            pressure: Some(1.0),
            event_bytes: None,
            share_bytes: u64::MAX,
        };
        self.is_shrunk = true;
        self.size.step(&critical)
    }

    /// Defensive mode is over: a fixed size is what it was, any other is left to the law. The sizes before and after, if
    /// they differ.
    pub(crate) fn restore(&mut self) -> Option<(usize, usize)> {
        if !std::mem::take(&mut self.is_shrunk) || self.is_elastic {
            return None;
        }
        let from = self.events();
        self.size = self.fresh.clone();
        (from != self.events()).then(|| (from, self.events()))
    }
}

// === impl Peak ===

impl Peak {
    /// Takes a look and answers the highest of the last half minute or minute.
    pub(crate) fn look(&mut self, queued_events: u64, now: Instant) -> u64 {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= PEAK_WINDOW {
            self.since = Some(now);
            self.before = std::mem::take(&mut self.events);
        }
        self.events = self.events.max(queued_events);
        self.events.max(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_size_shrinks_in_defence_only_and_returns() {
        let mut sizer = Sizer::fixed(18, 8);
        let load = sizer.load(0.99);
        assert!(
            !load.can_grow && !load.can_shrink,
            "no business of the arbiter"
        );
        let steps: Vec<_> = (0..4).map(|_| sizer.shrink().map(|to| to.to)).collect();
        assert_eq!(steps, [Some(13), Some(9), Some(8), None]);
        assert_eq!(sizer.restore(), Some((8, 18)));
        assert_eq!(sizer.restore(), None, "once");
    }

    #[test]
    fn an_elastic_size_is_left_to_the_law() {
        let start = 18;
        let config = BufferConfig {
            start,
            ..BufferConfig::default()
        };
        let mut sizer = Sizer::elastic(config).unwrap();
        sizer.shrink();
        assert_eq!((sizer.restore(), sizer.events()), (None, 13));
        assert!(sizer.load(0.0).can_grow && sizer.load(0.0).can_shrink);
    }

    #[test]
    fn a_queue_of_one_event_stays_one() {
        let mut sizer = Sizer::fixed(1, 8);
        assert_eq!((sizer.shrink(), sizer.events()), (None, 1));
    }

    #[test]
    fn a_peak_is_forgotten_after_half_a_minute_to_a_minute() {
        let mut peak = Peak::default();
        let start = Instant::now();
        let mut at = |second, queued| peak.look(queued, start + Duration::from_secs(second));
        assert_eq!(at(0, 3), 3);
        assert_eq!(at(20, 9), 9);
        assert_eq!(at(31, 1), 9);
        assert_eq!(at(59, 2), 9);
        assert_eq!(at(62, 1), 2);
    }
}
