//! The shape of memory before the end: how full, how fast, since when.

use std::time::Duration;

use crate::{
    event::EventKind,
    reader::{Recording, SnapshotView},
    schema::NO_LIMIT,
};

/// A slope is taken over at least this long, so that one page more or less is none.
const SLOPE_WINDOW_NS: u64 = 1_000_000_000;

/// Share of the limit from which the way to the end is timed.
const HIGH: f64 = 0.8;

/// Growth from 80 % to the end within this time is a burst, slower growth a leak.
const BURST: Duration = Duration::from_mins(1);

/// What the last records say of memory.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Shape {
    /// Usage last recorded, in bytes.
    pub usage_bytes: Option<f64>,
    /// The limit it counts against, in bytes; `None` without one or when it is unknown.
    pub limit_bytes: Option<f64>,
    /// Share of the limit that cannot be taken back.
    pub unreclaimable_ratio: Option<f64>,
    /// Growth in bytes a second over the last second or two records.
    pub slope: Option<f64>,
    /// What usage, or if known what of it cannot be taken back, would have been at the time of the
    /// next snapshot.
    pub projected_bytes: Option<f64>,
    /// Time between the last two snapshots.
    pub period: Option<Duration>,
    /// How long before the last record usage rose past 80 % of the limit, for good.
    pub above_80: Option<Duration>,
    /// How what cannot be taken back grew.
    firm: Option<Climb>,
}

/// Bytes that grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Climb {
    newest: f64,
    /// Bytes a second, at the end.
    slope: f64,
    /// Bytes a second over the last second, or over all there is: who fills memory is held up for moments, too.
    trend: f64,
    /// Time between the last two snapshots.
    period: Duration,
}

impl Shape {
    pub(crate) fn of(recording: &Recording) -> Self {
        let mut shape = Self::default();
        let header = recording.header().limits.limit_bytes;
        let header = header.filter(|bytes| *bytes < NO_LIMIT).map(|bytes| bytes as f64);
        shape.limit_bytes = header;
        let usages = series(recording, |one| one.number("memory.usage"));
        let firm = series(recording, |one| {
            let firm = one.number("memory.unreclaimable");
            firm.or_else(|| one.number("memory.usage"))
        });
        if let Some(last) = recording.snapshots().next_back() {
            shape.limit_bytes = last.number("memory.limit").or(header);
            let limit = shape.limit_bytes.filter(|limit| *limit > 0.0);
            let part = last.number("memory.unreclaimable");
            shape.unreclaimable_ratio = part.zip(limit).map(|(part, all)| part / all);
        }
        if let [(newest_ns, newest), before @ ..] = &usages[..] {
            shape.usage_bytes = Some(*newest);
            shape.slope = slope(&usages);
            let before = before.first();
            shape.period =
                before.map(|(at, _)| Duration::from_nanos(newest_ns.saturating_sub(*at)));
            shape.firm = Climb::of(&firm);
            shape.projected_bytes = shape.firm.and_then(|climb| climb.next());
            shape.take_threshold(recording, *newest_ns);
        }
        let limit = shape.limit_bytes.unwrap_or(0.0);
        if shape.ratio() >= Some(HIGH) {
            let calm = usages.iter().find(|(_, usage)| *usage < HIGH * limit);
            let (end_ns, _) = recording.last_ns();
            shape.above_80 = calm.map(|(at, _)| Duration::from_nanos(end_ns.saturating_sub(*at)));
        }
        shape
    }

    /// How long it would have taken to the limit from the last record on; `None` where memory did not grow.
    pub(crate) fn time_to_limit(&self) -> Option<Duration> {
        Some(self.firm?.time_to(self.limit_bytes?))
    }

    /// A threshold may be passed after the last snapshot.
    fn take_threshold(&mut self, recording: &Recording, after_ns: u64) {
        let is_memory = |kind| matches!(kind, EventKind::Threshold | EventKind::Level);
        let last = recording.events().iter().rev().find(|event| is_memory(event.kind));
        let Some(event) = last.filter(|event| event.monotonic_ns > after_ns) else {
            return;
        };
        let at = if event.kind == EventKind::Threshold { 1 } else { 2 };
        let (usage, limit) = (event.values[at], event.values[at + 1]);
        if limit > 0 && limit < NO_LIMIT {
            self.usage_bytes = Some(usage as f64);
            self.limit_bytes = Some(limit as f64);
            // What it consists of is not known at that moment.
            self.unreclaimable_ratio = None;
        }
    }

    /// Usage as a share of the limit.
    pub fn ratio(&self) -> Option<f64> {
        let limit = self.limit_bytes.filter(|limit| *limit > 0.0)?;
        Some(self.usage_bytes? / limit)
    }

    /// Whether growth as before would have passed the limit before the next snapshot.
    pub fn is_projected_past(&self) -> bool {
        self.projected_bytes
            .zip(self.limit_bytes)
            .is_some_and(|(next, limit)| next >= limit)
    }

    /// `burst`, `leak` or `steady`.
    pub fn kind(&self) -> &'static str {
        match self.above_80 {
            Some(time) if time <= BURST => "burst",
            Some(_) => "leak",
            None if self.is_projected_past() => "burst",
            None => "steady",
        }
    }
}

// === impl Climb ===

impl Climb {
    /// Of times and values, newest first; `None` where they did not grow.
    pub(crate) fn of(points: &[(u64, f64)]) -> Option<Self> {
        let [(newest_ns, newest), before @ ..] = points else {
            return None;
        };
        let (before_ns, _) = before.first()?;
        let long_ago = |(at, _): &&(u64, f64)| newest_ns.saturating_sub(*at) >= SLOPE_WINDOW_NS;
        let (since_ns, since) = before.iter().find(long_ago).or(before.last())?;
        let seconds = newest_ns.saturating_sub(*since_ns) as f64 / 1e9;
        let climb = Self {
            newest: *newest,
            slope: slope(points)?,
            trend: (newest - since) / seconds,
            period: Duration::from_nanos(newest_ns.saturating_sub(*before_ns)),
        };
        (climb.slope > 0.0 || climb.trend > 0.0).then_some(climb)
    }

    /// What the next record would have said; `None` where the last ones did not grow.
    pub(crate) fn next(&self) -> Option<f64> {
        (self.slope > 0.0).then_some(self.newest + self.slope * self.period.as_secs_f64())
    }

    /// How long from the last record on, if it had gone on like this.
    pub(crate) fn time_to(&self, limit: f64) -> Duration {
        let seconds = (limit - self.newest).max(0.0) / self.slope.max(self.trend);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// Time and value, newest first, of the snapshots that have it.
pub(crate) fn series(
    recording: &Recording,
    value: impl Fn(SnapshotView<'_>) -> Option<f64>,
) -> Vec<(u64, f64)> {
    let snapshots = recording.snapshots().rev();
    snapshots
        .filter_map(|one| Some((one.record.monotonic_ns, value(one)?)))
        .collect()
}

/// The steeper of the last interval, which shows a burst, and the last second, which shows a trend.
fn slope(points: &[(u64, f64)]) -> Option<f64> {
    let ((newest_ns, newest), before) = points.split_first()?;
    let apart = |at: u64| newest_ns.saturating_sub(at);
    let second = before.iter().find(|(at, _)| apart(*at) >= SLOPE_WINDOW_NS);
    [before.first(), second]
        .into_iter()
        .flatten()
        .filter(|(at, _)| apart(*at) > 0)
        .map(|(at, value)| (newest - value) / (apart(*at) as f64 / 1e9))
        .reduce(f64::max)
}
