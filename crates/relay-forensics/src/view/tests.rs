use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::{
    Event, EventKind, EventSeverity, Here, Limits, Name, Options, Schema, Unit,
    options::Opened,
    reader::tests as recordings,
    standard::Standard,
};

const MIB: u64 = 1 << 20;
const HOSTILE: &str = "<script>alert('x')</script>&\"";

/// A run that fills 64 MiB while a governor turns.
fn story() -> (Opened, Recording) {
    let mut schema = Schema::new();
    let f = Standard::declare(&mut schema).unwrap();
    let own = schema.field::<u8>("own", Unit::Count).unwrap();
    let none: [PathBuf; 0] = [];
    let mut opened = Options::new("shop")
        .folders(none)
        .schema(schema)
        .build("1.2.3 abc")
        .config_hash(0xfeed)
        .limits(Limits {
            limit_bytes: Some(64 * MIB),
            source: "/sys/fs/cgroup/memory.max".into(),
            ..Limits::default()
        })
        .open();
    let recorder = opened.recorder.clone();
    let (queue, emitter) = (recorder.name("bus:external"), recorder.name(HOSTILE));
    for n in 0..8_u64 {
        opened.snapshots.record(|s| {
            s.set(f.memory_limit, 64 * MIB);
            s.set(f.memory_usage, (8 * n + 7) * MIB);
            s.set(f.memory_unreclaimable, (8 * n + 7) * MIB);
            s.set(f.level, (n / 2) as u8);
            s.set(f.governor_state, 1);
            s.set(f.scale, 0.5);
            s.set(f.accepted, 100 * n);
            s.set_at(f.holder_name, 0, queue);
            s.set_at(f.holder_bytes, 0, n * MIB);
            s.set_at(f.holder_name, 1, Name::NONE);
            s.set_at(f.emitter_name, 0, emitter);
            s.set_at(f.emitter_state, 0, 2);
            s.set(f.psi_memory_some, 1000 * n);
            s.set(f.psi_memory_full, 500 * n);
            s.set(own, n as u8);
        });
    }
    let level = Event::new(EventKind::Level).severity(EventSeverity::Warning);
    recorder.record(&level.values(&[0, 3, 60 * MIB, 64 * MIB]));
    recorder.record(&Event::new(EventKind::Decision).label("purge: entered critical"));
    for _ in 0..3 {
        let error = Event::new(EventKind::Error).severity(EventSeverity::Error);
        recorder.record(&error.component(emitter).text(HOSTILE));
    }
    let recording = recorder.read();
    (opened, recording)
}

#[test]
fn why_answers_the_ten_questions_in_order() {
    let (_opened, recording) = story();
    let text = why(&recording, Here::SameMachine);
    let paragraph = text.lines().next().unwrap();
    assert!(paragraph.starts_with("shop: OOM-killed by its own memory limit (high confidence)"), "{text}");
    let titles = [
        " 1 verdict", " 2 when", " 3 memory", " 4 shape", " 5 holders", " 6 governor", " 7 rates",
        " 8 pressure", " 9 errors", "10 files",
    ];
    let found: Vec<usize> = titles.iter().map(|title| text.find(title).expect(title)).collect();
    assert!(found.is_sorted(), "{text}");
    for expected in [
        "limit 64.0 MiB (/sys/fs/cgroup/memory.max)",
        "burst",
        "bus:external 7.0 MiB (+7.0 MiB in 60 s)",
        "level critical, scale 0.50, degraded",
        "level from=0 to=3 usage=60.0 MiB limit=64.0 MiB",
        "purge: entered critical",
        "(x3)",
        "build 1.2.3 abc, config 000000000000feed",
        "failed",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
    }
}

#[test]
fn a_recording_without_known_fields_still_answers() {
    let none: [PathBuf; 0] = [];
    let opened = Options::new("bare").folders(none).open();
    let text = why(&opened.recorder.read(), Here::SameMachine);
    assert!(text.contains("3 memory    not recorded"), "{text}");
}

#[test]
fn the_window_is_counted_from_the_last_record() {
    let (_opened, recording) = story();
    let window = |tail, since| Window { tail, since };
    let all = timeline(&recording, Window::default());
    assert_eq!(all.len(), 8 + 6);
    assert!(all.is_sorted_by_key(Entry::monotonic_ns));
    let three = timeline(&recording, window(Some(3), None));
    assert_eq!(three.len(), 3);
    assert_eq!(three[2].monotonic_ns(), recording.last_ns().0);
    assert_eq!(timeline(&recording, window(None, Some(Duration::ZERO))).len(), 1);
    assert_eq!(timeline(&recording, window(None, Some(Duration::MAX))).len(), 14);
    assert_eq!(show(&recording, window(Some(2), None)).lines().count(), 2);
}

#[test]
fn json_is_an_object_a_line_with_three_kinds_of_nothing() {
    let (_opened, recording) = story();
    let mut out = Vec::new();
    json(&recording, Window::default(), Here::SameMachine, &mut out).unwrap();
    let lines: Vec<serde_json::Value> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["record"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[1]), ("header", "verdict"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "snapshot").count(), 8);
    assert_eq!(kinds.iter().filter(|kind| **kind == "event").count(), 6);
    assert_eq!(kinds.iter().filter(|kind| **kind == "census").count(), 4);
    assert_eq!(lines[0]["limit_bytes"], 64 * MIB);
    assert_eq!(lines[0]["high_bytes"], serde_json::Value::Null);
    assert_eq!(lines[1]["cause"], "oom");
    let snapshot = lines.iter().rfind(|line| line["record"] == "snapshot").unwrap();
    assert_eq!(snapshot["fields"]["memory.usage"], 63 * MIB);
    assert_eq!(snapshot["fields"]["memory.anon"], serde_json::Value::Null);
    assert_eq!(snapshot["fields"]["holder.name"][0], "bus:external");
    let level = lines.iter().find(|line| line["kind"] == "level").unwrap();
    assert_eq!(level["usage_bytes"], 60 * MIB);
}

#[test]
fn csv_has_a_column_for_each_value_and_no_formula() {
    let (opened, _) = story();
    let name = opened.recorder.name("=cmd|'/c calc'!A1");
    let mut opened = opened;
    let fields = Standard::declare(&mut Schema::new()).unwrap();
    opened.snapshots.record(|s| s.set_at(fields.holder_name, 0, name));
    let mut out = Vec::new();
    csv(&opened.recorder.read(), Window::default(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let columns = text.lines().next().unwrap().split(',').count();
    assert!(text.lines().next().unwrap().contains("holder.bytes.4"));
    assert_eq!(text.lines().count(), 1 + 9);
    assert!(text.lines().nth(2).unwrap().split(',').count() >= columns);
    assert!(text.contains("\"'=cmd|'/c calc'!A1\""), "{text}");
}

#[test]
fn the_page_is_whole_escapes_everything_and_asks_for_nothing() {
    let (_opened, recording) = story();
    let page = html(&recording, Window::default(), Here::SameMachine);
    assert!(!page.contains("<script"), "no script, and none from the file");
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"), "shown as text");
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("url("));
    assert!(page.contains("default-src 'none'"));
    for expected in ["Memory", "Held bytes by holder", "Rates", "Governor", "<figcaption>own", "class=\"b b3\"", "class=\"v v0\"", "</html>"] {
        assert!(page.contains(expected), "{expected} is missing");
    }
    for tag in ["svg", "figure", "table", "dl", "div", "g", "title"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn a_change_of_the_governor_is_found_in_every_view() {
    let (_opened, recording) = story();
    let mut lines = Vec::new();
    json(&recording, Window::default(), Here::SameMachine, &mut lines).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.contains("\"kind\":\"level\""));
    assert!(show(&recording, Window::default()).contains("warning  level from=0 to=3"));
    assert!(html(&recording, Window::default(), Here::SameMachine).contains("level from=0 to=3"));
}

#[test]
fn verify_counts_slots_and_says_when_some_are_missing() {
    let bytes = recordings::bytes();
    let (text, whole) = verify(&Recording::parse(&bytes).unwrap());
    assert!(whole && text.contains("lateness"), "{text}");
    let (text, whole) = verify(&Recording::parse(&bytes[..bytes.len() / 2]).unwrap());
    assert!(!whole, "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_view_of_a_damaged_file_is_text(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..400),
    ) {
        thread_local! {
            static BYTES: Vec<u8> = recordings::bytes();
        }
        let mut bytes = BYTES.with(Clone::clone);
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let checksum = crc32c::crc32c(&bytes[..3520]);
        bytes[3520..3524].copy_from_slice(&checksum.to_le_bytes());
        if let Ok(recording) = Recording::parse(&bytes) {
            let text = why(&recording, Here::Elsewhere) + &show(&recording, Window::default());
            prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
            let page = html(&recording, Window::default(), Here::Elsewhere);
            prop_assert!(!page.contains("<script"));
            let mut out = Vec::new();
            json(&recording, Window::default(), Here::Elsewhere, &mut out).unwrap();
            csv(&recording, Window::default(), &mut out).unwrap();
            let _ = verify(&recording);
        }
    }

    #[test]
    fn hostile_names_and_texts_are_escaped(text in "\\PC{0,80}") {
        let safe = html::escaped(&text);
        prop_assert!(!safe.contains(['<', '>', '"', '\'']));
    }
}
