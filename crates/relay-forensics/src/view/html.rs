//! One page that tells the whole story: opens from a mail, needs no network, runs no script.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    Entry, Window, answers::answers, chart::{Band, Chart, Level, Mark, Series}, level_name, timeline,
};
use crate::{
    event::{EventKind, EventSeverity},
    reader::{FieldValue, Recording, SnapshotView},
    schema::{FieldInfo, Schema, Unit},
    standard::{HOLDERS, Standard},
    time::Utc,
    verdict::Here,
};

/// What the detailed charts show, in seconds.
const DETAIL: f64 = 60.0;

/// Rows of the table of events.
const ROWS: usize = 500;

/// Charts of a service's own fields.
const OWN_CHARTS: usize = 12;

/// Marks in a chart.
const MARKS: usize = 200;

/// Shares of the limit at which the ladder turns, see the design of the control loop.
const LADDER: [(f64, &str, &str); 4] = [
    (0.70, "warning", "v1"),
    (0.85, "error", "v2"),
    (0.90, "critical", "v3"),
    (0.98, "emergency", "v4"),
];

const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#667080;--line:#dfe3e8;--card:#f6f7f9;\
--c0:#2364aa;--c1:#c4501b;--c2:#2b8a5a;--c3:#8a4fb5;--c4:#a8821a;--c5:#b5386a;--bad:#c22;--warn:#b97a00}\
@media(prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e4e7eb;--dim:#8d97a5;--line:#2c323a;--card:#1c2127;\
--c0:#6aaef0;--c1:#f0905a;--c2:#5ac795;--c3:#c08fe6;--c4:#dcb84f;--c5:#ec7fa8;--bad:#ff6b6b;--warn:#f0b040}}\
body{margin:0 auto;max-width:1040px;padding:24px;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}\
h1{font-size:20px;margin:0 0 4px}h2{font-size:16px;margin:28px 0 8px}p.s{color:var(--dim);margin:0 0 16px}\
.verdict{background:var(--card);border-left:5px solid var(--bad);padding:12px 16px;border-radius:4px}\
.verdict.ok{border-color:var(--c2)}.verdict ul{margin:6px 0 0;padding-left:20px;color:var(--dim)}\
figure{margin:16px 0}figcaption{font-weight:600;margin-bottom:4px}svg{width:100%;height:auto;display:block}\
svg text{font:11px system-ui,sans-serif;fill:var(--dim)}\
.c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}\
.k{font-weight:400;color:var(--dim);margin-left:12px}.k:before{content:'';display:inline-block;width:10px;height:10px;\
border-radius:2px;background:var(--c);margin-right:5px}\
.l{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:round}.a{fill:var(--c);stroke:var(--bg);stroke-width:.6}\
.d{fill:var(--c)}.g{stroke:var(--line)}.h{fill:transparent}.h:hover{fill:var(--fg);fill-opacity:.1}\
.v{stroke-width:1.4;stroke-dasharray:5 4;stroke:var(--dim)}.v0{stroke:var(--bad);stroke-dasharray:none}\
.v3,.v4{stroke:var(--bad)}.v2{stroke:var(--warn)}.vf{stroke:var(--c3)}\
.b{fill-opacity:.12}.b1{fill:var(--c4)}.b2{fill:var(--warn)}.b3,.b4{fill:var(--bad)}\
.m line{stroke:var(--dim);stroke-opacity:.35}.m circle{fill:var(--dim)}.m:hover line{stroke-opacity:1;stroke-width:2}\
.m2 circle{fill:var(--warn)}.m3 circle{fill:var(--bad)}\
dl{display:grid;grid-template-columns:90px 1fr;gap:6px 16px;margin:0}dt{color:var(--dim)}dd{margin:0;white-space:pre-wrap;\
overflow-wrap:anywhere;font-family:ui-monospace,monospace;font-size:13px}\
.t{overflow-x:auto}table{border-collapse:collapse;font-size:13px;width:100%}td{padding:3px 10px 3px 0;border-top:1px solid var(--line);\
vertical-align:top;overflow-wrap:anywhere}td:first-child{white-space:nowrap;color:var(--dim)}\
.error td,.critical td{color:var(--bad)}.warning td{color:var(--warn)}";

/// The page.
pub fn html(recording: &Recording, window: Window, here: Here) -> String {
    let verdict = recording.verdict_at(here);
    let header = recording.header();
    let mut page = String::with_capacity(256 << 10);
    let title = escaped(&format!("relay black box: {}", header.instance));
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>"
    );
    let _ = write!(
        page,
        "<p class=\"s\">host {}, pid {}, build {}, started {}</p>",
        escaped(&header.identity.host),
        header.identity.pid,
        escaped(if header.build.is_empty() { "unknown" } else { &header.build }),
        Utc(header.started.real_ns)
    );
    let ok = if verdict.cause.exit_code() == 0 { " ok" } else { "" };
    let _ = write!(page, "<div class=\"verdict{ok}\"><strong>{}</strong><ul>", escaped(&verdict.to_string()));
    for evidence in &verdict.evidence {
        let _ = write!(page, "<li>{}</li>", escaped(evidence));
    }
    page.push_str("</ul></div>\n");
    charts(recording, &mut page);
    page.push_str("<h2>The first minute</h2><dl>");
    for answer in answers(recording, &verdict) {
        let lines = answer.lines.join("\n");
        let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escaped(answer.title), escaped(&lines));
    }
    page.push_str("</dl>\n");
    events(recording, window, &mut page);
    page.push_str("</body></html>\n");
    page
}

/// `& < > " '` as entities: safe between tags and in quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

fn charts(recording: &Recording, page: &mut String) {
    let (end, _) = recording.last_ns();
    let first = recording.snapshots().next().map_or(end, |one| one.record.monotonic_ns);
    let whole = end.saturating_sub(first) as f64 / 1e9;
    let detail = whole.clamp(1.0, DETAIL);
    let clock = Clock { recording, end };
    page.push_str("<h2>The last minute</h2>\n");
    clock.memory("Memory", detail).put(page);
    clock.holders(detail).put(page);
    clock.lines("Rates", Unit::Count, detail, &[
        ("accepted/s", "ingest.accepted"),
        ("published/s", "events.published"),
        ("delivered/s", "events.delivered"),
        ("refused for rate/s", "ingest.refused_rate"),
        ("refused busy/s", "ingest.refused_busy"),
        ("dropped/s", "dropped.full"),
    ]).put(page);
    clock.lines("Waiting, in each second", Unit::Microseconds, detail, &[
        ("memory some", "psi.memory_some"),
        ("memory full", "psi.memory_full"),
        ("cpu some", "psi.cpu_some"),
        ("io full", "psi.io_full"),
    ]).put(page);
    clock.levels("Governor", Unit::Ratio, detail, &[("scale", "governor.scale")]).put(page);
    clock.levels("Forecast: time to the limit", Unit::Seconds, detail, &[("forecast", "governor.forecast")]).put(page);
    clock.levels("Lateness of the recorder", Unit::Microseconds, detail, &[("late", "recorder.late")]).put(page);
    for field in own_fields(recording).take(OWN_CHARTS) {
        clock.levels(&field.name, field.unit, detail, &[(&field.name, &field.name)]).put(page);
    }
    if whole > DETAIL {
        page.push_str("<h2>The whole recording</h2>\n");
        clock.memory("Memory", whole).put(page);
    }
}

/// Fields that no chart above knows: a service's own.
fn own_fields(recording: &Recording) -> impl Iterator<Item = &FieldInfo> {
    let mut standard = Schema::new();
    // There is room for them in an empty schema.
    let _ = Standard::declare(&mut standard);
    let fields = recording.header().fields.iter();
    fields.filter(move |field| standard.fields().iter().all(|known| known.name != field.name))
}

/// Draws over the time before the last record.
struct Clock<'a> {
    recording: &'a Recording,
    end: u64,
}

impl<'a> Clock<'a> {
    fn at(&self, monotonic_ns: u64) -> f64 {
        -(self.end.saturating_sub(monotonic_ns) as f64 / 1e9)
    }

    fn snapshots(&self, seconds: f64) -> impl Iterator<Item = (f64, SnapshotView<'a>)> {
        let all = self.recording.snapshots();
        let placed = all.map(|one| (self.at(one.record.monotonic_ns), one));
        placed.filter(move |(at, _)| *at >= -seconds)
    }

    fn series(&self, title: &str, name: &str, seconds: f64) -> Series {
        let points = self.snapshots(seconds);
        Series {
            name: title.to_owned(),
            points: points.filter_map(|(at, one)| Some((at, one.number(name)?))).collect(),
        }
    }

    fn levels(&self, title: &str, unit: Unit, seconds: f64, fields: &[(&str, &str)]) -> Chart {
        let mut chart = Chart::new(title, unit, seconds);
        chart.series = fields.iter().map(|(title, name)| self.series(title, name, seconds)).collect();
        chart
    }

    /// Counters as their growth in each second.
    fn lines(&self, title: &str, unit: Unit, seconds: f64, fields: &[(&str, &str)]) -> Chart {
        let mut chart = self.levels(title, unit, seconds, fields);
        for series in &mut chart.series {
            let rate = |pair: &[(f64, f64)]| {
                let [(from, before), (to, after)] = pair else { return None };
                let apart = to - from;
                (apart > 0.0).then(|| (*to, ((after - before) / apart).max(0.0)))
            };
            series.points = series.points.windows(2).filter_map(rate).collect();
        }
        chart
    }

    fn memory(&self, title: &str, seconds: f64) -> Chart {
        let mut chart = self.levels(title, Unit::Bytes, seconds, &[
            ("usage", "memory.usage"),
            ("unreclaimable", "memory.unreclaimable"),
            ("heap live", "heap.live"),
            ("ledger", "ledger.used"),
        ]);
        let shape = self.recording.shape();
        if let Some(limit) = shape.limit_bytes {
            let level = |name: &str, value, class| Level {
                name: name.to_owned(),
                value,
                class,
            };
            chart.levels.push(level("limit", limit, "v0"));
            for (share, name, class) in LADDER {
                chart.levels.push(level(name, limit * share, class));
            }
        }
        if let Some(next) = shape.projected_bytes {
            chart.levels.push(Level {
                name: "forecast for the next record".into(),
                value: next,
                class: "vf",
            });
        }
        chart.bands = self.bands(seconds);
        chart.marks = self.marks(seconds);
        chart
    }

    /// Stretches above the normal level.
    fn bands(&self, seconds: f64) -> Vec<Band> {
        let mut bands: Vec<Band> = Vec::new();
        let classes = ["", "b1", "b2", "b3", "b4"];
        for (at, one) in self.snapshots(seconds) {
            let level = one.number("governor.level").unwrap_or(0.0);
            let class = classes.get(level as usize).copied().unwrap_or("b4");
            match bands.last_mut() {
                Some(last) if last.class == class => last.to = at,
                last => {
                    if let Some(last) = last {
                        last.to = at;
                    }
                    bands.push(Band {
                        from: at,
                        to: at,
                        class,
                        title: level_name(level),
                    });
                }
            }
        }
        bands.retain(|band| !band.class.is_empty());
        bands.truncate(MARKS);
        bands
    }

    fn marks(&self, seconds: f64) -> Vec<Mark> {
        let events = self.recording.events().iter().rev();
        let events = events.filter(|event| event.kind != EventKind::Start);
        events
            .map(|event| Mark {
                at: self.at(event.monotonic_ns),
                class: match event.severity {
                    EventSeverity::Info => "m1",
                    EventSeverity::Warning => "m2",
                    EventSeverity::Error | EventSeverity::Critical => "m3",
                },
                title: format!("{} {}", Utc(event.real_ns), event.summary()),
            })
            .filter(|mark| mark.at >= -seconds)
            .take(MARKS)
            .collect()
    }

    /// Bytes queued, by who holds them.
    fn holders(&self, seconds: f64) -> Chart {
        let mut by_name: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (at, one) in self.snapshots(seconds) {
            for index in 0..HOLDERS {
                let bytes = one.number_at("holder.bytes", index);
                if let (FieldValue::Name(name), Some(bytes)) = (one.get("holder.name", index), bytes) {
                    // A hostile file may have a name in each record.
                    if by_name.len() < 32 || by_name.contains_key(name) {
                        by_name.entry(name.to_owned()).or_default().push((at, bytes));
                    }
                }
            }
        }
        let mut chart = Chart::new("Held bytes by holder", Unit::Bytes, seconds);
        chart.stacked = true;
        let series = by_name.into_iter().map(|(name, points)| Series { name, points });
        chart.series = series.collect();
        let last = |series: &Series| series.points.last().map_or(0.0, |(_, bytes)| *bytes);
        chart.series.sort_by(|a, b| last(b).total_cmp(&last(a)));
        chart
    }
}

fn events(recording: &Recording, window: Window, page: &mut String) {
    let mut entries = timeline(recording, window);
    entries.retain(|entry| matches!(entry, Entry::Event(_)));
    let left_out = entries.len().saturating_sub(ROWS);
    page.push_str("<h2>Events, newest first</h2><div class=\"t\"><table>\n");
    for entry in entries.iter().rev().take(ROWS) {
        if let Entry::Event(event) = entry {
            let _ = writeln!(
                page,
                "<tr class=\"{}\"><td>{}</td><td>{}</td><td>{}</td></tr>",
                event.severity.as_str(),
                Utc(event.real_ns),
                event.severity.as_str(),
                escaped(&event.summary())
            );
        }
    }
    page.push_str("</table></div>\n");
    if left_out > 0 {
        let _ = writeln!(page, "<p class=\"s\">{left_out} older events are left out here.</p>");
    }
}

