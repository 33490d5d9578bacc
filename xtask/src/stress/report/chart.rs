//! A run as a picture: memory against the limit, admission, refusals and drops, level.

use super::svg::{Figure, Line, Panel};
use crate::stress::load::{Bucket, Counts};
use crate::stress::overload::Observed;
use crate::stress::probe::At;
use crate::stress::state::State;

const MIB: f64 = (1 << 20) as f64;

/// Arrivals are counted over this much time, to see rates rather than single events.
const WINDOW_MS: f64 = 200.0;

const LEVELS: [&str; 5] = ["normal", "warning", "error", "critical", "emergency"];

/// The chart of a run, as an SVG document.
pub(in crate::stress) fn draw(name: &str, limit_bytes: u64, observed: &Observed) -> String {
    let start_ms = observed.load.started_unix_ms;
    let last_ms = observed.memory.last().map_or(start_ms, |at| at.unix_ms);
    let windows = windows(&observed.load.buckets);
    let figure = Figure {
        title: name,
        seconds: (last_ms - start_ms).max(1.0) / 1000.0,
        instants: vec![(
            observed.fall_ms / 1000.0,
            "the load falls to half the capacity",
        )],
        panels: vec![
            memory(observed, limit_bytes, start_ms),
            admission(&windows),
            refusals(&windows, &observed.states, start_ms),
            levels(&observed.states, start_ms),
        ],
    };
    figure.draw()
}

fn memory(observed: &Observed, limit_bytes: u64, start_ms: f64) -> Panel {
    let line = |name, colour, bytes: fn(&crate::stress::cgroup::Reading) -> u64| Line {
        name,
        colour,
        points: during(&observed.memory, start_ms, |reading| {
            bytes(reading) as f64 / MIB
        }),
    };
    let limit = limit_bytes as f64 / MIB;
    Panel {
        title: "memory, MiB",
        lines: vec![
            line("usage", "amber", |reading| reading.usage_bytes),
            line("working set", "blue", |reading| reading.working_set_bytes),
        ],
        bound: Some(("limit", limit)),
        ticks: [0.0, 0.5, 1.0]
            .map(|share| (limit * share, format!("{:.0}", limit * share)))
            .into(),
        max: limit * 1.05,
    }
}

fn admission(windows: &[(f64, Counts)]) -> Panel {
    let share = |counts: &Counts| 100.0 * counts.accepted as f64 / counts.sent.max(1) as f64;
    Panel {
        title: "admission: accepted ÷ offered, %",
        lines: vec![Line {
            name: "accepted",
            colour: "green",
            points: windows
                .iter()
                .map(|(second, counts)| (*second, share(counts)))
                .collect(),
        }],
        bound: None,
        ticks: vec![
            (0.0, "0".to_owned()),
            (50.0, "50".to_owned()),
            (100.0, "100".to_owned()),
        ],
        max: 105.0,
    }
}

fn refusals(windows: &[(f64, Counts)], states: &[At<State>], start_ms: f64) -> Panel {
    let rate = |field: fn(&Counts) -> u64| -> Vec<(f64, f64)> {
        let per_second = 1000.0 / WINDOW_MS;
        windows
            .iter()
            .map(|(at, counts)| (*at, field(counts) as f64 * per_second))
            .collect()
    };
    let lines = vec![
        Line {
            name: "refused",
            colour: "amber",
            points: rate(|counts| counts.refused),
        },
        Line {
            name: "failed",
            colour: "red",
            points: rate(|counts| counts.failed),
        },
        Line {
            name: "dropped",
            colour: "blue",
            points: drop_rate(states, start_ms),
        },
    ];
    let values = lines
        .iter()
        .flat_map(|line| &line.points)
        .map(|(_, value)| *value);
    let max = values.fold(1.0, f64::max);
    Panel {
        title: "refusals, failures and drops, events/s",
        lines,
        bound: None,
        ticks: Vec::new(),
        max,
    }
}

fn levels(states: &[At<State>], start_ms: f64) -> Panel {
    let height = |state: &State| state.level.map_or(f64::NAN, |level| f64::from(level as u8));
    let mut points = during(states, start_ms, height);
    points.retain(|(_, level)| level.is_finite());
    Panel {
        title: "level",
        lines: vec![Line {
            name: "level",
            colour: "blue",
            points: stepped(&points),
        }],
        bound: None,
        ticks: LEVELS
            .iter()
            .zip(0_u8..)
            .map(|(name, at)| (f64::from(at), (*name).to_owned()))
            .collect(),
        max: 4.2,
    }
}

/// The buckets gathered into wider windows: seconds at the window's start, and its events.
fn windows(buckets: &[Bucket]) -> Vec<(f64, Counts)> {
    let mut windows: Vec<(f64, Counts)> = Vec::new();
    for bucket in buckets {
        let start = (bucket.offset_ms / WINDOW_MS).floor() * WINDOW_MS / 1000.0;
        if windows.last().is_none_or(|(last, _)| *last < start) {
            windows.push((start, Counts::default()));
        }
        if let Some((_, sum)) = windows.last_mut() {
            sum.sent += bucket.counts.sent;
            sum.accepted += bucket.counts.accepted;
            sum.refused += bucket.counts.refused;
            sum.failed += bucket.counts.failed;
        }
    }
    windows
}

fn drop_rate(states: &[At<State>], start_ms: f64) -> Vec<(f64, f64)> {
    let drops = during(states, start_ms, |state| state.books.dropped() as f64);
    let pairs = drops.iter().zip(drops.iter().skip(1));
    pairs
        .map(|(from, to)| (to.0, (to.1 - from.1) / (to.0 - from.0).max(0.001)))
        .collect()
}

/// Seconds since the load began, and a value of each sample from then on.
fn during<T>(series: &[At<T>], start_ms: f64, value: impl Fn(&T) -> f64) -> Vec<(f64, f64)> {
    let seconds = series
        .iter()
        .map(|at| ((at.unix_ms - start_ms) / 1000.0, value(&at.value)));
    seconds.filter(|(second, _)| *second >= 0.0).collect()
}

/// A value holds until the next one: corners instead of slopes.
fn stepped(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut corners = Vec::new();
    for &(second, value) in points {
        if let Some(&(_, before)) = corners.last()
            && before != value
        {
            corners.push((second, before));
        }
        corners.push((second, value));
    }
    corners
}
