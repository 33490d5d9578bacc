//! The ten questions of the first minute after a kill, answered in their order.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use super::{governor_name, level_name, rate};
use crate::{
    event::{EventKind, EventSeverity},
    previous,
    reader::{FieldValue, Recording, SnapshotView},
    schema::{NO_LIMIT, Unit},
    standard::{EMITTERS, HOLDERS},
    time::{Bytes, Span, Utc},
    verdict::{Here, Verdict},
};

/// How far back shape, growth and rates look.
const MINUTE: Duration = Duration::from_mins(1);

/// Errors that are listed.
const ERRORS: usize = 16;

/// Decisions that are listed.
const DECISIONS: usize = 10;

/// Columns of the sparkline.
const SPARKS: usize = 60;

/// One question and what the recording says to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One word for the question.
    pub title: &'static str,
    /// A line each.
    pub lines: Vec<String>,
}

/// The verdict in one paragraph, then the ten answers.
pub fn why(recording: &Recording, here: Here) -> String {
    let verdict = recording.verdict_at(here);
    let mut text = format!("{}: {verdict}.", recording.header().instance);
    for evidence in verdict.evidence.iter().filter(|one| **one != verdict.detail) {
        let _ = write!(text, " {}.", capitalised(evidence));
    }
    text.push_str("\n\n");
    for (number, answer) in answers(recording, &verdict).iter().enumerate() {
        for (index, line) in answer.lines.iter().enumerate() {
            let (number, title) = match index {
                0 => (format!("{:2}", number + 1), answer.title),
                _ => ("  ".into(), ""),
            };
            let _ = writeln!(text, "{number} {title:<9} {line}");
        }
    }
    text
}

/// The ten answers.
pub fn answers(recording: &Recording, verdict: &Verdict) -> Vec<Answer> {
    let last = recording.snapshots().next_back();
    let answer = |title, lines: Vec<String>| Answer {
        title,
        lines: if lines.is_empty() {
            vec!["not recorded".into()]
        } else {
            lines
        },
    };
    vec![
        answer("verdict", vec![verdict.to_string()]),
        answer("when", when(recording)),
        answer("memory", last.map_or_else(Vec::new, |last| memory(recording, last))),
        answer("shape", shape(recording)),
        answer("holders", last.map_or_else(Vec::new, |last| holders(recording, last))),
        answer("governor", governor(recording, last)),
        answer("rates", rates(recording, last)),
        answer("pressure", last.map_or_else(Vec::new, |last| pressure(recording, last))),
        answer("errors", errors(recording)),
        answer("files", files(recording)),
    ]
}

fn when(recording: &Recording) -> Vec<String> {
    let header = recording.header();
    let (last_ns, last_real_ns) = recording.last_ns();
    let uptime = Duration::from_nanos(last_ns.saturating_sub(header.started.monotonic_ns));
    let mut lines = vec![format!(
        "last record {}, started {}, up {}",
        Utc(last_real_ns),
        Utc(header.started.real_ns),
        Span(uptime)
    )];
    if let Some(period) = recording.shape().period {
        lines.push(format!("a record each {} at the end, so it ended at most so much later", Span(period)));
    }
    if let Some(path) = recording.path() {
        let kept = previous::kept_beside(path, &header.instance);
        lines.push(format!("{kept} earlier runs of {} are kept beside it", header.instance));
    }
    lines
}

fn memory(recording: &Recording, last: SnapshotView<'_>) -> Vec<String> {
    let header = recording.header();
    let limit = last.number("memory.limit").map(|limit| Bytes(limit).to_string());
    let limit = limit.or_else(|| match header.limits.limit_bytes {
        Some(NO_LIMIT) => Some("none".into()),
        Some(bytes) => Some(Bytes(bytes as f64).to_string()),
        None => None,
    });
    let mut first = format!("limit {}", limit.as_deref().unwrap_or("unknown"));
    if !header.limits.source.is_empty() {
        let _ = write!(first, " ({})", header.limits.source);
    }
    let mut lines = vec![first];
    let high = header.limits.high_bytes.filter(|high| *high < NO_LIMIT);
    if let Some(high) = high {
        lines.push(format!("soft limit {}", Bytes(high as f64)));
    }
    lines.extend(list(last, &[
        ("usage", "memory.usage"),
        ("working set", "memory.working_set"),
        ("unreclaimable", "memory.unreclaimable"),
    ]));
    lines.extend(list(last, &[
        ("anon", "memory.anon"),
        ("file", "memory.file"),
        ("shmem", "memory.shmem"),
        ("kernel", "memory.kernel"),
    ]));
    lines.extend(list(last, &[("heap live", "heap.live"), ("heap resident", "heap.resident")]));
    if let Some((live, anon)) = last.number("heap.live").zip(last.number("memory.anon")) {
        lines.push(format!("{} of anon is not live heap", Bytes((anon - live).max(0.0))));
    }
    lines
}

/// Those of the fields that are known, on one line.
fn list(last: SnapshotView<'_>, fields: &[(&str, &str)]) -> Option<String> {
    let known: Vec<String> = fields
        .iter()
        .filter_map(|(title, name)| Some(format!("{title} {}", Bytes(last.number(name)?))))
        .collect();
    (!known.is_empty()).then(|| known.join(", "))
}

fn shape(recording: &Recording) -> Vec<String> {
    let shape = recording.shape();
    if shape.usage_bytes.is_none() {
        return Vec::new();
    }
    let mut line = shape.kind().to_owned();
    if let Some(slope) = shape.slope {
        let sign = if slope < 0.0 { "-" } else { "+" };
        let _ = write!(line, ", {sign}{}/s at the end", Bytes(slope.abs()));
    }
    if let Some(time) = shape.above_80 {
        let _ = write!(line, ", from 80 % to the end in {}", Span(time));
    }
    vec![format!("{} (usage, 60 s)", sparkline(recording)), line]
}

/// The highest usage of each second, against the limit.
fn sparkline(recording: &Recording) -> String {
    let (end, _) = recording.last_ns();
    let mut columns = [None; SPARKS];
    for snapshot in recording.snapshots() {
        let age = end.saturating_sub(snapshot.record.monotonic_ns) / 1_000_000_000;
        let Some(column) = SPARKS.checked_sub(1 + age as usize) else {
            continue;
        };
        if let Some(usage) = snapshot.number("memory.usage") {
            let highest: &mut Option<f64> = &mut columns[column];
            *highest = Some(highest.map_or(usage, |before| before.max(usage)));
        }
    }
    let top = columns.iter().flatten().fold(0.0_f64, |top, usage| top.max(*usage));
    let top = recording.shape().limit_bytes.unwrap_or(0.0).max(top).max(1.0);
    let bars = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |usage: f64| bars[((usage / top * 8.0) as usize).min(7)];
    columns.iter().map(|column| column.map_or(' ', bar)).collect()
}

fn holders(recording: &Recording, last: SnapshotView<'_>) -> Vec<String> {
    let name_of = |one: SnapshotView<'_>, index| match one.get("holder.name", index) {
        FieldValue::Name(name) => Some(name.to_owned()),
        _ => None,
    };
    let (end, _) = recording.last_ns();
    let since = end.saturating_sub(MINUTE.as_nanos() as u64);
    let mut before: BTreeMap<String, f64> = BTreeMap::new();
    for snapshot in recording.snapshots().filter(|one| one.record.monotonic_ns >= since) {
        for index in 0..HOLDERS {
            if let Some((name, bytes)) =
                name_of(snapshot, index).zip(snapshot.number_at("holder.bytes", index))
            {
                before.entry(name).or_insert(bytes);
            }
        }
    }
    (0..HOLDERS)
        .filter_map(|index| {
            let name = name_of(last, index)?;
            let bytes = last.number_at("holder.bytes", index)?;
            let growth = bytes - before.get(&name).copied().unwrap_or(bytes);
            let sign = if growth < 0.0 { "-" } else { "+" };
            Some(format!("{name} {} ({sign}{} in 60 s)", Bytes(bytes), Bytes(growth.abs())))
        })
        .collect()
}

fn governor(recording: &Recording, last: Option<SnapshotView<'_>>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(level) = last.and_then(|last| last.number("governor.level")) {
        let mut line = format!("level {}", level_name(level));
        let last = last.and_then(|last| {
            let state = last.number("governor.state").map(governor_name);
            let scale = last.number("governor.scale");
            if let Some(scale) = scale {
                let _ = write!(line, ", scale {scale:.2}");
            }
            state
        });
        if let Some(state) = last {
            let _ = write!(line, ", {state}");
        }
        lines.push(line);
    }
    let (end, _) = recording.last_ns();
    let is_decision = |kind| {
        matches!(
            kind,
            EventKind::Level | EventKind::Governor | EventKind::Decision | EventKind::Threshold
        )
    };
    let decisions = recording.events().iter().filter(|event| is_decision(event.kind));
    let decisions: Vec<_> = decisions.rev().take(DECISIONS).collect();
    if let Some(newest) = decisions.first() {
        let age = Duration::from_nanos(end.saturating_sub(newest.monotonic_ns));
        lines.push(format!("last change {} before the end", Span(age)));
    }
    for event in decisions.iter().rev() {
        let age = Duration::from_nanos(end.saturating_sub(event.monotonic_ns));
        lines.push(format!("-{} {}", Span(age), event.summary()));
    }
    lines
}

fn rates(recording: &Recording, last: Option<SnapshotView<'_>>) -> Vec<String> {
    let window = Duration::from_secs(10);
    let per_second = |fields: &[(&str, &str)]| {
        let known: Vec<String> = fields
            .iter()
            .filter_map(|(title, name)| {
                Some(format!("{title} {:.0}/s", rate(recording, name, window)?))
            })
            .collect();
        (!known.is_empty()).then(|| known.join(", "))
    };
    let mut lines: Vec<String> = [
        per_second(&[
            ("accepted", "ingest.accepted"),
            ("published", "events.published"),
            ("delivered", "events.delivered"),
        ]),
        per_second(&[
            ("refused for rate", "ingest.refused_rate"),
            ("for size", "ingest.refused_size"),
            ("busy", "ingest.refused_busy"),
        ]),
        per_second(&[
            ("dropped full", "dropped.full"),
            ("early", "dropped.early"),
            ("slow", "dropped.slow"),
            ("other", "dropped.other"),
        ]),
    ]
    .into_iter()
    .flatten()
    .collect();
    for index in 0..EMITTERS {
        let Some(last) = last else { break };
        if let FieldValue::Name(name) = last.get("emitter.name", index) {
            let mut line = format!("emitter {name}");
            let state = last.number_at("emitter.state", index).unwrap_or(0.0);
            let state = ["healthy", "degraded", "failed"].get(state as usize);
            let _ = write!(line, " {}", state.unwrap_or(&"?"));
            if let Some(lag) = last.number_at("emitter.lag", index) {
                let _ = write!(line, ", {} behind", Span(Duration::from_millis(lag as u64)));
            }
            if let Some(failures) = last.number_at("emitter.failures", index) {
                let _ = write!(line, ", {failures} failures");
            }
            lines.push(line);
        }
    }
    lines
}

fn pressure(recording: &Recording, last: SnapshotView<'_>) -> Vec<String> {
    let window = Duration::from_secs(10);
    let mut lines = Vec::new();
    // Microseconds of waiting in each second are a share of one in a million.
    let share = |name| rate(recording, name, window).map(|us| us / 10_000.0);
    if let Some((some, full)) = share("psi.memory_some").zip(share("psi.memory_full")) {
        lines.push(format!("waiting for memory: some {some:.1} %, full {full:.1} % of the time"));
    }
    let counts: Vec<String> = [
        ("major faults", "memory.major_faults"),
        ("refaults", "memory.refaults"),
        ("limit hits", "memory.limit_hits"),
    ]
    .iter()
    .filter_map(|(title, name)| Some(format!("{title} {}", last.number(name)?)))
    .collect();
    if !counts.is_empty() {
        lines.push(counts.join(", "));
    }
    if let Some(left) = last.number("host.available") {
        lines.push(format!("the machine had {} left", Bytes(left)));
    }
    let late = recording.snapshots().filter_map(|one| one.number("recorder.late"));
    if let Some(latest) = late.reduce(f64::max) {
        let latest = Duration::from_micros(latest as u64);
        lines.push(format!("the recorder was at most {} late", Span(latest)));
    }
    lines
}

/// Repeats of one text fold into a count.
fn errors(recording: &Recording) -> Vec<String> {
    let (end, _) = recording.last_ns();
    let mut shown: Vec<(String, u32, u64)> = Vec::new();
    for event in recording.events().iter().rev() {
        let is_error = event.severity >= EventSeverity::Error || event.kind == EventKind::Error;
        if !is_error {
            continue;
        }
        let text = event.summary();
        if let Some((_, count, _)) = shown.iter_mut().find(|(known, ..)| *known == text) {
            *count += 1;
        } else if shown.len() < ERRORS {
            shown.push((text, 1, event.monotonic_ns));
        }
    }
    if shown.is_empty() {
        return vec!["none recorded".into()];
    }
    shown
        .iter()
        .map(|(text, count, at)| {
            let age = Duration::from_nanos(end.saturating_sub(*at));
            let times = if *count > 1 { format!(" (x{count})") } else { String::new() };
            format!("-{} {text}{times}", Span(age))
        })
        .collect()
}

fn files(recording: &Recording) -> Vec<String> {
    let header = recording.header();
    let mut lines = Vec::new();
    if let Some(path) = recording.path() {
        let path = path.display();
        lines.push(format!("{path}"));
        lines.push(format!("next: relay blackbox show --html out.html {path}"));
        lines.push(format!("      relay blackbox show --json {path}"));
    }
    let build = if header.build.is_empty() { "unknown" } else { &header.build };
    lines.push(format!(
        "build {build}, config {:016x}, host {}, kernel {}, pid {}",
        header.config_hash, header.identity.host, header.identity.kernel, header.identity.pid
    ));
    lines
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

/// A number with its unit.
pub(super) fn quantity(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => Bytes(value).to_string(),
        Unit::BytesPerSecond => format!("{}/s", Bytes(value)),
        Unit::Ratio => format!("{value:.3}"),
        unit if value.fract() == 0.0 => format!("{value:.0}{}", spaced(unit)),
        unit => format!("{value:.3}{}", spaced(unit)),
    }
}

fn spaced(unit: Unit) -> String {
    match unit.symbol() {
        "" => String::new(),
        symbol => format!(" {symbol}"),
    }
}
