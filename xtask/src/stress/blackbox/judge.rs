//! Holds a recording against what is known outside: what must be true of every one that a kill left.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use relay_forensics::{FieldValue, Recording};

/// What was found in a recording, after it was found to be whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// The last record of either kind, on the monotonic clock.
    pub(super) last_ns: i64,
    /// How soon after the last snapshot the next one was planned.
    pub(super) planned_ns: i64,
    /// Slots that were being written, all of them told by their checksum.
    pub(super) torn: usize,
    /// Usage in the last snapshot, of the own limit or of the one above.
    pub(super) last_share: Option<f64>,
}

/// Reads a recording and fails where a record is missing, was mixed from two, or cannot be.
pub(super) fn recording(path: &Path) -> Result<(Recording, Found)> {
    let recording = Recording::open(path).with_context(|| path.display().to_string())?;
    let found = examine(&recording)?;
    Ok((recording, found))
}

fn examine(recording: &Recording) -> Result<Found> {
    let mut torn = 0;
    for census in recording.census() {
        torn += census.torn;
        let name = census.section.as_str();
        // Only the record that was being written when it was killed.
        ensure!(census.torn <= 1, "{} torn slots in {name}", census.torn);
        ensure!(
            census.gaps == 0 && census.missing == 0,
            "{} records missing in {name}",
            census.gaps + census.missing as u64
        );
    }
    let mut before: Option<(u64, u64)> = None;
    for one in recording.snapshots() {
        let published = one.get("events.published", 0);
        let FieldValue::Integer(number) = published else {
            bail!("snapshot without its number: {published:?}");
        };
        // Written by the program in two ways: a slot mixed from two records would disagree.
        ensure!(
            one.get("events.delivered", 0) == FieldValue::Integer(number * 3 + 7),
            "snapshot {number} is mixed from two"
        );
        let at = one.record.monotonic_ns;
        let in_order = before.is_none_or(|(earlier, low)| earlier <= at && low < number);
        ensure!(in_order, "snapshot {number} at {at} comes after {before:?}");
        before = Some((at, number));
    }
    let last = recording.snapshots().next_back();
    let last = last.context("no snapshot was recorded")?;
    let micros = |name: &str| last.number(name).unwrap_or(0.0);
    let planned = micros("recorder.period") - micros("recorder.late");
    let above = last.number("binding.depth").unwrap_or(0.0) > 0.0;
    let (usage, limit) = if above {
        ("binding.usage", "binding.limit")
    } else {
        ("memory.usage", "memory.limit")
    };
    let share = last.number(usage).zip(last.number(limit));
    Ok(Found {
        last_ns: i64::try_from(recording.last_ns().0)?,
        planned_ns: (planned * 1000.0) as i64,
        torn,
        last_share: share.map(|(usage, limit)| usage / limit),
    })
}
