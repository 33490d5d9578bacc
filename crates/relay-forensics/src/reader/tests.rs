use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::{Event, EventKind, Options, Schema, Unit, layout::Plan};

/// The bytes of a small recording with some of everything in it.
pub(crate) fn bytes() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let mut schema = Schema::new();
    let usage = schema.field::<u64>("memory.usage", Unit::Bytes).unwrap();
    let options = Options::new("t").folder(folder.path()).size_bytes(64 << 10);
    let mut opened = options.schema(schema).open();
    for n in 0..100 {
        opened.snapshots.record(|s| s.set(usage, n));
        opened.recorder.record(&Event::new(EventKind::Error).text("some text"));
    }
    std::fs::read(opened.recorder.path().unwrap()).unwrap()
}

#[test]
fn what_is_no_recording_says_so() {
    assert!(matches!(Recording::parse(b""), Err(ReadError::NotARecording)));
    assert!(matches!(Recording::parse(&[0; 8192]), Err(ReadError::NotARecording)));
    assert!(matches!(Recording::parse(&bytes()[..100]), Err(ReadError::Header)));
    let missing = Recording::open("/no/such/file.fdr").unwrap_err();
    assert!(matches!(missing, ReadError::Io(_)));
    assert!(matches!(Recording::open("/dev/null"), Err(ReadError::NotARecording)));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Recording::find(empty.path()), Err(ReadError::NoneThere)));
}

#[test]
fn a_file_that_was_cut_shows_what_it_still_has() {
    let bytes = bytes();
    let plan = Plan::new(64 << 10);
    let half = Recording::parse(&bytes[..plan.sections[1].offset]).unwrap();
    assert_eq!(half.census()[0].missing, 0);
    assert_eq!(half.census()[1].missing, plan.sections[1].slots);
    assert!(half.events().is_empty());
    let none = Recording::parse(&bytes[..4096]).unwrap();
    assert_eq!(none.snapshots().len(), 0);
}

#[test]
fn one_damaged_slot_is_one_record_less() {
    let whole = bytes();
    let before = Recording::parse(&whole).unwrap();
    let section = Plan::new(64 << 10).sections[0];
    let mut damaged = whole;
    damaged[section.slot(3).start + 40] ^= 1;
    let after = Recording::parse(&damaged).unwrap();
    let (was, is) = (before.census()[0], after.census()[0]);
    assert_eq!((is.valid, is.torn, is.gaps), (was.valid - 1, was.torn + 1, 1));
}

#[test]
fn a_living_process_shows_by_its_lock() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Options::new("t").folder(folder.path()).open();
    let path = opened.recorder.path().unwrap().to_owned();
    assert!(Recording::open(&path).unwrap().is_live());
    drop(opened);
    assert!(!Recording::open(&path).unwrap().is_live());
}

#[test]
fn the_recording_of_a_folder_is_the_last_that_ended() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| Options::new(name).folder(folder.path()).size_bytes(64 << 10).open();
    let alive = open("alive");
    let found = Recording::find(folder.path()).unwrap();
    assert_eq!(found.header().instance, "alive");
    drop(open("first"));
    drop(open("second"));
    let found = Recording::find(folder.path()).unwrap();
    assert_eq!(found.header().instance, "second");
    drop(alive);
}

#[test]
fn a_newer_minor_with_a_field_of_an_unknown_type_is_read() {
    let mut bytes = bytes();
    bytes[10] = 7;
    // The type of field 3, memory.usage.
    bytes[640 + 3 * 40 + 2] = 99;
    let checksum = crc32c::crc32c(&bytes[..3520]);
    bytes[3520..3524].copy_from_slice(&checksum.to_le_bytes());
    let recording = Recording::parse(&bytes).unwrap();
    let last = recording.snapshots().next_back().unwrap();
    assert_eq!(last.get("memory.usage", 0), FieldValue::Unknown);
    assert!(last.number("recorder.period").is_some());
    assert_eq!(recording.header().minor, 7);
}

/// Reads everything that can be asked of a recording.
pub(crate) fn exhaust(recording: &Recording) {
    let _ = recording.verdict().to_string();
    for snapshot in recording.snapshots() {
        for (_, values) in snapshot.fields() {
            values.for_each(drop);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        let _ = Recording::parse(&bytes);
    }

    #[test]
    fn a_recording_with_wrong_bytes_is_read_without_harm(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..200),
        fix_header in any::<bool>(),
        cut in any::<prop::sample::Index>(),
        shorten in any::<bool>(),
    ) {
        thread_local! {
            static BYTES: Vec<u8> = bytes();
        }
        let mut bytes = BYTES.with(Clone::clone);
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if fix_header {
            let checksum = crc32c::crc32c(&bytes[..3520]);
            bytes[3520..3524].copy_from_slice(&checksum.to_le_bytes());
        }
        if shorten {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(recording) = Recording::parse(&bytes) {
            exhaust(&recording);
        }
    }
}

#[test]
fn names_of_files_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Options::new("a b/../c").folder(folder.path()).open();
    let path: PathBuf = folder.path().join("relay-a-b-..-c.fdr");
    assert_eq!(opened.recorder.path(), Some(path.as_path()));
}
