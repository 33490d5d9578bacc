use super::*;
use relay_event::{ErrorFilter, ErrorSubscription, Value};
use std::fs;
use tempfile::TempDir;

/// A machine that shows only its own pressure, in percent.
fn machine(some: Option<&str>) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("proc/pressure")).unwrap();
    if let Some(some) = some {
        show(&dir, some);
    }
    dir
}

fn show(machine: &TempDir, some: &str) {
    let text = format!(
        "some avg10={some} avg60=1.00 avg300=0.50 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    );
    fs::write(machine.path().join("proc/pressure/memory"), text).unwrap();
}

fn monitor(machine: &TempDir, config: &StallConfig) -> (StallMonitor, ErrorBus, ErrorSubscription) {
    let errors = ErrorBus::new();
    let subscription = errors.subscribe(ErrorFilter::all()).unwrap();
    let root = Root::at(machine.path());
    let monitor = StallMonitor::try_new(config, &root, &errors).unwrap();
    (monitor, errors, subscription)
}

fn tick(start: Instant, since: Duration) -> Tick {
    Tick {
        number: since.as_millis() as u64,
        now: start + since,
        since,
    }
}

/// A reading a second from `from`, for so many seconds; what was told.
fn seconds(
    monitor: &mut StallMonitor,
    (errors, subscription): (&ErrorBus, &mut ErrorSubscription),
    (start, from, count): (Instant, u64, u64),
) -> Vec<ErrorEvent> {
    for second in from..from + count {
        let since = Duration::from_secs(second);
        monitor.look(&tick(start, since), errors);
    }
    std::iter::from_fn(|| subscription.try_recv()).collect()
}

/// AI04, K03, K05, K08: 20 percent is 0.20; sustained for 2 s it is told once, with a signal to shed.
#[test]
fn a_sustained_stall_is_told_once_and_its_end_too() {
    let machine = machine(Some("19.99"));
    let (mut monitor, errors, mut subscription) = monitor(&machine, &StallConfig::default());
    let start = Instant::now();
    let told = seconds(&mut monitor, (&errors, &mut subscription), (start, 0, 10));
    assert_eq!(told, []);

    show(&machine, "35.00");
    let told = seconds(&mut monitor, (&errors, &mut subscription), (start, 10, 10));
    let [raised] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(
        (raised.code, raised.severity, raised.signal),
        (Code::PsiPreOom, Severity::Error, Signal::Shed)
    );
    assert_eq!(raised.component.to_string(), "monitor:psi");
    assert_eq!(raised.fields.get("avg10"), Some(Value::F64(0.35)));
    assert_eq!(raised.fields.get("scope"), Some(Value::Str("system")));
    assert!(raised.recoverable);

    show(&machine, "1.00");
    let told = seconds(&mut monitor, (&errors, &mut subscription), (start, 20, 5));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].signal, Signal::Recovered);
}

#[test]
fn half_of_the_time_is_critical_and_does_not_pass_by_itself() {
    let machine = machine(Some("50.00"));
    let (mut monitor, errors, mut subscription) = monitor(&machine, &StallConfig::default());
    let told = seconds(
        &mut monitor,
        (&errors, &mut subscription),
        (Instant::now(), 0, 5),
    );
    assert_eq!(told[0].severity, Severity::Critical);
    assert!(!told[0].recoverable);
}

/// K06.
#[test]
fn where_there_is_none_it_is_said_once() {
    let machine = machine(None);
    let (mut monitor, errors, mut subscription) = monitor(&machine, &StallConfig::default());
    let told = seconds(
        &mut monitor,
        (&errors, &mut subscription),
        (Instant::now(), 0, 100),
    );
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].code, told[0].severity),
        (Code::PsiUnavailable, Severity::Info)
    );
    assert!(told[0].detail.is_some(), "and why");
}

/// K09.
#[test]
fn turned_off_it_reads_and_says_nothing() {
    let machine = machine(Some("90.00"));
    let off = StallConfig {
        enabled: false,
        ..StallConfig::default()
    };
    let (mut monitor, errors, mut subscription) = monitor(&machine, &off);
    let told = seconds(
        &mut monitor,
        (&errors, &mut subscription),
        (Instant::now(), 0, 10),
    );
    assert_eq!(told, []);
    assert_eq!(monitor.last, None);
}

/// K04, O23.
#[test]
fn it_reads_as_often_as_it_is_told_and_allocates_nothing() {
    let machine = machine(Some("5.00"));
    let (mut monitor, errors, _subscription) = monitor(&machine, &StallConfig::default());
    let start = Instant::now();
    let avg10 = |monitor: &mut StallMonitor, ms: u64| {
        let since = Duration::from_millis(ms);
        let sample = monitor.look(&tick(start, since), &errors);
        sample.unwrap().psi.some.unwrap().avg10
    };
    assert_eq!(avg10(&mut monitor, 0), 0.05);
    show(&machine, "9.00");
    assert_eq!(avg10(&mut monitor, 999), 0.05, "not yet");
    let looked = allocation_counter::measure(|| {
        assert_eq!(avg10(&mut monitor, 1000), 0.09);
    });
    assert_eq!(looked.count_total, 0);
}
