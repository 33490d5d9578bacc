//! Damaged and forged recordings: none does harm. The quick form; the long one is the example itself, a million files.

#[allow(dead_code)]
#[path = "../examples/mutate.rs"]
mod mutate;

/// A few seconds of them in a debug build.
const FILES: u64 = 150;

#[test]
fn forged_files_are_read_and_shown_without_harm() {
    let summary = mutate::run(FILES, 7);
    assert_eq!(summary.files, FILES);
    // Else the checksums keep everything out, and nothing was tried.
    assert!(
        summary.read > FILES / 2 && summary.records > FILES * 5,
        "{summary:?}"
    );
}
