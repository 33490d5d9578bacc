use super::*;
use crate::actuate::{Intake, PoolTable};
use crate::blackbox::BlackboxConfig;
use crate::delivery::EmitCounts;
use crate::ingest::Ingest;
use crate::stall::StallConfig;
use crate::tuning::Tuning;
use relay_control::PoolConfig;
use relay_event::{Bus, ByteBudget, Code, ErrorFilter, Gate, Priority, SubscribeOptions};
use relay_forensics::cadence::Cadence;
use relay_forensics::{EventKind, Recorder};
use relay_sense::{Root, Waker};
use std::fs;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A cgroup v2 container of 100 MiB, made of files.
fn machine() -> TempDir {
    let dir = TempDir::new().unwrap();
    for folder in ["proc/self", "sys/fs/cgroup"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    for (file, text) in [
        ("proc/self/cgroup", "0::/\n"),
        (
            "proc/self/mountinfo",
            "30 20 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n",
        ),
        ("proc/meminfo", "MemTotal:       16777216 kB\n"),
        ("sys/fs/cgroup/memory.max", "104857600\n"),
    ] {
        fs::write(dir.path().join(file), text).unwrap();
    }
    usage(&dir, 10 * MIB);
    dir
}

fn usage(machine: &TempDir, bytes: u64) {
    let folder = machine.path().join("sys/fs/cgroup");
    fs::write(
        folder.join("memory.stat"),
        format!("anon {bytes}\ninactive_file 0\n"),
    )
    .unwrap();
    fs::write(folder.join("memory.current"), format!("{bytes}\n")).unwrap();
}

fn settings(interval: Duration) -> Settings {
    Settings::try_new(&Tuning {
        interval,
        ..Tuning::default()
    })
    .unwrap()
}

fn actuators(errors: ErrorBus) -> Actuators {
    let pools = PoolTable::new(Arc::default(), PoolConfig::default(), Arc::default());
    Actuators::new(errors, Intake::new(Vec::new()), pools, Arc::default(), true)
}

fn pulse(machine: &TempDir, errors: ErrorBus) -> Pulse {
    recorded_pulse(machine, errors).0
}

fn recorded_pulse(machine: &TempDir, errors: ErrorBus) -> (Pulse, Recorder) {
    let config = BlackboxConfig {
        termination_page: Some(machine.path().join("termination-log")),
        // Each tick is recorded.
        cadence: Cadence {
            idle: Duration::ZERO,
            alert: Duration::ZERO,
            danger: Duration::ZERO,
        },
        ..BlackboxConfig::default()
    };
    let detection = relay_sense::detect(&Root::at(machine.path()), None).unwrap();
    let (blackbox, tape, _) = config.open(&detection, None).unwrap();
    blackbox.tap(&errors);
    // The tap holds it weakly; here nobody else does.
    std::mem::forget(Arc::clone(&blackbox.journal));
    let recorder = blackbox.recorder;
    let budget = ByteBudget::new(0);
    let gate = Gate::new(budget.clone());
    let root = Root::at(machine.path());
    let stalls = StallMonitor::try_new(&StallConfig::default(), &root, &ErrorBus::disabled());
    let sentry = Sentry::new(gate.clone(), Waker::new().unwrap(), true);
    let pulse = Pulse {
        sentry: Arc::new(sentry),
        desk: Arc::default(),
        sampler: Sampler::new(&Root::at(machine.path())).unwrap(),
        settings: settings(Duration::from_millis(50)),
        mailbox: Arc::default(),
        knobs: Knobs {
            gate,
            budget,
            external: Bus::new("external"),
            internal: Bus::new("internal"),
        },
        actuators: actuators(errors.clone()),
        ticks: 0,
        reporter: Reporter::new(errors.clone(), true),
        errors,
        watches: Arc::default(),
        shares: Shares::default(),
        tape,
        stalls: stalls.unwrap(),
        view: Arc::default(),
        mode: Mode::Enforce,
        started: Instant::now(),
        seen: Seen::default(),
        emitting: Recent::default(),
        on_emergency: None,
    };
    (pulse, recorder)
}

#[test]
fn a_tick_allocates_nothing_also_when_it_reports() {
    let machine = machine();
    let errors = ErrorBus::new();
    let mut subscription = errors.subscribe(ErrorFilter::all()).unwrap();
    let (mut pulse, recorder) = recorded_pulse(&machine, errors.clone());
    let queue = queued(&mut pulse, &errors);
    pulse.tick(Instant::now());
    let (mut allocations, mut reports, mut resized) = (0, 0, 0);
    for bytes in [10, 75, 86, 92, 99, 92, 40, 10] {
        usage(&machine, bytes * MIB);
        for _ in 0..20 {
            let event = relay_event::Event::builder("t").build().unwrap();
            let _ = pulse.knobs.external.try_publish(event);
        }
        allocations += allocation_counter::measure(|| {
            pulse.tick(Instant::now());
        })
        .count_total;
        for event in std::iter::from_fn(|| subscription.try_recv()) {
            reports += 1;
            let sizes = [Code::BufferShrink, Code::BufferGrow];
            resized += u32::from(sizes.contains(&event.code));
        }
    }
    assert!(reports >= 5, "{reports} reports: the levels were passed");
    assert_eq!(allocations, 0);
    assert!(resized >= 2, "defensive mode came and went");
    let recording = recorder.read();
    let last = recording.snapshots().last().unwrap();
    assert_eq!(last.number("queue.depth"), Some(160.0));
    assert!(last.number("emitter.lag").is_some(), "the queue was seen");
    drop(queue);
}

/// A queue of an emitter, and a way in, as a started engine has them.
fn queued(pulse: &mut Pulse, errors: &ErrorBus) -> relay_event::Subscription {
    let bus = pulse.knobs.external.clone();
    let options = SubscribeOptions::new("emitter:out").limit_events(1000);
    let queue = bus.subscribe(options).unwrap();
    let counts = Arc::new(EmitCounts::new("out"));
    let watch = Watch::new(bus.name(), queue.monitor());
    let watch = watch.recorded_as(pulse.tape.name("emitter:out"), counts);
    pulse.watches.lock().unwrap().push(watch);
    let ingest = Ingest::new("in", pulse.knobs.gate.clone(), bus, errors.clone());
    let names = ["emitter:out".to_string()];
    pulse.tape.look_at(vec![ingest], names.into_iter(), None);
    queue
}

/// What was decided is in the recording when the tick is over: the process may be killed right after it.
#[test]
fn a_transition_is_recorded_by_the_tick_that_made_it() {
    let machine = machine();
    let (mut pulse, recorder) = recorded_pulse(&machine, ErrorBus::new());
    pulse.tick(Instant::now());
    usage(&machine, 92 * MIB);
    pulse.tick(Instant::now());
    let recording = recorder.read();
    let of = |kind| {
        recording
            .events()
            .iter()
            .rfind(move |event| event.kind == kind)
    };
    let level = of(EventKind::Level).expect("the level rose");
    assert_eq!(level.values[..4], [0, 3, 92 * MIB, 100 * MIB]);
    let threshold = of(EventKind::Threshold).expect("a threshold was passed");
    assert_eq!(threshold.values[..3], [90, 92 * MIB, 100 * MIB]);
    let governor = of(EventKind::Governor).expect("the governor cut");
    assert_eq!(governor.values[1], 1, "degraded: {governor:?}");
    assert!(of(EventKind::Decision).is_some(), "knobs were turned");
    if cfg!(all(target_os = "linux", not(relay_portable))) {
        let page = fs::read_to_string(machine.path().join("termination-log")).unwrap();
        let first = page.lines().next().unwrap();
        let is_whole = first.contains("RUNNING") && first.contains("gov=");
        assert!(is_whole, "{first}");
    }
}

/// Memory that stays high is none of the laws' hurry; the recorder wants a look each 10 ms all the same, and only there.
#[test]
fn in_danger_the_pulse_looks_as_often_as_the_recorder_wants() {
    let steady = |config: &BlackboxConfig, bytes: u64| {
        let machine = machine();
        usage(&machine, bytes);
        let (mut pulse, _) = recorded_pulse(&machine, ErrorBus::disabled());
        let detection = relay_sense::detect(&Root::at(machine.path()), None).unwrap();
        let (_blackbox, tape, _) = config.open(&detection, None).unwrap();
        pulse.tape = tape;
        let begin = Instant::now();
        let waits = (0..100).map(|n| pulse.tick(begin + Duration::from_millis(100 * n)));
        waits.last().unwrap()
    };
    let (on, off) = (BlackboxConfig::default(), BlackboxConfig::off());
    assert!(steady(&off, 88 * MIB) > Duration::from_millis(10));
    assert_eq!(steady(&on, 88 * MIB), Duration::from_millis(10));
    assert_eq!(steady(&on, 40 * MIB), steady(&off, 40 * MIB));
}

#[test]
fn a_reader_of_the_view_does_not_stop_the_pulse() {
    let machine = machine();
    let (mut pulse, recorder) = recorded_pulse(&machine, ErrorBus::disabled());
    let view = Arc::clone(&pulse.view);
    pulse.tick(Instant::now());
    let reading = view.last.lock().unwrap();
    pulse.tick(Instant::now());
    drop(reading);
    assert_eq!(recorder.read().snapshots().len(), 2);
    assert!(view.last().is_some());
}

#[test]
fn new_settings_are_taken_over_by_the_next_tick_without_allocating_or_freeing() {
    let machine = machine();
    let mut pulse = pulse(&machine, ErrorBus::disabled());
    pulse.tick(Instant::now());
    let faster = Duration::from_millis(7);
    pulse.mailbox.put(settings(faster));
    let on_the_pulse = allocation_counter::measure(|| {
        pulse.tick(Instant::now());
    });
    assert_eq!(
        (on_the_pulse.count_total, on_the_pulse.count_current),
        (0, 0)
    );
    assert_eq!(pulse.settings.interval, faster);
    // Taken once: the old settings lie in the box until the next ones come.
    pulse.tick(Instant::now());
    assert_eq!(pulse.settings.interval, faster);
}

/// B06, B09: from 95 % on memory does not come back by itself, and the numbers travel with the event.
#[test]
fn a_critical_level_is_recoverable_below_95_percent() {
    for (bytes, is_recoverable) in [(94_899 * MIB / 1000, true), (95 * MIB, false)] {
        let machine = machine();
        let errors = ErrorBus::new();
        let code = ErrorFilter::all().code(relay_event::Code::MemCritical);
        let mut subscription = errors.subscribe(code).unwrap();
        let mut pulse = pulse(&machine, errors);
        pulse.tick(Instant::now());
        usage(&machine, bytes);
        pulse.tick(Instant::now());
        let event = subscription.try_recv().unwrap();
        assert_eq!(event.recoverable, is_recoverable, "{event}");
        let fields = ["pressure", "used_bytes", "limit_bytes"].map(|name| event.fields.get(name));
        let pressure = bytes as f64 / (100 * MIB) as f64;
        let expected = [pressure.into(), bytes.into(), (100 * MIB).into()].map(Some);
        assert_eq!(fields, expected, "{event}");
    }
}

/// R05, R09: in a tick everything that follows from one decision carries its number, which says what caused what (A05).
#[test]
fn every_event_of_a_tick_carries_the_number_of_its_decision() {
    let machine = machine();
    let errors = ErrorBus::new();
    let mut subscription = errors.subscribe(ErrorFilter::all()).unwrap();
    let mut pulse = pulse(&machine, errors);
    let mut now = Instant::now();
    let mut codes = std::collections::BTreeSet::new();
    for bytes in [10, 75, 86, 92, 99, 80, 40, 10] {
        usage(&machine, bytes * MIB);
        now += Duration::from_secs(4);
        pulse.tick(now);
        let number = pulse.view.last().unwrap().number;
        for event in std::iter::from_fn(|| subscription.try_recv()) {
            assert_eq!(event.fields.get("decision"), Some(number.into()), "{event}");
            codes.insert(event.code);
        }
    }
    let expected = [
        Code::MemPressure,
        Code::MemCritical,
        Code::MemRelief,
        Code::DegradedMode,
        Code::GovernorScale,
        Code::GateFloor,
        Code::OverflowPolicy,
        Code::DefensiveMode,
        Code::PublishPace,
    ];
    for code in expected {
        assert!(codes.contains(&code), "{code}");
    }
}

/// What a tick decided, without the time it took.
type Decided = (Decision, Plan, bool, f64);

/// Replays a recording of memory, in MiB, at 50 ms a step; what was decided at each.
fn replay(mode: Mode, errors: ErrorBus) -> Vec<Decided> {
    let machine = machine();
    let mut pulse = pulse(&machine, errors);
    pulse.mode = mode;
    let start = Instant::now();
    pulse.started = start;
    let recorded = [
        10, 40, 66, 71, 76, 84, 88, 91, 93, 96, 92, 89, 84, 76, 74, 60, 50, 30, 10,
    ];
    (0..20 * recorded.len() as u32)
        .map(|step| {
            usage(&machine, recorded[step as usize / 20] * MIB);
            pulse.tick(start + step * Duration::from_millis(50));
            let seen = pulse.view.last().unwrap();
            (seen.decision, seen.plan, seen.defending, seen.pace_factor)
        })
        .collect()
}

/// DEC18, AL03: observing decides what enforcing decides, and so does an engine that nobody hears.
#[test]
fn the_same_recording_is_decided_alike_in_every_mode_and_without_reports() {
    let enforced = replay(Mode::Enforce, ErrorBus::new());
    assert_eq!(replay(Mode::Observe, ErrorBus::new()), enforced);
    assert_eq!(replay(Mode::Off, ErrorBus::new()), enforced);
    assert_eq!(replay(Mode::Enforce, ErrorBus::disabled()), enforced);
    let defends = |decided: &&Decided| decided.2;
    assert!(
        enforced.iter().filter(defends).count() > 50,
        "it came to defensive mode"
    );
    assert!(!enforced.last().unwrap().2, "and out of it");
}

/// K03 to K08: the group's own stall is an input of the laws, the machine's is not.
#[test]
fn a_stall_of_the_own_group_refuses_the_lowest_class_until_it_is_over() {
    let stalled = |file: &str, avg10: &str| {
        let machine = machine();
        let text = |avg10: &str| {
            format!(
                "some avg10={avg10} avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
            )
        };
        let path = machine.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text(avg10)).unwrap();
        let mut pulse = pulse(&machine, ErrorBus::disabled());
        let start = Instant::now();
        let mut floor = |second| {
            pulse.tick(start + Duration::from_secs(second));
            pulse.knobs.gate.floor()
        };
        let during = [floor(0), floor(1), floor(3)];
        fs::write(&path, text("0.00")).unwrap();
        (during, floor(5))
    };
    let (low, normal) = (Priority::Low, Priority::Normal);
    let own = "sys/fs/cgroup/memory.pressure";
    assert_eq!(stalled(own, "35.00"), ([low, low, normal], low));
    assert_eq!(stalled(own, "25.00"), ([low; 3], low), "a warning only");
    assert_eq!(stalled("proc/pressure/memory", "35.00"), ([low; 3], low));
}

/// Ticks at so many MiB in the second `second`; the codes and causes of what is told.
fn told_at(
    pulse: &mut Pulse,
    (machine, told): (&TempDir, &mut relay_event::ErrorSubscription),
    second: u64,
    mib: u64,
) -> Vec<(Code, String)> {
    usage(machine, mib * MIB);
    let now = pulse.started + Duration::from_secs(second);
    pulse.tick(now);
    let cause = |event: &relay_event::ErrorEvent| {
        let cause = event.fields.get("cause");
        cause.map(|cause| cause.to_string()).unwrap_or_default()
    };
    std::iter::from_fn(|| told.try_recv())
        .map(|event| (event.code, cause(&event)))
        .collect()
}

/// D06, D07, D35, Q21, Q22: the governor's states are told once each, every step of its scale with its cause.
#[test]
fn every_step_of_the_governor_is_told_with_its_cause_and_the_rate_that_follows() {
    let machine = machine();
    let errors = ErrorBus::new();
    let codes = [
        Code::DegradedMode,
        Code::RecoveredMode,
        Code::GovernorScale,
        Code::GateRate,
    ];
    let mut told = errors.subscribe(ErrorFilter::all()).unwrap();
    let mut pulse = pulse(&machine, errors);
    let mut tuning = Tuning::default();
    tuning.control.law = relay_control::Law::Aimd;
    tuning.control.nominal_bytes_per_second = Some(1_000_000);
    pulse.settings = Settings::try_new(&tuning).unwrap();
    let mut all = Vec::new();
    for (second, mib) in [(0, 10), (1, 75), (3, 92), (5, 40)]
        .into_iter()
        .chain((1..=15).map(|step| (5 + 30 * step, 40)))
    {
        let events = told_at(&mut pulse, (&machine, &mut told), second, mib);
        all.extend(events.into_iter().filter(|(code, _)| codes.contains(code)));
    }
    let scale = |cause: &str| (Code::GovernorScale, cause.to_owned());
    let plain = |code| (code, String::new());
    let mut expected = vec![
        plain(Code::DegradedMode),
        scale("memory"),
        plain(Code::GateRate),
    ];
    expected.extend([scale("critical"), plain(Code::GateRate), scale("relief")]);
    all.retain(|(code, cause)| *code != Code::GateRate || cause.is_empty());
    assert_eq!(all[..6], expected);
    let steps = all
        .iter()
        .filter(|event| **event == scale("recovery"))
        .count();
    assert_eq!(steps, 15, "from a quarter");
    let recovered = plain(Code::RecoveredMode);
    assert_eq!(all.iter().filter(|event| **event == recovered).count(), 1);
    assert_eq!(pulse.knobs.gate.rate(), Some(1e6));
}

/// AM06: a sensor that falls silent is told once, and what it leaves open is shut.
#[test]
fn a_silent_sensor_is_told_once_and_control_becomes_conservative() {
    let machine = machine();
    let errors = ErrorBus::new();
    let mut told = errors.subscribe(ErrorFilter::all()).unwrap();
    let mut pulse = pulse(&machine, errors);
    pulse.tick(pulse.started);
    for file in ["memory.stat", "memory.current"] {
        fs::write(machine.path().join("sys/fs/cgroup").join(file), "garbage\n").unwrap();
    }
    let mut floors = Vec::new();
    for second in 1..6 {
        pulse.tick(pulse.started + Duration::from_secs(second));
        floors.push(pulse.knobs.gate.floor());
    }
    assert_eq!(floors[..2], [Priority::Low; 2], "believed for two seconds");
    assert_eq!(floors[4], Priority::Normal);
    let told: Vec<_> = std::iter::from_fn(|| told.try_recv()).collect();
    let of = |code| told.iter().filter(move |event| event.code == code);
    assert_eq!(of(Code::SensorStale).count(), 1);
    let floor = of(Code::GateFloor).next().unwrap();
    assert_eq!(floor.fields.get("cause"), Some("sensor".into()));
}

/// What a service manager offers to tell of stalls, and the manager's end.
#[cfg(all(target_os = "linux", not(relay_portable)))]
fn offered(machine: &TempDir) -> (relay_sense::Delegated, std::os::unix::net::UnixStream) {
    let listener = std::os::unix::net::UnixListener::bind(machine.path().join("watch")).unwrap();
    let offers = |name: &str| (name == "MEMORY_PRESSURE_WATCH").then(|| "/watch".to_owned());
    let root = Root::at(machine.path());
    let offered = relay_sense::Trigger::delegated(&root, offers).unwrap();
    let (manager, _) = listener.accept().unwrap();
    (offered, manager)
}

#[cfg(all(target_os = "linux", not(relay_portable)))]
fn stalled(machine: &TempDir, avg10: &str) {
    let folder = machine.path().join("proc/pressure");
    fs::create_dir_all(&folder).unwrap();
    let text = format!("some avg10={avg10} avg60=0.00 avg300=0.00 total=1\n");
    fs::write(folder.join("memory"), text).unwrap();
}

/// A wait of an hour ends when a stall is told, the pressure is read in the tick that follows although it was read a
/// moment ago, and neither allocates.
#[cfg(all(target_os = "linux", not(relay_portable)))]
#[test]
fn a_stall_that_is_told_ends_the_wait_and_is_looked_at() {
    use std::io::Write;
    let machine = machine();
    stalled(&machine, "1.00");
    let (offered, mut manager) = offered(&machine);
    let mut pulse = pulse(&machine, ErrorBus::disabled());
    let (config, root) = (StallConfig::default(), Root::at(machine.path()));
    pulse
        .stalls
        .listen(crate::trigger::choose(offered, &config, &root));
    let start = Instant::now();
    let avg10 = |pulse: &Pulse| {
        pulse
            .view
            .last()
            .unwrap()
            .stall
            .unwrap()
            .psi
            .some
            .unwrap()
            .avg10
    };
    pulse.tick(start);
    stalled(&machine, "35.00");
    // The pressure is read once a second, and what was read 50 ms ago is read again.
    let soon = start + Duration::from_millis(60);
    pulse.tick(soon);
    assert_eq!(avg10(&pulse), 0.01, "it is not time yet");

    manager.write_all(b"!").unwrap();
    let looked = allocation_counter::measure(|| {
        pulse.wait(Duration::from_hours(1));
        pulse.tick(soon);
    });
    assert_eq!(avg10(&pulse), 0.35);
    assert_eq!(looked.count_total, 0);

    drop(manager);
    pulse.wait(Duration::from_hours(1));
    assert!(
        pulse.stalls.trigger().unwrap().is_gone(),
        "its end is told once"
    );
}

#[cfg(all(target_os = "linux", not(relay_portable)))]
#[test]
fn nobody_is_listened_to_when_stalls_are_not_watched_or_nobody_is_to_watch() {
    use relay_sense::Delegated;
    let machine = machine();
    let root = Root::at(machine.path());
    let on = StallConfig::default();
    assert!(crate::trigger::choose(Delegated::Off, &on, &Root::system()).is_none());
    assert!(crate::trigger::choose(Delegated::NotOffered, &on, &root).is_none());
    let (offered, _manager) = offered(&machine);
    let off = StallConfig {
        enabled: false,
        ..on
    };
    assert!(crate::trigger::choose(offered, &off, &root).is_none());
}

/// The own group leaves more room than its parent, and is full sooner.
#[test]
fn the_forecast_follows_every_level_that_is_read() {
    let machine = machine();
    let folder = machine.path().join("sys/fs/cgroup");
    fs::write(machine.path().join("proc/self/cgroup"), "0::/own\n").unwrap();
    fs::create_dir_all(folder.join("own")).unwrap();
    fs::write(folder.join("own/memory.max"), format!("{}\n", 80 * MIB)).unwrap();
    let use_both = |own: u64, parent: u64| {
        for (at, bytes) in [("own", own), ("", parent)] {
            let at = folder.join(at);
            let text = format!("anon {}\ninactive_file 0\nactive_file 0\n", bytes * MIB);
            fs::write(at.join("memory.stat"), text).unwrap();
            fs::write(at.join("memory.current"), format!("{}\n", bytes * MIB)).unwrap();
        }
    };
    use_both(20, 60);
    let mut pulse = pulse(&machine, ErrorBus::disabled());
    let start = pulse.started;
    let mut after = |own, parent, seconds| {
        use_both(own, parent);
        let now = start + Duration::from_secs(seconds);
        let tick = allocation_counter::measure(|| {
            pulse.tick(now);
        });
        // The first one makes a view.
        assert!(seconds == 1 || tick.count_total == 0);
        pulse.view.last().unwrap().outlook
    };
    after(20, 60, 1);
    // The parent leaves 40 MiB and stands still; the own group leaves 50 and rises by 10 a second.
    let own = after(30, 60, 2);
    assert_eq!(own.time_to_limit(), Some(Duration::from_secs(5)), "{own:?}");
    assert!(matches!(own, Outlook::Meets { level: 1, .. }), "{own:?}");
    // It comes to bind, and then the parent again: that other bytes stand there now is no rise.
    after(70, 60, 3);
    let parent = after(70, 95, 4);
    assert!(
        matches!(parent, Outlook::Meets { level: 1, .. }),
        "{parent:?}"
    );
}

#[test]
fn a_soft_limit_that_is_passed_hides_no_hard_one() {
    let machine = machine();
    let mut pulse = pulse(&machine, ErrorBus::disabled());
    pulse.settings.soft_limit_bytes = Some(50 * MIB);
    let start = pulse.started;
    let mut after = |used, seconds| {
        usage(&machine, used * MIB);
        pulse.tick(start + Duration::from_secs(seconds));
        pulse.view.last().unwrap().outlook.time_to_limit()
    };
    assert_eq!(after(20, 1), None);
    assert_eq!(
        after(30, 2),
        Some(Duration::from_secs(2)),
        "20 MiB to the soft limit"
    );
    assert_eq!(
        after(60, 3).map(|time| time.as_secs()),
        Some(1),
        "40 MiB to the hard one"
    );
}
