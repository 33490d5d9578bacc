//! Where pressure is read, how often, and what may be asked to tell of it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use relay_sense::{
    Delegated, Pressure, PressureScope, Ready, Root, StallKind, Trigger, TriggerError, wait,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::machine::{Machine, V2};

fn text(avg10: &str, total: u64) -> String {
    format!(
        "some avg10={avg10} avg60=0.00 avg300=0.00 total={total}\n\
         full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )
}

/// A group of version 2, with pressure of its own and of the machine.
fn machine() -> Machine {
    let machine = Machine::v2("/a", &[("/a", "max")]);
    machine.file("/sys/fs/cgroup/a/cgroup.type", "domain\n");
    machine.file("/sys/fs/cgroup/a/memory.pressure", &text("20.00", 7));
    machine.file("/proc/pressure/memory", &text("1.00", 9));
    machine
}

fn lookup<'a>(watch: &'a str, write: Option<&'a str>) -> impl Fn(&str) -> Option<String> + 'a {
    move |name| match name {
        "MEMORY_PRESSURE_WATCH" => Some(watch.to_owned()),
        "MEMORY_PRESSURE_WRITE" => write.map(str::to_owned),
        _ => None,
    }
}

#[test]
fn k10_the_own_group_is_preferred() {
    let machine = machine();
    let mut pressure = Pressure::open(&machine.root());
    let found = pressure.availability();
    assert!(found.available && found.reason.is_none());
    assert_eq!(found.scope, Some(PressureScope::Group));
    assert_eq!(
        found.path.as_deref(),
        Some(Path::new("/sys/fs/cgroup/a/memory.pressure"))
    );
    let sample = pressure.read(Instant::now()).unwrap();
    assert_eq!(sample.scope, PressureScope::Group);
    assert_eq!(sample.psi.some.unwrap().avg10, 0.20);
}

#[test]
fn k10_the_machine_s_pressure_is_said_to_be_that() {
    let machine = machine();
    machine.remove("/sys/fs/cgroup/a/memory.pressure");
    let mut pressure = Pressure::open(&machine.root());
    assert_eq!(
        pressure
            .read(Instant::now())
            .unwrap()
            .psi
            .some
            .unwrap()
            .avg10,
        0.01
    );
    let found = pressure.availability();
    assert_eq!(
        found.scope.map(|scope| scope.to_string()).as_deref(),
        Some("system")
    );
    let reason = found.reason.as_deref().unwrap();
    assert!(
        reason.contains("whole machine") && reason.contains("/a/memory.pressure"),
        "{reason}"
    );
}

#[test]
fn the_root_of_all_groups_is_the_machine() {
    let machine = Machine::new("0::/\n", &[V2]);
    machine.file("/sys/fs/cgroup/memory.pressure", &text("0.00", 1));
    machine.file("/proc/pressure/memory", &text("0.00", 2));
    let pressure = Pressure::open(&machine.root());
    assert_eq!(pressure.availability().scope, Some(PressureScope::Host));
}

#[test]
fn a_hybrid_system_shows_pressure_in_the_unified_tree() {
    let mounts = [
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
        "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
    ];
    let machine = Machine::new("4:memory:/m\n0::/u\n", &mounts);
    machine.file("/sys/fs/cgroup/unified/u/cgroup.type", "domain\n");
    machine.file("/sys/fs/cgroup/unified/u/memory.pressure", &text("0.00", 1));
    let pressure = Pressure::open(&machine.root());
    assert_eq!(pressure.availability().scope, Some(PressureScope::Group));
}

#[test]
fn k06_where_there_is_none_it_says_so() {
    let machine = Machine::v2("/a", &[("/a", "max")]);
    let mut pressure = Pressure::open(&machine.root());
    assert_eq!(pressure.read(Instant::now()), None);
    let found = pressure.availability();
    assert!(!found.available);
    assert!(
        found.reason.as_deref().unwrap().contains("CONFIG_PSI"),
        "{found:?}"
    );
}

#[test]
fn k09_turned_off_it_reads_nothing() {
    let mut pressure = Pressure::disabled();
    assert_eq!(pressure.read(Instant::now()), None);
    assert_eq!(
        pressure.availability().reason.as_deref(),
        Some("turned off by configuration")
    );
}

#[test]
fn it_is_not_read_again_within_50_ms() {
    let machine = machine();
    let mut pressure = Pressure::open(&machine.root());
    let start = Instant::now();
    let first = pressure.read(start).unwrap();
    machine.file(
        "/sys/fs/cgroup/a/memory.pressure",
        &text("30.00", 5_000_007),
    );
    assert_eq!(
        pressure.read(start + Duration::from_millis(49)),
        Some(first)
    );
    let second = pressure.read(start + Duration::from_millis(50)).unwrap();
    assert_eq!(second.psi.some.unwrap().avg10, 0.30);
    assert_eq!(second.some_since(&first), Some(1.0), "cut off");

    machine.file(
        "/sys/fs/cgroup/a/memory.pressure",
        &text("30.00", 5_500_007),
    );
    let third = pressure.read(start + Duration::from_millis(2050)).unwrap();
    assert_eq!(
        third.some_since(&second),
        Some(0.25),
        "half a second of two"
    );
    assert_eq!(third.some_since(&third), None);

    machine.file("/sys/fs/cgroup/a/memory.pressure", "");
    let silent = pressure.read(start + Duration::from_secs(3)).unwrap();
    assert_eq!((silent.psi.some, silent.some_since(&third)), (None, None));
}

#[test]
fn bounds_the_kernel_would_refuse_are_named() {
    let register = |stall_ms, window_ms| {
        let (stall, window) = (
            Duration::from_millis(stall_ms),
            Duration::from_millis(window_ms),
        );
        Trigger::register(&machine().root(), StallKind::Some, stall, window)
    };
    for (stall, window) in [(100, 499), (100, 10_001)] {
        assert!(matches!(
            register(stall, window),
            Err(TriggerError::Window { .. })
        ));
    }
    for (stall, window) in [(0, 2000), (2001, 2000)] {
        assert!(matches!(
            register(stall, window),
            Err(TriggerError::Stall { .. })
        ));
    }
}

#[test]
fn a_registration_is_one_line_with_an_end() {
    let machine = machine();
    let (stall, window) = (Duration::from_millis(150), Duration::from_secs(2));
    let trigger = Trigger::register(&machine.root(), StallKind::Full, stall, window).unwrap();
    assert!(trigger.is_priority() && !trigger.is_gone());
    let written = std::fs::read(trigger.path()).unwrap();
    assert!(written.starts_with(b"full 150000 2000000\0"), "{written:?}");
}

#[test]
fn version_1_has_no_trigger_of_its_own_group() {
    let mount = "35 31 0:32 / /cg rw - cgroup cgroup rw,memory";
    let machine = Machine::new("4:memory:/a\n", &[mount]);
    let second = Duration::from_secs(1);
    let error = Trigger::register(&machine.root(), StallKind::Some, second, second).unwrap_err();
    assert!(matches!(error, TriggerError::NoGroupFile { .. }), "{error}");
}

#[test]
fn a_refusal_names_file_and_cause() {
    let second = Duration::from_secs(1);
    let missing = Path::new("/proc/pressure/no-such-thing");
    let error = Trigger::register_at(missing, StallKind::Some, second, second).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/proc/pressure/no-such-thing: not there"),
        "{error}"
    );
}

#[test]
fn the_service_manager_may_offer_nothing_or_turn_it_off() {
    let root = Root::system();
    let offered = |watch: &str| Trigger::delegated(&root, lookup(watch, None));
    assert!(matches!(
        Trigger::delegated(&root, |_| None),
        Ok(Delegated::NotOffered)
    ));
    assert!(matches!(offered(""), Ok(Delegated::NotOffered)));
    assert!(matches!(offered("/dev/null"), Ok(Delegated::Off)));
    assert!(matches!(
        offered("run/x"),
        Err(TriggerError::NotAPath { .. })
    ));
    assert!(matches!(
        offered("/no/such/file"),
        Err(TriggerError::Refused { .. })
    ));
    let bad = Trigger::delegated(&root, lookup("/proc/pressure/memory", Some("!")));
    assert!(matches!(bad, Err(TriggerError::NotBase64(_))));
}

#[track_caller]
fn delegated(machine: &Machine, path: &str, write: Option<&str>) -> Trigger {
    match Trigger::delegated(&machine.root(), lookup(path, write)) {
        Ok(Delegated::Offered(trigger)) => trigger,
        other => panic!("{other:?}"),
    }
}

fn pressed(trigger: &mut Trigger) -> Ready {
    wait(None, Some(trigger), None, Some(Duration::ZERO)).unwrap()
}

#[test]
fn what_the_manager_wants_written_is_written() {
    let machine = machine();
    let trigger = delegated(
        &machine,
        "/sys/fs/cgroup/a/memory.pressure",
        Some("c29tZSAyMDAwMDAgMjAwMDAwMAA="),
    );
    assert!(trigger.is_priority());
    let written = std::fs::read(trigger.path()).unwrap();
    assert!(written.starts_with(b"some 200000 2000000\0"), "{written:?}");
}

#[test]
fn a_fifo_tells_and_outlives_its_writers() {
    let machine = machine();
    let path = machine.root().path("/fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let mut trigger = delegated(&machine, "/fifo", None);
    assert!(!pressed(&mut trigger).pressure);
    for _ in 0..2 {
        let mut manager = File::options().write(true).open(&path).unwrap();
        manager.write_all(&[1; 700]).unwrap();
        drop(manager);
        assert!(pressed(&mut trigger).pressure);
        assert!(
            !pressed(&mut trigger).pressure,
            "what was sent is thrown away"
        );
    }
    assert!(!trigger.is_gone());
}

#[test]
fn a_socket_tells_until_it_is_closed() {
    let machine = machine();
    let listener = UnixListener::bind(machine.root().path("/socket")).unwrap();
    let mut trigger = delegated(&machine, "/socket", Some("aGVsbG8="));
    let (mut manager, _) = listener.accept().unwrap();
    let mut greeting = [0; 5];
    manager.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"hello");

    assert!(!pressed(&mut trigger).pressure);
    manager.write_all(b"pressure").unwrap();
    assert!(pressed(&mut trigger).pressure);
    drop(manager);
    assert!(!pressed(&mut trigger).pressure, "an end is no pressure");
    assert!(trigger.is_gone());
    assert_eq!(
        pressed(&mut trigger),
        Ready::default(),
        "nor does it keep anyone awake"
    );
}
