//! A process that jemalloc profiles, and one that it does not: the variable is read as the process starts, so each is one
//! of its own.

#![allow(clippy::unwrap_used)]

use relay_sense::alloc::Jemalloc;
use std::io::ErrorKind;
use std::process::Command;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Set where this is the process that is looked at.
const PROFILED: &str = "RELAY_TEST_PROFILED";

#[inline(never)]
fn hold_much() -> Vec<Vec<u8>> {
    (0..200).map(|_| vec![1; 100_000]).collect()
}

/// The first line is `heap_v2/SAMPLE`, the second `  t*: LIVE: BYTES [MADE: BYTES]` of all threads.
fn sampled_bytes() -> u64 {
    let profile = Jemalloc::heap_profile(8 << 20).unwrap();
    let text = String::from_utf8(profile).unwrap();
    assert!(text.contains("MAPPED_LIBRARIES"), "for the symbols");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("heap_v2/16384"));
    let all = lines.next().unwrap();
    all.split_whitespace().nth(2).unwrap().parse().unwrap()
}

#[test]
fn a_process_that_is_profiled_says_who_holds_its_memory() {
    if std::env::var_os(PROFILED).is_none() {
        let this = std::env::current_exe().unwrap();
        let test = "a_process_that_is_profiled_says_who_holds_its_memory";
        let output = Command::new(this)
            .args([test, "--exact"])
            .env(PROFILED, "")
            .env("_RJEM_MALLOC_CONF", "prof:true,lg_prof_sample:14")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    assert!(Jemalloc::is_profiling());
    let held = hold_much();
    let with = sampled_bytes();
    drop(held);
    let without = sampled_bytes();
    // Of 20 MB; how much of it is in the sample differs between runs.
    assert!(with > without + 1_000_000, "{with}, {without} without");

    let error = Jemalloc::heap_profile(100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge, "{error}");
}

#[test]
fn a_process_that_is_not_profiled_says_how_it_would_be() {
    assert!(!Jemalloc::is_profiling());
    let error = Jemalloc::heap_profile(8 << 20).unwrap_err();
    assert!(error.to_string().contains("prof:true"), "{error}");
}
