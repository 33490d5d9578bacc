//! What is left on systems other than Linux, and here with `--cfg relay_portable`: a recording in memory.
#![cfg(any(relay_portable, not(target_os = "linux")))]
#![allow(clippy::unwrap_used)]

use std::path::Path;

use relay_forensics::{
    Identity, Options, PanicGuard, ReadError, Recording, Schema, TerminationPage, Unit, Warning,
};

#[test]
fn a_recording_stays_in_memory_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut schema = Schema::new();
    let open_orders = schema.field::<u64>("orders.open", Unit::Count).unwrap();
    let mut opened = Options::new("shop")
        .folder(folder.path())
        .schema(schema)
        .open();
    let warnings: Vec<_> = opened.warnings.iter().map(ToString::to_string).collect();
    assert!(
        warnings[0].contains("not available on this system"),
        "{warnings:?}"
    );
    assert!(
        matches!(opened.warnings.last(), Some(Warning::MemoryOnly)),
        "{warnings:?}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    opened
        .snapshots
        .record(|fields| fields.set(open_orders, 17));
    let recording = opened.recorder.read();
    let last = recording.snapshots().last().unwrap();
    assert_eq!(last.number("orders.open"), Some(17.0));
    opened.recorder.finish().unwrap();
}

#[test]
fn folders_and_pages_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let page = TerminationPage::open(&folder.path().join("page")).unwrap_err();
    assert_eq!(page.kind(), std::io::ErrorKind::Unsupported);
    assert!(matches!(
        Recording::open(Path::new("/nowhere.fdr")),
        Err(ReadError::Io(_))
    ));
    let identity = Identity::of_this_process();
    assert_eq!(identity.pid, std::process::id());
    assert_eq!(identity.kernel, std::env::consts::OS);
    let guarded = PanicGuard::new(|_: &_| {}).wrap_thread("part", || 7);
    assert_eq!(guarded().unwrap(), 7);
}
