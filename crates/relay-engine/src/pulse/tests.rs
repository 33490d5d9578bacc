use super::*;
use crate::stall::StallConfig;
use crate::tuning::Tuning;
use crate::waker::Waker;
use relay_event::{Bus, ByteBudget, ErrorFilter, Gate};
use relay_forensics::Recorder;
use relay_sense::Root;
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

fn pulse(machine: &TempDir, errors: ErrorBus) -> Pulse {
    recorded_pulse(machine, errors).0
}

fn recorded_pulse(machine: &TempDir, errors: ErrorBus) -> (Pulse, Recorder) {
    let (recorder, tape) = crate::tape::recording().unwrap();
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
        },
        reporter: Reporter::new(errors.clone()),
        errors,
        watches: Arc::default(),
        shares: Shares::default(),
        tape,
        stalls: stalls.unwrap(),
        view: Arc::default(),
        mode: Mode::Enforce,
        started: Instant::now(),
        seen: Seen::default(),
        on_emergency: None,
    };
    (pulse, recorder)
}

#[test]
fn a_tick_allocates_nothing_also_when_it_reports() {
    let machine = machine();
    let errors = ErrorBus::new();
    let mut subscription = errors.subscribe(ErrorFilter::all()).unwrap();
    let mut pulse = pulse(&machine, errors);
    pulse.tick(Instant::now());
    let (mut allocations, mut reports) = (0, 0);
    for bytes in [10, 75, 86, 92, 99, 92, 40, 10] {
        usage(&machine, bytes * MIB);
        allocations += allocation_counter::measure(|| {
            pulse.tick(Instant::now());
        })
        .count_total;
        reports += std::iter::from_fn(|| subscription.try_recv()).count();
    }
    assert!(reports >= 5, "{reports} reports: the levels were passed");
    assert_eq!(allocations, 0);
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
