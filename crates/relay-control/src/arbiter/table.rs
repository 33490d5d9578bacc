//! The readings of actuators of one kind, and when each moved last.

use std::time::Duration;

use super::LoadReading;

/// A bounded number of actuators, by number.
#[derive(Debug, Clone)]
pub(super) struct Table<const N: usize> {
    rows: Box<[Row; N]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Row {
    reading: Option<(LoadReading, Duration)>,
    up_at: Option<Duration>,
    down_at: Option<Duration>,
}

/// How long each direction waits, and from when a reading is too old, as of now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cooldowns {
    pub(super) up: Duration,
    pub(super) down: Duration,
    pub(super) expiry: Duration,
    pub(super) now: Duration,
}

impl<const N: usize> Table<N> {
    pub(super) fn new() -> Self {
        Self {
            rows: Box::new([Row::default(); N]),
        }
    }

    pub(super) fn note(&mut self, index: usize, reading: LoadReading, now: Duration) {
        if let Some(row) = self.rows.get_mut(index) {
            row.reading = Some((reading, now));
        }
    }

    /// The highest load and the mean of those that are fresh; 0 without any.
    pub(super) fn highest_and_mean(&self, fresh: &impl Fn(Duration) -> bool) -> (f64, f64) {
        let loads = self.rows.iter().filter_map(|row| row.reading);
        let loads = loads
            .filter(|(_, at)| fresh(*at))
            .map(|(reading, _)| reading.load);
        let (highest, sum, count) = loads
            .fold((0.0_f64, 0.0, 0.0), |(highest, sum, count), load| {
                (highest.max(load), sum + load, count + 1.0)
            });
        (highest, if count > 0.0 { sum / count } else { 0.0 })
    }

    /// The one with the highest load above `above` that may grow now; it counts as grown.
    pub(super) fn take_most(&mut self, above: f64, cooldowns: Cooldowns) -> Option<usize> {
        let candidates = self.rows.iter().enumerate().filter_map(|(index, row)| {
            let reading = row.fresh(cooldowns)?;
            let may = reading.can_grow && cooldowns.passed(row.up_at, cooldowns.up);
            (may && reading.load > above).then_some((index, reading.load))
        });
        let (index, _) = candidates.max_by(|a, b| a.1.total_cmp(&b.1))?;
        self.rows[index].up_at = Some(cooldowns.now);
        Some(index)
    }

    /// The one with the lowest load below `below` that may shrink now and has not grown lately; it
    /// counts as shrunk.
    pub(super) fn take_least(&mut self, below: f64, cooldowns: Cooldowns) -> Option<usize> {
        let candidates = self.rows.iter().enumerate().filter_map(|(index, row)| {
            let reading = row.fresh(cooldowns)?;
            let rested = cooldowns.passed(row.down_at, cooldowns.down)
                && cooldowns.passed(row.up_at, cooldowns.down);
            (rested && reading.can_shrink && reading.load < below).then_some((index, reading.load))
        });
        let (index, _) = candidates.min_by(|a, b| a.1.total_cmp(&b.1))?;
        self.rows[index].down_at = Some(cooldowns.now);
        Some(index)
    }
}

impl Row {
    fn fresh(&self, cooldowns: Cooldowns) -> Option<LoadReading> {
        let (reading, at) = self.reading?;
        (cooldowns.now.saturating_sub(at) <= cooldowns.expiry).then_some(reading)
    }
}

impl Cooldowns {
    fn passed(&self, since: Option<Duration>, wait: Duration) -> bool {
        since.is_none_or(|since| self.now.saturating_sub(since) >= wait)
    }
}
