//! What a person or a program gets to see of a recording.
//!
//! Every text that comes out of a file is hostile: it has no control character left, and each output
//! escapes what it would take for its own.

mod answers;
mod axis;
mod chart;
mod csv;
mod html;
mod json;
mod table;
mod verify;

pub use answers::{Answer, answers, why};
pub use csv::csv;
pub use html::html;
pub use json::{census_json, json, json_entry, previous_json, verdict_json};
pub use table::{entry_line, show};
pub use verify::verify;

use std::{collections::VecDeque, time::Duration};

use crate::{
    event::EventRecord,
    reader::{Recording, SnapshotView},
};

/// Which part of a recording to show. The default is all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// At most so many records, the last ones.
    pub tail: Option<usize>,
    /// Only what is at most so long before the last record.
    pub since: Option<Duration>,
}

/// A record of either kind.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// All fields of one moment.
    Snapshot(SnapshotView<'a>),
    /// Something that happened.
    Event(&'a EventRecord),
}

impl Entry<'_> {
    /// When, on the monotonic clock.
    pub fn monotonic_ns(&self) -> u64 {
        match self {
            Self::Snapshot(snapshot) => snapshot.record.monotonic_ns,
            Self::Event(event) => event.monotonic_ns,
        }
    }

    /// When, since 1970.
    pub fn real_ns(&self) -> u64 {
        match self {
            Self::Snapshot(snapshot) => snapshot.record.real_ns,
            Self::Event(event) => event.real_ns,
        }
    }
}

/// The records of both kinds in the order of time.
pub fn timeline(recording: &Recording, window: Window) -> Vec<Entry<'_>> {
    let (end, _) = recording.last_ns();
    let since = window.since.map_or(0, |since| end.saturating_sub(since.as_nanos() as u64));
    let mut entries: Vec<Entry<'_>> = recording.snapshots().map(Entry::Snapshot).collect();
    entries.extend(recording.events().iter().map(Entry::Event));
    entries.retain(|entry| entry.monotonic_ns() >= since);
    // Stable: a snapshot comes before the events of the same moment.
    entries.sort_by_key(Entry::monotonic_ns);
    let skip = window.tail.map_or(0, |tail| entries.len().saturating_sub(tail));
    entries.split_off(skip)
}

/// The last records as lines of text, for a crash report.
pub(crate) fn tail_text(recording: &Recording, tail: usize) -> String {
    let window = Window {
        tail: Some(tail),
        since: None,
    };
    show(recording, window)
}

/// The difference of a counter over the last `window`, for each second of it.
fn rate(recording: &Recording, name: &str, window: Duration) -> Option<f64> {
    let mut points = VecDeque::new();
    let (end, _) = recording.last_ns();
    let since = end.saturating_sub(window.as_nanos() as u64);
    for snapshot in recording.snapshots() {
        if snapshot.record.monotonic_ns >= since
            && let Some(value) = snapshot.number(name)
        {
            points.push_back((snapshot.record.monotonic_ns, value));
        }
    }
    let ((first_ns, first), (last_ns, last)) = points.front().zip(points.back())?;
    let seconds = last_ns.saturating_sub(*first_ns) as f64 / 1e9;
    (seconds > 0.0).then(|| (last - first) / seconds)
}

/// `normal`, `warning`, …; a level of a newer recording is its number.
fn level_name(level: f64) -> String {
    let names = ["normal", "warning", "error", "critical", "emergency"];
    let name = names.get(level as usize);
    name.map_or_else(|| format!("{level}"), |name| (*name).to_owned())
}

/// `normal`, `degraded`, `recovering`.
fn governor_name(state: f64) -> String {
    let name = ["normal", "degraded", "recovering"].get(state as usize);
    name.map_or_else(|| format!("{state}"), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests;
