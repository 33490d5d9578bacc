//! What the black box of an engine holds: of every part, at the moment it happens, and after a panic.

#![allow(clippy::unwrap_used)]

mod support;

use relay_engine::{BlackboxConfig, CrashFolder, EmitterOptions, Engine, EngineBuilder};
use relay_event::{Code, Delivery, Event, Overflow, Priority, Severity};
use relay_forensics::cadence::Cadence;
use relay_forensics::{Cause, EventKind, FieldValue, Options, Recording};
use std::fs;
use std::path::Path;
use std::time::Duration;
use support::{Collector, Machine, Scripted, Sender, Stuck, until};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(5);
const MIB: u64 = 1 << 20;

/// Each tick is recorded, and a tick comes each millisecond or two.
fn config(folder: &Path) -> BlackboxConfig {
    let mut config = BlackboxConfig::in_folder("test", folder);
    config.cadence = Cadence {
        idle: Duration::ZERO,
        alert: Duration::ZERO,
        danger: Duration::ZERO,
    };
    config.sync = Duration::ZERO;
    config
}

fn builder(machine: &Machine, config: BlackboxConfig) -> EngineBuilder {
    Engine::builder()
        .with_root(machine.root())
        .with_interval(Duration::from_millis(2))
        .with_idle_interval(Duration::from_millis(2))
        .without_error_log()
        .with_blackbox(config)
}

fn found(folder: &Path) -> Recording {
    Recording::open(folder.join("relay-test.fdr")).unwrap()
}

/// The last snapshot for which `done` holds.
async fn snapshot(
    engine: &Engine,
    what: &str,
    done: impl Fn(&dyn Fn(&str) -> Option<f64>) -> bool,
) {
    until(what, || {
        let recording = engine.recorder().read();
        let last = recording.snapshots().next_back();
        last.is_some_and(|last| done(&|name| last.number(name)))
    })
    .await;
}

/// Drops are told, the first of a second at once.
fn first_drop(recording: &Recording) {
    let drops = recording
        .events()
        .iter()
        .find(|event| event.kind == EventKind::Drop);
    let drops = drops.expect("the first drop");
    assert!(
        drops.text.starts_with("DROP_FULL") && drops.values[0] > 0,
        "{drops:?}"
    );
    assert!(
        drops
            .component
            .as_deref()
            .is_some_and(|name| name.starts_with("bus:external:sub"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_holds_every_part_that_can_be_known() {
    let (machine, dir) = (Machine::new(), TempDir::new().unwrap());
    machine.write(
        "proc/self/stat",
        "7 (relay) S 1 7 7 0 -1 4194560 10 0 3 0 50 20 0 0 20 0 9 0 4711 1 2\n",
    );
    machine.write("proc/self/fd/0", "");
    let sheddable = Delivery::sheddable(Overflow::DropNewest);
    let engine = builder(&machine, config(dir.path()))
        .with_adapter("in", Sender::new(7))
        .with_emitter(
            "small",
            Stuck,
            EmitterOptions::default()
                .delivery(sheddable)
                .queue(2, None)
                .batch(1, 1 << 20, Duration::ZERO),
        )
        .with_emitter("quick", Scripted::default(), EmitterOptions::default())
        .with_emitter(
            "stuck",
            Stuck,
            EmitterOptions::default().batch(1, 1 << 20, Duration::ZERO),
        )
        .start()
        .await
        .unwrap();
    snapshot(&engine, "the way in and the queues are seen", |number| {
        number("ingest.accepted") == Some(7.0)
            && number("queue.depth") >= Some(6.0)
            && number("dropped.full") >= Some(4.0)
            && number("queue.oldest") > Some(0.0)
            && number("process.threads") == Some(9.0)
    })
    .await;
    let recording = engine.recorder().read();
    let last = recording.snapshots().next_back().unwrap();
    let known = [
        "memory.limit",
        "memory.usage",
        "memory.unreclaimable",
        "memory.anon",
        "process.descriptors",
        "process.descriptors_limit",
        "process.tasks",
        "memory.major_faults",
        "cpu.usage",
        "queue.bytes",
        "events.published",
        "events.delivered",
        "dropped.other",
        "ingest.refused_rate",
        "ingest.refused_size",
        "ingest.refused_busy",
        "governor.level",
        "governor.state",
        "governor.reason",
        "governor.floor",
        "governor.scale",
        "ledger.used",
        "ledger.size",
        "errors.total",
        "errors.lost",
        "recorder.late",
        "recorder.period",
    ];
    let unknown: Vec<_> = known
        .into_iter()
        .filter(|name| last.number(name).is_none())
        .collect();
    assert!(unknown.is_empty(), "{unknown:?} are not recorded");
    // Known for a second or two after it was measured.
    until("latencies were measured", || {
        let recording = engine.recorder().read();
        let measured = |name: &str| {
            recording
                .snapshots()
                .any(|one| one.number(name) > Some(0.0))
        };
        ["publish.p50", "publish.p99", "emit.p50", "emit.p99"]
            .into_iter()
            .all(measured)
    })
    .await;
    let FieldValue::Name(largest) = last.get("holder.name", 0) else {
        panic!("nobody holds anything");
    };
    assert_eq!(largest, "emitter:stuck");
    assert!(last.number_at("holder.bytes", 0) > Some(0.0));
    let FieldValue::Name(emitter) = last.get("emitter.name", 0) else {
        panic!("there is no emitter");
    };
    assert_eq!(emitter, "emitter:small");
    first_drop(&recording);
    engine.shutdown(Duration::from_millis(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_limits_and_knobs_are_in_the_file_of_a_run_that_ended() {
    let (machine, dir) = (Machine::new(), TempDir::new().unwrap());
    let engine = builder(&machine, config(dir.path())).start().await.unwrap();
    machine.usage(92 * MIB);
    until("the level rises", || {
        let observation = engine.state().observation.unwrap();
        observation.decision.level == relay_control::Level::Critical
    })
    .await;
    machine.limit(120 * MIB);
    until("the limit is seen", || {
        let sample = engine.state().observation.unwrap().sample;
        sample.limit_bytes.bytes() == Some(120 * MIB)
    })
    .await;
    engine.shutdown(DEADLINE).await;
    let recording = found(dir.path());
    assert_eq!(recording.verdict().cause, Cause::Clean);
    let of = |kind| {
        recording
            .events()
            .iter()
            .find(move |event| event.kind == kind)
    };
    let level = of(EventKind::Level).unwrap();
    assert_eq!(level.values[1..4], [3, 92 * MIB, 100 * MIB]);
    let limit = of(EventKind::Limit).unwrap();
    assert_eq!(limit.values[..2], [100 * MIB, 120 * MIB]);
    for kind in [
        EventKind::Governor,
        EventKind::Decision,
        EventKind::DrainStart,
        EventKind::Clean,
    ] {
        assert!(of(kind).is_some(), "{kind:?}");
    }
    // AJ16: in what a person reads, too.
    let shown = relay_forensics::view::show(&recording, relay_forensics::view::Window::default());
    assert!(shown.contains("DEGRADED_MODE normal degraded"), "{shown}");
    assert!(
        shown.contains("GATE_FLOOR") && shown.contains("MEM_CRITICAL"),
        "{shown}"
    );
}

/// Dropped without a shutdown it drains nothing, but that was meant.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_dropped_was_not_killed() {
    let (machine, dir) = (Machine::new(), TempDir::new().unwrap());
    drop(builder(&machine, config(dir.path())).start().await.unwrap());
    assert_eq!(found(dir.path()).verdict().cause, Cause::Clean);
    let failing = Scripted {
        fail_start: true,
        ..Scripted::default()
    };
    let refused = builder(&machine, config(dir.path()))
        .with_emitter("out", failing, EmitterOptions::default())
        .start()
        .await;
    assert!(refused.is_err());
    assert_eq!(
        found(dir.path()).verdict().cause,
        Cause::Clean,
        "it said why itself"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_killed_is_given_out_by_the_next() {
    let (machine, dir) = (Machine::new(), TempDir::new().unwrap());
    // As if it were killed here: nothing says that it ended.
    drop(Options::new("test").folder(dir.path()).open());
    let collector = Collector::default();
    let engine = builder(&machine, config(dir.path()))
        .with_error_handler(collector.handler())
        .start()
        .await
        .unwrap();
    let previous = engine.previous_exit().unwrap();
    assert_eq!(previous.reason(), "unknown", "it recorded nothing");
    assert_eq!(
        engine.observer().previous_exit().unwrap().reason(),
        "unknown"
    );
    let path = previous.path.clone().unwrap();
    assert!(path.exists());
    engine.shutdown(DEADLINE).await;
    let events = collector.of(Code::PreviousExit);
    assert_eq!(events.len(), 1, "{events:?}");
    let text = events[0].to_string();
    assert!(
        text.contains("unknown") && text.contains(path.to_str().unwrap()),
        "{text}"
    );
}

fn publish(engine: &Engine) {
    let permit = engine.gate().admit(600, Priority::Normal).unwrap();
    let event = Event::builder("t")
        .charge(permit.arrived())
        .build()
        .unwrap();
    engine.external().try_publish(event).unwrap();
}

/// D30, M02: the event, then a report with what was known; neither has the secret of the panic's text.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_an_emitter_is_an_event_and_a_crash_report() {
    let (machine, dir) = (Machine::new(), TempDir::new().unwrap());
    let mut config = config(dir.path());
    config.crash_reports = CrashFolder::Beside;
    config.build = "test 1.2.3".into();
    config.config_hash = 0xabcd;
    let collector = Collector::default();
    let panics = Scripted::new(vec![|_| panic!("lost: password=c4naRy")]);
    let engine = builder(&machine, config)
        .with_error_handler(collector.handler())
        .with_emitter("out", panics, EmitterOptions::default())
        .start()
        .await
        .unwrap();
    for _ in 0..3 {
        publish(&engine);
        let seen = collector.of(Code::Panic).len();
        until("it has panicked", || collector.of(Code::Panic).len() > seen).await;
    }
    engine.shutdown(DEADLINE).await;
    let reports: Vec<_> = fs::read_dir(dir.path().join("crash"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(reports.len(), 1, "one a minute: {reports:?}");
    for panic in collector.of(Code::Panic) {
        assert_eq!(
            (panic.severity, panic.recoverable),
            (Severity::Critical, false)
        );
    }
    let report = fs::read_to_string(&reports[0]).unwrap();
    for part in [
        "emitter:out panicked at",
        "password=[hidden]",
        "test 1.2.3",
        "000000000000abcd",
        "== backtrace",
        "== threads",
        "relay-pulse",
        "== components",
        "emitter:out: healthy",
        "== memory in detail",
        "== recording",
        "governor.state",
    ] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    let recording = found(dir.path());
    let texts: Vec<_> = recording
        .events()
        .iter()
        .map(|event| event.text.as_str())
        .collect();
    let is_panic = |text: &&&str| text.starts_with("PANIC: emitter:out panicked at");
    assert_eq!(texts.iter().filter(is_panic).count(), 3, "{texts:?}");
    assert!(
        texts.contains(&"crash reports"),
        "how many were held back: {texts:?}"
    );
    let bytes = fs::read(dir.path().join("relay-test.fdr")).unwrap();
    let canary = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"c4naRy");
    assert!(!canary(&bytes) && !canary(report.as_bytes()));
}

/// What jemalloc reads as the process starts.
#[cfg(all(feature = "profile", feature = "heap-profile"))]
const JEMALLOC: &str = "_RJEM_MALLOC_CONF";

#[cfg(feature = "profile")]
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_report_has_profiles_beside_it_where_they_are_asked_for() {
    let (machine, dir) = (Machine::new(), TempDir::new().unwrap());
    let mut config = config(dir.path());
    config.crash_reports = CrashFolder::Beside;
    config.cpu_profile = Duration::from_millis(200);
    let panics = Scripted::new(vec![|_| panic!("lost")]);
    let engine = builder(&machine, config)
        .with_emitter("out", panics, EmitterOptions::default())
        .start()
        .await
        .unwrap();
    publish(&engine);
    let mut expected = vec!["cpu.pb", "crash.txt"];
    #[cfg(feature = "heap-profile")]
    expected.extend(std::env::var_os(JEMALLOC).map(|_| "heap"));
    let endings = || {
        let files = fs::read_dir(dir.path().join("crash")).into_iter().flatten();
        let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let ending = |name: String| name.split_once('.').unwrap().1.to_owned();
        let mut endings: Vec<_> = names.map(ending).collect();
        endings.sort();
        endings
    };
    until("all are there", || endings() == expected).await;
    engine.shutdown(DEADLINE).await;
}

/// The same in a process whose jemalloc takes stacks.
#[cfg(all(feature = "profile", feature = "heap-profile"))]
#[test]
fn a_profile_of_the_heap_is_asked_for_by_what_jemalloc_is_told() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["a_crash_report_has_profiles", "--test-threads", "1"])
        .env(JEMALLOC, "prof:true")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// M06: a report that cannot be written is told, once each, and the engine runs on.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_report_that_cannot_be_written_is_told() {
    let (machine, dir) = (Machine::new(), TempDir::new().unwrap());
    let file = dir.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let mut config = config(dir.path());
    config.crash_reports = CrashFolder::At(file);
    let collector = Collector::default();
    let panics = Scripted::new(vec![|_| panic!("lost")]);
    let engine = builder(&machine, config)
        .with_error_handler(collector.handler())
        .with_emitter("out", panics, EmitterOptions::default())
        .start()
        .await
        .unwrap();
    publish(&engine);
    until("it is told", || {
        !collector.of(Code::BlackboxFail).is_empty()
    })
    .await;
    let told = collector.of(Code::BlackboxFail)[0].to_string();
    assert!(told.contains("no crash report"), "{told}");
    engine.shutdown(DEADLINE).await;
}

/// L11: memory that became critical leaves a report, as long as there is room for writing one.
#[tokio::test(flavor = "multi_thread")]
async fn critical_memory_leaves_a_report_while_there_is_room() {
    for (usage, is_written) in [(91 * MIB, true), (99 * MIB, false)] {
        let (machine, dir) = (Machine::new(), TempDir::new().unwrap());
        let mut config = config(dir.path());
        config.size_bytes = Some(512 << 10);
        config.crash_reports = CrashFolder::Beside;
        let engine = builder(&machine, config).start().await.unwrap();
        machine.usage(usage);
        let folder = dir.path().join("crash");
        let reports = || fs::read_dir(&folder).map_or(0, Iterator::count);
        until("the level rises", || {
            let observation = engine.state().observation.unwrap();
            observation.decision.level >= relay_control::Level::Critical
        })
        .await;
        if is_written {
            until("the report is there", || reports() == 1).await;
        }
        // The reclaimer has done what it was asked for when it has ended.
        engine.shutdown(DEADLINE).await;
        assert_eq!(reports(), usize::from(is_written), "{usage}");
    }
}
