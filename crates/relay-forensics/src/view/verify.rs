//! Whether a recording is whole: what is in its slots, what is missing, how late the recorder was.

use std::fmt::Write;

use crate::{reader::Recording, time::Bytes};

/// Upper ends of the classes of lateness, in microseconds, with a name.
const CLASSES: [(f64, &str); 6] = [
    (100.0, "< 100 us"),
    (1_000.0, "< 1 ms"),
    (10_000.0, "< 10 ms"),
    (100_000.0, "< 100 ms"),
    (1_000_000.0, "< 1 s"),
    (f64::INFINITY, "more"),
];

/// A table, and whether all slots that the header promises are in the file. A torn slot is no
/// fault: it is what a kill leaves, and it is left out everywhere.
pub fn verify(recording: &Recording) -> (String, bool) {
    let mut text = format!("{:<8} {:>6} {:>6} {:>6} {:>5} {:>8} {:>6}\n", "section", "slots", "valid", "empty", "torn", "missing", "gaps");
    let mut whole = true;
    for census in recording.census() {
        let _ = writeln!(
            text,
            "{:<8} {:>6} {:>6} {:>6} {:>5} {:>8} {:>6}",
            census.section.as_str(),
            census.slots(),
            census.valid,
            census.empty,
            census.torn,
            census.missing,
            census.gaps
        );
        whole &= census.missing == 0;
    }
    whole &= recording.census().len() == 4;
    let header = recording.header();
    let _ = writeln!(text, "\ngiven up by writers: {}", recording.lost());
    let _ = writeln!(
        text,
        "{}, {}, {}",
        Bytes(header.file_bytes as f64),
        if header.is_locked() { "locked in memory" } else { "NOT locked in memory" },
        if header.is_on_tmpfs() { "on tmpfs" } else { "on a disk" },
    );
    lateness(recording, &mut text);
    (text, whole)
}

fn lateness(recording: &Recording, text: &mut String) {
    let mut counts = [0_usize; CLASSES.len()];
    for late in recording.snapshots().filter_map(|one| one.number("recorder.late")) {
        let class = CLASSES.iter().position(|(end, _)| late < *end);
        counts[class.unwrap_or(CLASSES.len() - 1)] += 1;
    }
    text.push_str("\nlateness of the recorder\n");
    for ((_, name), count) in CLASSES.iter().zip(counts) {
        let _ = writeln!(text, "{name:>9} {count:>6}");
    }
}
