use std::thread;

use super::*;
use crate::{
    FieldValue, NO_LIMIT, Options, Schema, Unit,
    options::Opened,
    schema::{Array, Field},
    standard::Standard,
};

struct Fields {
    number: Field<u64>,
    ratio: Field<f32>,
    names: Array<Name>,
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::new();
    let fields = Fields {
        number: schema.field("number", Unit::Count).unwrap(),
        ratio: schema.field("ratio", Unit::Ratio).unwrap(),
        names: schema.array("names", Unit::Name, 2).unwrap(),
    };
    (schema, fields)
}

/// A recording in memory: the same writer as with a file.
fn opened() -> (Opened, Fields) {
    let (schema, fields) = schema();
    let none: [PathBuf; 0] = [];
    let options = Options::new("test").folders(none).size_bytes(64 << 10);
    (options.schema(schema).open(), fields)
}

#[test]
fn a_snapshot_comes_back_field_by_field() {
    let (mut opened, fields) = opened();
    let name = opened.recorder.name("emitter:nats");
    opened.snapshots.record(|s| {
        s.set(fields.number, 17);
        s.set(fields.ratio, 0.25);
        s.set_at(fields.names, 1, name);
        s.set_at(fields.names, 2, name);
    });
    opened.snapshots.record(|s| {
        s.set_known(fields.number, Some(NO_LIMIT));
        s.set_known(fields.ratio, None);
    });
    let recording = opened.recorder.read();
    let mut snapshots = recording.snapshots();
    let first = snapshots.next().unwrap();
    assert_eq!(first.get("number", 0), FieldValue::Integer(17));
    assert_eq!(first.number("ratio"), Some(0.25));
    assert_eq!(first.get("names", 0), FieldValue::Unknown);
    assert_eq!(first.get("names", 1), FieldValue::Name("emitter:nats"));
    assert_eq!(first.get("names", 2), FieldValue::Unknown);
    assert_eq!(first.get("recorder.period", 0), FieldValue::Unknown);
    let second = snapshots.next().unwrap();
    assert_eq!(second.get("number", 0), FieldValue::NoLimit);
    assert_eq!(second.get("ratio", 0), FieldValue::Unknown);
    assert!(second.number("recorder.period").is_some());
    assert_eq!(second.get("nothing", 0), FieldValue::Unknown);
    assert!(snapshots.next().is_none(), "the coarse copy of the first is left out");
}

#[test]
fn flight_recorder_ring_buffer_wraps_in_order() {
    let (mut opened, fields) = opened();
    let slots = opened.recorder.shared().plan.section(SectionKind::Fine).slots as u64;
    let total = slots * 2 + 3;
    for n in 0..total {
        opened.snapshots.record(|s| s.set(fields.number, n));
    }
    let recording = opened.recorder.read();
    let fine: Vec<f64> = recording
        .snapshots()
        .filter(|one| !one.record.coarse)
        .map(|one| one.number("number").unwrap())
        .collect();
    let expected: Vec<f64> = (total - slots..total).map(|n| n as f64).collect();
    assert_eq!(fine, expected, "the last {slots}, oldest first");
    let census = recording.census()[SectionKind::Fine.index()];
    assert_eq!((census.valid as u64, census.gaps, census.newest), (slots, 0, total));
}

#[test]
fn retention_is_the_number_of_slots_times_the_interval() {
    // A mebibyte: 984 fine snapshots and 488 coarse ones of 5 s.
    let plan = Plan::new(1 << 20);
    let fine = plan.section(SectionKind::Fine).slots as u64;
    let coarse = plan.section(SectionKind::Coarse).slots as u64;
    assert_eq!(Duration::from_millis(100 * fine).as_secs(), 98);
    assert_eq!(Duration::from_secs(5 * coarse).as_secs(), 2440);
    // A recording of 64 KiB holds as many as it has slots, and the oldest is that many intervals old.
    let (mut opened, fields) = opened();
    let slots = opened.recorder.shared().plan.section(SectionKind::Fine).slots as u64;
    for n in 0..slots + 100 {
        opened.snapshots.record(|s| s.set(fields.number, n));
    }
    let recording = opened.recorder.read();
    let oldest = recording.snapshots().find(|one| !one.record.coarse).unwrap();
    assert_eq!(oldest.number("number"), Some(100.0));
}

#[test]
fn a_standard_snapshot_an_event_and_a_read_of_the_state_allocate_nothing() {
    let mut schema = Schema::new();
    let standard = Standard::declare(&mut schema).unwrap();
    let none: [PathBuf; 0] = [];
    let mut opened = Options::new("test").folders(none).schema(schema).open();
    let name = opened.recorder.name("x");
    let counted = allocation_counter::measure(|| {
        for n in 0..100 {
            opened.snapshots.record(|s| {
                s.set(standard.memory_usage, n);
                s.set_at(standard.holder_name, 0, name);
            });
            let event = Event::new(EventKind::Error).component(name).values(&[n]);
            opened.recorder.record(&event.text("token=c4naRy and a text that is scrubbed"));
            opened.recorder.shared().fatal_signal(11, 0xdead, 1);
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn four_writers_lose_nothing_they_do_not_count() {
    let (opened, _) = opened();
    let each = if cfg!(miri) { 50 } else { 5_000 };
    let threads: Vec<_> = (0..4_u64)
        .map(|writer| {
            let recorder = opened.recorder.clone();
            thread::spawn(move || {
                let event = |n| Event::new(EventKind::Other(1000)).values(&[writer, n, !n]);
                (0..each).filter(|n| recorder.record(&event(*n))).count() as u64
            })
        })
        .collect();
    // Beside the writers: what is read is whole.
    for _ in 0..20 {
        for event in opened.recorder.read().events() {
            if event.kind == EventKind::Other(1000) {
                assert_eq!(event.values[1], !event.values[2], "torn");
            }
        }
    }
    let written: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(written + opened.recorder.lost(), 4 * each);
    let recording = opened.recorder.read();
    let census = recording.census()[SectionKind::Events.index()];
    assert_eq!(census.newest, 4 * each + 1, "each has its number; one is the start");
    assert_eq!((census.torn, recording.lost()), (0, opened.recorder.lost()));
}

#[test]
fn names_are_numbered_once_and_the_table_is_bounded() {
    let (opened, _) = opened();
    let first = opened.recorder.name("a");
    assert_eq!(opened.recorder.name("a"), first);
    assert_ne!(opened.recorder.name("b"), first);
    let slots = opened.recorder.shared().plan.section(SectionKind::Strings).slots;
    for n in 2..slots {
        assert_ne!(opened.recorder.name(&format!("name-{n}")), Name::NONE);
    }
    assert_eq!(opened.recorder.name("one too many"), Name::NONE);
    assert_eq!(opened.recorder.name("a"), first);
    opened.recorder.record(&Event::new(EventKind::Error).component(first));
    let recording = opened.recorder.read();
    assert_eq!(recording.events().last().unwrap().component.as_deref(), Some("a"));
}

#[test]
fn secrets_in_names_and_texts_are_not_kept() {
    let (opened, _) = opened();
    let name = opened.recorder.name("nats://user:c4naRy@host");
    opened.recorder.record(&Event::new(EventKind::Error).component(name).text("pwd: c4naRy"));
    let recording = opened.recorder.read();
    let event = recording.events().last().unwrap();
    assert_eq!(event.component.as_deref(), Some("nats://[hidden]@host"));
    assert_eq!(event.text, "pwd: [hidden]");
}

#[test]
fn states_follow_the_life_of_the_process() {
    let (mut opened, fields) = opened();
    assert_eq!(opened.recorder.state(), RunState::Starting);
    opened.snapshots.record(|s| s.set(fields.number, 1));
    assert_eq!(opened.recorder.state(), RunState::Running);
    opened.recorder.drain_started(Some(Duration::from_secs(30)));
    opened.snapshots.record(|s| s.set(fields.number, 2));
    assert_eq!(opened.recorder.state(), RunState::Draining);
    let state = opened.recorder.read().state();
    assert_eq!(state.grace_ns, Some(30_000_000_000));
    opened.recorder.finish().unwrap();
    assert_eq!(opened.recorder.read().state().run, RunState::Clean);
}

#[test]
fn a_jump_of_the_wall_clock_is_an_event() {
    let (mut opened, fields) = opened();
    opened.snapshots.record(|s| s.set(fields.number, 1));
    let offset = &opened.recorder.shared().real_offset;
    offset.fetch_sub(5_000_000_000, Ordering::Relaxed);
    opened.snapshots.record(|s| s.set(fields.number, 2));
    opened.snapshots.record(|s| s.set(fields.number, 3));
    let recording = opened.recorder.read();
    let jumps: Vec<_> = recording
        .events()
        .iter()
        .filter(|event| event.kind == EventKind::ClockJump)
        .collect();
    assert_eq!(jumps.len(), 1);
    let by = jumps[0].values[0].cast_signed();
    assert!((4_900_000_000..5_100_000_000).contains(&by), "{by}");
}
