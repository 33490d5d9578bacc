use std::{path::PathBuf, time::Duration};

use super::{judge::SURVIVED, *};
use crate::{
    Event, EventKind, Limits, RunState, NO_LIMIT, Options, Schema, SnapshotWriter,
    header::Aftermath,
    identity::Identity,
    options::Opened,
    standard::Standard,
};

const MIB: u64 = 1 << 20;

struct Run {
    opened: Opened,
    fields: Standard,
}

impl Run {
    /// A process in a container of 64 MiB on a machine of 8 GiB.
    fn start() -> Self {
        let mut schema = Schema::new();
        let fields = Standard::declare(&mut schema).unwrap();
        let none: [PathBuf; 0] = [];
        let opened = Options::new("test")
            .folders(none)
            .schema(schema)
            .limits(Limits {
                limit_bytes: Some(64 * MIB),
                ..Limits::default()
            })
            .identity(Identity {
                host_memory_bytes: Some(8192 * MIB),
                ..Identity::of_this_process()
            })
            .open();
        Self { opened, fields }
    }

    fn uses(&mut self, bytes: u64) -> &mut Self {
        let fields = self.fields;
        self.snapshots().record(|s| {
            s.set(fields.memory_limit, 64 * MIB);
            s.set(fields.memory_usage, bytes);
            s.set(fields.memory_unreclaimable, bytes);
            s.set(fields.oom_kill, 0);
            s.set(fields.host_available, 4096 * MIB);
        });
        self
    }

    fn snapshots(&mut self) -> &mut SnapshotWriter {
        &mut self.opened.snapshots
    }

    /// The recording as the next start of the same boot finds it.
    fn found(&self) -> Recording {
        self.found_after(true, None)
    }

    fn found_after(&self, same_boot: bool, oom_kills: Option<u64>) -> Recording {
        let mut recording = self.opened.recorder.read();
        recording.set_aftermath(Aftermath {
            same_boot,
            real_ns: 0,
            oom_kills,
        });
        recording
    }
}

/// Cause, confidence and all evidence in one text.
fn judged(recording: &Recording) -> (Cause, Confidence, String) {
    let verdict = recording.verdict();
    let all = format!("{verdict}\n{}", verdict.evidence.join("\n"));
    (verdict.cause, verdict.confidence, all)
}

#[test]
fn a_full_limit_is_its_own_oom() {
    let mut run = Run::start();
    run.uses(40 * MIB).uses(66_900_000);
    let (cause, confidence, text) = judged(&run.found());
    assert_eq!((cause, confidence), (Cause::Oom, Confidence::High), "{text}");
    assert!(text.contains("63.8 MiB of 64.0 MiB (99.7 %)"), "{text}");
    assert!(text.contains("same boot id"), "{text}");
    assert_eq!(cause.exit_code(), 10);
}

#[test]
fn a_limit_full_of_file_caches_is_no_oom() {
    let mut run = Run::start();
    let fields = run.fields;
    for _ in 0..3 {
        run.snapshots().record(|s| {
            s.set(fields.memory_limit, 64 * MIB);
            s.set(fields.memory_usage, 64 * MIB);
            s.set(fields.memory_unreclaimable, 20 * MIB);
        });
    }
    // Usage that does not grow is not projected past the limit, only at it.
    let recording = run.found();
    assert_eq!(recording.shape().slope, Some(0.0));
    let (cause, ..) = judged(&recording);
    assert_eq!(cause, Cause::Killed);
}

#[test]
fn growth_that_passes_the_limit_before_the_next_record_is_oom() {
    let mut run = Run::start();
    run.uses(30 * MIB).uses(50 * MIB);
    let (cause, confidence, text) = judged(&run.found());
    assert_eq!((cause, confidence), (Cause::Oom, Confidence::High), "{text}");
    assert!(text.contains("before the next record"), "{text}");
}

/// The recorder was held up for longer than a period while memory climbed.
#[test]
fn growth_that_passes_the_limit_soon_is_oom_with_less_confidence() {
    let run = |second_mib: u64| {
        let mut run = Run::start();
        run.uses(20 * MIB);
        std::thread::sleep(Duration::from_millis(1));
        run.uses(second_mib * MIB);
        judged(&run.found())
    };
    // 21 MiB in a period: of 64 MiB 23 are left, which is more than one and not much.
    let (cause, confidence, text) = run(41);
    assert_eq!((cause, confidence), (Cause::Oom, Confidence::Medium), "{text}");
    assert!(text.contains("the recorder may have been held up"), "{text}");
    let (cause, _, text) = run(20);
    assert_eq!(cause, Cause::Killed, "{text}");
}

/// On a busy machine who fills memory stands still as well, and what went before is forgotten too soon.
#[test]
fn a_pause_before_the_last_record_hides_no_growth() {
    let mut run = Run::start();
    run.uses(10 * MIB);
    std::thread::sleep(Duration::from_millis(1));
    run.uses(50 * MIB).uses(50 * MIB).uses(50 * MIB);
    let (cause, confidence, text) = judged(&run.found());
    assert_eq!((cause, confidence), (Cause::Oom, Confidence::Medium), "{text}");
}

#[test]
fn a_threshold_passed_after_the_last_snapshot_counts() {
    let mut run = Run::start();
    run.uses(20 * MIB).uses(20 * MIB);
    let event = Event::new(EventKind::Threshold).values(&[95, 63 * MIB, 64 * MIB]);
    run.opened.recorder.record(&event);
    assert_eq!(judged(&run.found()).0, Cause::Oom);
}

#[test]
fn a_counter_of_kills_that_rose_is_oom_also_when_memory_was_calm() {
    let mut run = Run::start();
    run.uses(20 * MIB).uses(20 * MIB);
    assert_eq!(judged(&run.found_after(true, Some(0))).0, Cause::Killed);
    let (cause, confidence, text) = judged(&run.found_after(true, Some(1)));
    assert_eq!((cause, confidence), (Cause::Oom, Confidence::Medium), "{text}");
}

#[test]
fn a_full_level_above_or_an_empty_node_is_the_ancestor() {
    let mut run = Run::start();
    let fields = run.fields;
    run.uses(20 * MIB).snapshots().record(|s| {
        s.set(fields.memory_limit, NO_LIMIT);
        s.set(fields.memory_usage, 20 * MIB);
        s.set(fields.binding_usage, 127 * MIB);
        s.set(fields.binding_limit, 128 * MIB);
        s.set(fields.binding_depth, 2);
    });
    let (cause, confidence, text) = judged(&run.found());
    assert_eq!((cause, confidence), (Cause::OomAncestor, Confidence::High));
    assert!(text.contains("2 levels above"), "{text}");
    assert_eq!(cause.exit_code(), 10);

    let mut run = Run::start();
    run.uses(20 * MIB).snapshots().record(|s| {
        s.set(fields.memory_limit, 64 * MIB);
        s.set(fields.memory_usage, 20 * MIB);
        s.set(fields.host_available, 100 * MIB);
    });
    let (cause, confidence, _) = judged(&run.found());
    assert_eq!((cause, confidence), (Cause::OomAncestor, Confidence::Medium));
}

#[test]
fn a_level_above_that_would_have_been_full_soon_is_the_ancestor() {
    for (before, expected) in [
        (110, (Cause::OomAncestor, Confidence::High)),
        // Five periods, which are next to nothing here.
        (122, (Cause::OomAncestor, Confidence::Medium)),
        (123, (Cause::Killed, Confidence::Medium)),
    ] {
        let mut run = Run::start();
        let fields = run.fields;
        for usage in [before, 123] {
            run.snapshots().record(|s| {
                s.set(fields.memory_limit, NO_LIMIT);
                s.set(fields.memory_usage, 20 * MIB);
                s.set(fields.binding_usage, usage * MIB);
                s.set(fields.binding_limit, 128 * MIB);
                s.set(fields.binding_depth, 1);
            });
        }
        let (cause, confidence, text) = judged(&run.found());
        let found = (cause, confidence);
        assert_eq!(found, expected, "{before} MiB, then 123 of 128: {text}");
    }
}

#[test]
fn a_kill_while_draining_is_the_end_of_its_time() {
    let mut run = Run::start();
    run.uses(20 * MIB);
    run.opened.recorder.drain_started(Some(Duration::ZERO));
    run.uses(20 * MIB);
    let (cause, confidence, text) = judged(&run.found());
    assert_eq!((cause, confidence), (Cause::KilledAfterGrace, Confidence::High), "{text}");
    run.opened.recorder.drain_started(Some(Duration::from_hours(1)));
    let (cause, confidence, _) = judged(&run.found());
    assert_eq!((cause, confidence), (Cause::KilledAfterGrace, Confidence::Medium));
    assert_eq!(cause.exit_code(), 14);
}

#[test]
fn calm_memory_and_no_word_is_a_kill_from_outside() {
    let mut run = Run::start();
    run.uses(20 * MIB).uses(20 * MIB);
    let (cause, confidence, _) = judged(&run.found());
    assert_eq!((cause, confidence), (Cause::Killed, Confidence::Medium));
    let run = Run::start();
    let (cause, confidence, _) = judged(&run.found());
    assert_eq!((cause, confidence), (Cause::Unknown, Confidence::Low));
}

#[test]
fn another_boot_is_a_reboot_unless_the_file_is_elsewhere() {
    let mut run = Run::start();
    run.uses(20 * MIB).uses(20 * MIB);
    let (cause, confidence, text) = judged(&run.found_after(false, None));
    assert_eq!((cause, confidence), (Cause::Reboot, Confidence::High));
    assert!(text.contains("up to 1.0 s before the end may be missing"), "{text}");
    let recording = run.opened.recorder.read();
    assert_eq!(recording.verdict_at(Here::Elsewhere).cause, Cause::Killed);
    run.uses(64 * MIB);
    let (cause, confidence, _) = judged(&run.found_after(false, None));
    assert_eq!((cause, confidence), (Cause::Reboot, Confidence::Medium));
}

#[test]
fn what_the_process_wrote_down_comes_before_full_memory() {
    let mut run = Run::start();
    run.uses(20 * MIB).uses(64 * MIB);
    run.opened.recorder.shared().fatal_signal(11, 0xdead, 7);
    let (cause, confidence, text) = judged(&run.found());
    assert_eq!((cause, confidence), (Cause::FatalSignal, Confidence::High));
    assert!(text.contains("SIGSEGV at address 0xdead"), "{text}");
    run.opened.recorder.finish().unwrap();
    assert_eq!(judged(&run.found()).0, Cause::Clean);
}

#[test]
fn an_abort_right_after_a_panic_is_the_panic() {
    let mut run = Run::start();
    run.uses(20 * MIB);
    run.opened.recorder.shared().fatal_signal(6, 0, 7);
    assert_eq!(judged(&run.found()).0, Cause::FatalSignal);
    run.opened.recorder.record(&Event::new(EventKind::Panic).text("lost at a.rs:7"));
    let (cause, _, text) = judged(&run.found());
    assert_eq!(cause, Cause::Panic);
    assert!(text.contains("lost at a.rs:7"), "{text}");
}

#[test]
fn a_panic_that_the_process_survived_is_not_its_end() {
    let mut run = Run::start();
    run.uses(20 * MIB);
    run.opened.recorder.record(&Event::new(EventKind::Panic).text("lost"));
    run.opened.recorder.shared().enter(RunState::Panic, 0);
    assert_eq!(judged(&run.found()).0, Cause::Panic);
    let mut later = run.found();
    later.delay_last_snapshot(SURVIVED);
    assert_eq!(judged(&later).0, Cause::Killed);
}

#[test]
fn every_cause_has_a_label_a_sentence_and_an_exit_code() {
    use Cause::{
        Clean, FatalSignal, Killed, KilledAfterGrace, Oom, OomAncestor, Panic, Reboot, Running,
        Unknown,
    };
    let all = [
        Running, Clean, Oom, OomAncestor, KilledAfterGrace, Killed, Panic, FatalSignal, Reboot, Unknown,
    ];
    let codes = all.map(Cause::exit_code);
    assert_eq!(codes, [0, 0, 10, 10, 14, 14, 11, 12, 13, 14]);
    let labels: std::collections::HashSet<_> = all.iter().map(|cause| cause.as_str()).collect();
    assert_eq!(labels.len(), all.len());
}
