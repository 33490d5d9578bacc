use std::{fs, sync::Arc, thread};

use super::*;
use crate::{Event, EventKind, Options, PanicGuard};

fn reporter(folder: &std::path::Path) -> CrashReporter {
    let opened = Options::new("t").folders(Vec::new()).build("1.0").config_hash(0xabc).open();
    opened.recorder.record(&Event::new(EventKind::Error).text("seen just before"));
    CrashReporter::new(folder.join("crashes")).recorder(opened.recorder)
}

fn written(outcome: CrashOutcome) -> PathBuf {
    match outcome {
        CrashOutcome::Written(path) => path,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_induced_panic_leaves_a_report_with_all_that_was_known() {
    let folder = tempfile::tempdir().unwrap();
    let reporter = reporter(folder.path())
        .section("memory", || "anon 5 MiB".into())
        .section("broken", || panic!("in a section"))
        .section("secret", || "password=c4naRy\nsecond line".into())
        .attachment("heap.pb", 3, || Some(b"too large".to_vec()))
        .attachment("none.pb", 3, || panic!("in an attachment"))
        .attachment("cpu.pb", 10, || Some(b"profile".to_vec()));
    let (sender, outcome) = std::sync::mpsc::sync_channel(1);
    let guard = PanicGuard::new(move |panicked| {
        let _ = sender.send(reporter.panicked(panicked));
    });
    let body = guard.wrap_thread("emitter:../nats", || panic!("out of ideas, token=c4naRy"));
    let caught: Result<(), _> = thread::Builder::new()
        .name("worker-7".into())
        .spawn(body)
        .unwrap()
        .join()
        .unwrap();
    assert!(caught.is_err());
    let path = written(outcome.recv().unwrap());
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("emitter-..-nats-2") && name.ends_with("-1.crash.txt"), "{name}");
    let text = fs::read_to_string(&path).unwrap();
    for expected in [
        "emitter:../nats panicked at",
        "crash_report/tests.rs:",
        "out of ideas, token=[hidden]",
        "thread      worker-7",
        "build       1.0",
        "config      0000000000000abc",
        "held back   0 reports",
        "== backtrace\n",
        "== threads\n",
        "worker-7\n",
        "== memory\nanon 5 MiB\n",
        "== broken\n(it panicked)\n",
        "password=[hidden]\nsecond line\n",
        "== recording\n",
        "error: seen just before",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
    }
    assert!(!text.contains("c4naRy"));
    let files = || {
        let files = fs::read_dir(path.parent().unwrap()).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        files.map(|entry| name(entry).unwrap()).collect::<Vec<_>>()
    };
    // The last of the attachments: what else there is by then is all.
    let is_there = || files().iter().any(|name| name.ends_with("-1.cpu.pb"));
    let patience = Instant::now() + Duration::from_secs(10);
    while !is_there() {
        assert!(Instant::now() < patience, "{:?}", files());
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(files().len(), 2, "{:?}", files());
}

#[test]
fn one_a_minute_and_the_next_says_how_many_were_held_back() {
    let folder = tempfile::tempdir().unwrap();
    let reporter = reporter(folder.path());
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let report = |seconds| reporter.report(at(seconds), "x", "why", None);
    written(report(0));
    assert!(matches!(report(1), CrashOutcome::Suppressed(1)));
    assert!(matches!(report(59), CrashOutcome::Suppressed(2)));
    let text = fs::read_to_string(written(report(60))).unwrap();
    assert!(text.contains("held back   2 reports"), "{text}");
    assert!(text.contains("suppressed reports=2: crash reports"), "{text}");
    assert!(matches!(report(61), CrashOutcome::Suppressed(1)));
}

#[test]
fn a_folder_that_cannot_be_used_is_answered_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let reporter = Arc::new(CrashReporter::new(folder.path().join("file/below")));
    let (sender, outcome) = std::sync::mpsc::sync_channel(1);
    let guard = PanicGuard::new(move |panicked| {
        let _ = sender.send(reporter.panicked(panicked));
    });
    let caught: Result<(), _> = guard.wrap_thread("x", || panic!("once"))();
    assert!(caught.is_err());
    let CrashOutcome::Failed(error) = outcome.recv().unwrap() else {
        panic!("written");
    };
    assert!(error.to_string().contains("folder of crash reports"), "{error}");
    assert_eq!(guard.panics(), 1, "it does not report itself");
}

#[test]
fn the_newest_twenty_are_kept_with_what_lies_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let crashes = folder.path().join("crashes");
    fs::create_dir(&crashes).unwrap();
    for n in 10..35 {
        for ending in ["crash.txt", "cpu.pb"] {
            let name = format!("emitter-x-202601{n}T000000Z-1-1.{ending}");
            fs::write(crashes.join(name), "").unwrap();
        }
    }
    fs::write(crashes.join("unrelated"), "").unwrap();
    written(reporter(folder.path()).dump("memory", "critical"));
    let left: Vec<String> = fs::read_dir(&crashes)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let reports = left.iter().filter(|name| name.ends_with(ENDING)).count();
    assert_eq!((reports, left.len()), (KEEP_COUNT, 2 * KEEP_COUNT - 1 + 1));
    assert!(left.iter().any(|name| name.starts_with("memory-")));
}

#[test]
fn a_part_of_any_length_is_cut() {
    let mut text = String::new();
    part(&mut text, "long", || "x y\n".repeat(100_000));
    assert!(text.len() < PART_BYTES_MAX + 100 && text.ends_with("(cut)\n"));
}
