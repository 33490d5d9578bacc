//! The error bus: bounded, lossy with an exact count, never blocking, never recursing.

#![allow(clippy::unwrap_used)]

use relay_event::{
    Code, Component, ErrorBus, ErrorEvent, ErrorFilter, ErrorSubscription, Severity, Signal, Value,
    block_on,
};
use std::future::Future;
use std::panic;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

fn event(code: Code) -> ErrorEvent {
    ErrorEvent::new(code, Severity::Warning, Component::Engine)
}

/// An event that can be told from others, and from parts of others.
fn numbered(number: u64) -> ErrorEvent {
    event(Code::IngestInvalid)
        .with("number", number)
        .with("again", number)
        .detail(number.to_string())
}

fn number(event: &ErrorEvent) -> u64 {
    let Some(Value::U64(number)) = event.fields.get("number") else {
        panic!("torn: {event:?}");
    };
    let whole = (event.fields.get("again"), event.detail.as_deref());
    assert_eq!(
        whole,
        (Some(Value::U64(number)), Some(&*number.to_string())),
        "torn"
    );
    number
}

fn drain(subscription: &mut ErrorSubscription) -> Vec<ErrorEvent> {
    std::iter::from_fn(|| subscription.try_recv()).collect()
}

fn accounted(subscription: &ErrorSubscription) -> u64 {
    subscription.delivered()
        + subscription.skipped()
        + subscription.dropped()
        + subscription.waiting()
}

#[test]
fn error_bus_bounded_lossy() {
    let errors = ErrorBus::with(4, None);
    let mut slow = errors.subscribe(ErrorFilter::all()).unwrap();
    let mut quick = errors.subscribe(ErrorFilter::all()).unwrap();
    let mut received = 0_u64;
    for _ in 0..10 {
        errors.publish(event(Code::MemPressure));
        received += u64::from(quick.try_recv().is_some());
    }
    assert_eq!((received, quick.dropped()), (10, 0));
    let kept = std::iter::from_fn(|| slow.try_recv()).count() as u64;
    assert_eq!((kept, slow.dropped(), errors.dropped()), (4, 6, 6));
    assert_eq!(
        kept + slow.dropped() + received,
        10 * errors.subscriber_count() as u64
    );
    assert_eq!(errors.count(Code::MemPressure), 10);
}

#[test]
fn error_bus_non_blocking() {
    let errors = ErrorBus::with(1, None);
    let stuck = errors.subscribe(ErrorFilter::all()).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| errors.publish(event(Code::EventDropped))));
        }
    });
    assert_eq!(errors.count(Code::EventDropped), 40_000);
    assert_eq!(stuck.dropped(), 39_999);
}

#[test]
fn dropping_an_error_reports_no_error() {
    let errors = ErrorBus::with(1, None);
    let _stuck = errors.subscribe(ErrorFilter::all()).unwrap();
    (0..1000).for_each(|_| errors.publish(event(Code::MemPressure)));
    let others = Code::ALL.iter().filter(|code| **code != Code::MemPressure);
    assert_eq!(others.map(|code| errors.count(*code)).sum::<u64>(), 0);
}

#[test]
fn filters_by_code_severity_signal_and_component() {
    let errors = ErrorBus::new();
    let mut by_code = errors
        .subscribe(ErrorFilter::all().code(Code::Shutdown))
        .unwrap();
    let mut by_signal = errors
        .subscribe(ErrorFilter::all().signal(Signal::Shed))
        .unwrap();
    let engine = ErrorFilter::all()
        .component(Component::Engine)
        .at_least(Severity::Error);
    let mut by_component = errors.subscribe(engine).unwrap();
    errors.publish(event(Code::Shutdown));
    errors.publish(event(Code::MemPressure).signal(Signal::Shed));
    errors.publish(ErrorEvent::new(
        Code::AdapterFail,
        Severity::Critical,
        Component::Engine,
    ));
    let codes = |subscription: &mut ErrorSubscription| {
        let events = drain(subscription);
        events.iter().map(|event| event.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&mut by_code), [Code::Shutdown]);
    assert_eq!(codes(&mut by_signal), [Code::MemPressure]);
    assert_eq!(codes(&mut by_component), [Code::AdapterFail]);
}

#[test]
fn a_flood_within_the_window_folds_into_a_count() {
    let errors = ErrorBus::with(32, Some(Duration::from_secs(1)));
    let mut all = errors.subscribe(ErrorFilter::all()).unwrap();
    let at = |ms| ErrorEvent {
        time: UNIX_EPOCH + Duration::from_millis(ms),
        ..event(Code::IngestInvalid)
    };
    (1000..1100).for_each(|ms| errors.publish(at(ms)));
    errors.publish(at(1999));
    errors.publish(at(2000));
    let counts: Vec<u32> = std::iter::from_fn(|| all.try_recv())
        .map(|event| event.count)
        .collect();
    assert_eq!(counts, [1, 1, 1, 1, 1, 1, 1, 1, 94]);
    assert_eq!(
        errors.count(Code::IngestInvalid),
        102,
        "each is counted once"
    );
}

#[test]
fn close_ends_receivers_after_what_they_have() {
    let errors = ErrorBus::new();
    let mut subscription = errors.subscribe(ErrorFilter::all()).unwrap();
    errors.publish(event(Code::Shutdown));
    let waiting = thread::spawn(move || {
        let first = block_on(subscription.recv()).map(|event| event.code);
        (first, block_on(subscription.recv()).is_none())
    });
    thread::sleep(Duration::from_millis(20));
    errors.close();
    assert_eq!(waiting.join().unwrap(), (Some(Code::Shutdown), true));
    assert!(errors.subscribe(ErrorFilter::all()).is_none());
}

#[test]
fn a_disabled_bus_is_a_no_op() {
    let errors = ErrorBus::disabled();
    assert!(errors.subscribe(ErrorFilter::all()).is_none());
    errors.publish(event(Code::Shutdown));
    assert_eq!(errors.count(Code::Shutdown), 0);
}

#[test]
fn unsubscribing_is_dropping() {
    let errors = ErrorBus::new();
    let subscription = errors.subscribe(ErrorFilter::all()).unwrap();
    assert_eq!(errors.subscriber_count(), 1);
    drop(subscription);
    assert_eq!(errors.subscriber_count(), 0);
}

#[test]
fn the_oldest_are_lost_while_another_keeps_up_and_the_newest_when_nobody_does() {
    let errors = ErrorBus::with(4, None);
    let mut slow = errors.subscribe(ErrorFilter::all()).unwrap();
    let mut quick = errors.subscribe(ErrorFilter::all()).unwrap();
    for n in 0..10 {
        errors.publish(numbered(n));
        assert_eq!(quick.try_recv().as_ref().map(number), Some(n));
    }
    // From here on nobody reads.
    (10..20).for_each(|n| errors.publish(numbered(n)));
    let numbers = |events: Vec<ErrorEvent>| events.iter().map(number).collect::<Vec<_>>();
    assert_eq!((quick.waiting(), slow.waiting()), (4, 4));
    assert_eq!((quick.dropped(), slow.dropped()), (6, 16));
    assert_eq!(numbers(drain(&mut slow)), [10, 11, 12, 13]);
    assert_eq!(numbers(drain(&mut quick)), [10, 11, 12, 13]);
    errors.publish(numbered(20));
    assert_eq!(numbers(drain(&mut slow)), [20]);
    assert_eq!((accounted(&quick), accounted(&slow)), (21, 21));
    assert_eq!(errors.dropped(), 22);
}

#[test]
fn what_a_filter_leaves_out_is_skipped_and_the_account_adds_up() {
    let errors = ErrorBus::with(8, None);
    let filter = ErrorFilter::all().code(Code::Shutdown);
    let mut filtered = errors.subscribe(filter).unwrap();
    let mut all = errors.subscribe(ErrorFilter::all()).unwrap();
    for code in [Code::Panic, Code::Shutdown, Code::Panic, Code::Panic] {
        errors.publish(event(code));
    }
    assert_eq!(drain(&mut filtered).len(), 1);
    assert_eq!((filtered.delivered(), filtered.skipped()), (1, 3));
    for _ in 0..20 {
        errors.publish(event(Code::Panic));
        drain(&mut all);
    }
    assert!(filtered.try_recv().is_none());
    assert_eq!((filtered.skipped(), filtered.dropped()), (3 + 8, 12));
    assert_eq!((accounted(&filtered), accounted(&all)), (24, 24));
}

#[test]
fn filters_by_event_type_with_wildcards_and_older_names() {
    let matching = |pattern: &str| {
        let filter = ErrorFilter::all().types(pattern).unwrap();
        let wanted = |code: &&Code| filter.matches(&event(**code));
        Code::ALL.iter().filter(wanted).copied().collect::<Vec<_>>()
    };
    assert_eq!(matching("relay.error.*"), Code::ALL);
    assert_eq!(matching("pipeline.error.*"), Code::ALL);
    let adapter = [
        Code::AdapterFail,
        Code::AdapterStart,
        Code::AdapterStop,
        Code::AdapterScaledUp,
        Code::AdapterScaledDown,
    ];
    assert_eq!(matching("relay.error.adapter_*"), adapter);
    assert_eq!(
        matching("pipeline.error.memory_pressure"),
        [Code::MemPressure]
    );
    assert_eq!(matching("relay.event.*"), []);
    assert!(ErrorFilter::all().types("").is_err());
    let both = ErrorFilter::all()
        .code(Code::Panic)
        .types("relay.error.adapter_*");
    assert!(
        !both.unwrap().matches(&event(Code::Panic)),
        "all must match"
    );
}

#[test]
fn filters_by_the_first_parts_of_a_component() {
    let filter = ErrorFilter::all().component_within("bus:orders");
    let from = |component: &str| {
        let component = component.parse().unwrap();
        filter.matches(&ErrorEvent::new(
            Code::EventDropped,
            Severity::Error,
            component,
        ))
    };
    assert!(from("bus:orders") && from("bus:orders:sub:3"));
    assert!(!from("bus:orders2") && !from("bus:order") && !from("engine"));
}

/// Publishers, a quick, a lazy, a filtered and a stuck subscriber, and some that come and go; whatever the order was, each
/// event is accounted for once.
#[test]
fn the_account_is_exact_after_a_storm_of_threads() {
    const PUBLISHERS: u64 = 3;
    const EVENTS: u64 = 4_000;
    let errors = ErrorBus::with(16, None);
    let subscribe = |filter| errors.subscribe(filter).unwrap();
    let stuck = subscribe(ErrorFilter::all());
    let mut quick = subscribe(ErrorFilter::all());
    let mut lazy = subscribe(ErrorFilter::all());
    let mut filtered = subscribe(ErrorFilter::all().code(Code::Shutdown));
    let running = AtomicBool::new(true);
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let errors = errors.clone();
                scope.spawn(move || {
                    for n in 0..EVENTS {
                        errors.publish(numbered(publisher * EVENTS + n));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut last = [None; PUBLISHERS as usize];
            while running.load(Relaxed) {
                for event in drain(&mut quick) {
                    let number = number(&event);
                    let last = &mut last[(number / EVENTS) as usize];
                    assert!(*last < Some(number), "{number} after {last:?}");
                    *last = Some(number);
                }
            }
        });
        scope.spawn(|| {
            while running.load(Relaxed) {
                lazy.try_recv().as_ref().map(number);
                thread::yield_now();
            }
        });
        scope.spawn(|| {
            while running.load(Relaxed) {
                assert!(filtered.try_recv().is_none());
            }
        });
        scope.spawn(|| {
            while running.load(Relaxed) {
                let mut guest = subscribe(ErrorFilter::all());
                guest.try_recv().as_ref().map(number);
                assert!(errors.subscriber_count() >= 5);
                assert!(guest.waiting() <= 16);
            }
        });
        for publisher in publishers {
            publisher.join().unwrap();
        }
        running.store(false, Relaxed);
    });
    let all = PUBLISHERS * EVENTS;
    assert_eq!(errors.count(Code::IngestInvalid), all);
    for subscription in [&stuck, &quick, &lazy, &filtered] {
        assert_eq!(accounted(subscription), all, "{subscription:?}");
        assert!(subscription.waiting() <= 16);
    }
    assert_eq!((stuck.delivered(), filtered.delivered()), (0, 0));
    assert_eq!(errors.subscriber_count(), 4);
    drain(&mut lazy);
    assert_eq!((lazy.waiting(), accounted(&lazy)), (0, all));
}

#[test]
fn publishing_allocates_nothing() {
    let errors = ErrorBus::with(4, Some(Duration::from_secs(1)));
    let mut quick = errors.subscribe(ErrorFilter::all()).unwrap();
    let parked = errors.subscribe(ErrorFilter::all()).unwrap();
    let waiting = thread::spawn(move || {
        let mut parked = parked;
        while block_on(parked.recv()).is_some() {}
    });
    let monitor = Component::monitor("memory");
    // A thread that never published before, with room, without, folded, and with somebody to wake.
    let publisher = thread::spawn({
        let errors = errors.clone();
        move || {
            allocation_counter::measure(|| {
                for code in Code::ALL {
                    for _ in 0..20 {
                        let event = ErrorEvent::new(*code, Severity::Error, monitor.clone());
                        errors.publish(event.with("used_bytes", 7_u64));
                    }
                }
            })
        }
    });
    assert_eq!(publisher.join().unwrap().count_total, 0);
    assert!(quick.try_recv().is_some() && quick.dropped() > 0);
    errors.close();
    waiting.join().unwrap();
}

#[test]
fn a_panic_hook_publishes() {
    let errors = ErrorBus::new();
    let mut subscription = errors.subscribe(ErrorFilter::all()).unwrap();
    let before: Arc<dyn Fn(&panic::PanicHookInfo<'_>) + Send + Sync> = panic::take_hook().into();
    let (publisher, others) = (errors.clone(), Arc::clone(&before));
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some("to-panic") {
            publisher.publish(event(Code::Panic));
        } else {
            others(info);
        }
    }));
    let thread = thread::Builder::new().name("to-panic".into());
    let panicked = thread.spawn(|| panic!("as it should")).unwrap().join();
    panic::set_hook(Box::new(move |info| before(info)));
    assert!(panicked.is_err());
    let received = subscription.try_recv().map(|event| event.code);
    assert_eq!(
        (received, errors.count(Code::Panic)),
        (Some(Code::Panic), 1)
    );
}

struct Bell(AtomicUsize, bool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
        assert!(!self.1, "a waker that panics");
    }
}

/// Polls once with a bell, and lets go.
fn poll(subscription: &mut ErrorSubscription, bell: &Arc<Bell>) -> bool {
    let waker = Waker::from(Arc::clone(bell));
    let mut receive = pin!(subscription.recv());
    receive
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_ready()
}

#[test]
fn a_waker_that_panics_harms_neither_the_publisher_nor_another_reader() {
    let errors = ErrorBus::new();
    let mut subscriptions = [0; 3].map(|_| errors.subscribe(ErrorFilter::all()).unwrap());
    let bells = [false, true, false].map(|panics| Arc::new(Bell(AtomicUsize::new(0), panics)));
    for (subscription, bell) in subscriptions.iter_mut().zip(&bells) {
        assert!(!poll(subscription, bell));
    }
    errors.publish(event(Code::Panic));
    let rung = || {
        bells
            .iter()
            .map(|bell| bell.0.load(Relaxed))
            .collect::<Vec<_>>()
    };
    assert_eq!(rung(), [1, 1, 1]);
    errors.publish(event(Code::Panic));
    assert_eq!(rung(), [1, 1, 1], "nobody is parked any more");
    assert!(subscriptions.iter_mut().all(|one| drain(one).len() == 2));
}

#[test]
fn giving_up_waiting_loses_nothing() {
    let errors = ErrorBus::new();
    let mut subscription = errors.subscribe(ErrorFilter::all()).unwrap();
    let bell = Arc::new(Bell(AtomicUsize::new(0), false));
    assert!(!poll(&mut subscription, &bell));
    errors.publish(event(Code::Panic));
    assert_eq!(bell.0.load(Relaxed), 1);
    assert_eq!(
        (subscription.waiting(), drain(&mut subscription).len()),
        (1, 1)
    );
}

#[test]
fn the_last_handle_ends_those_who_wait() {
    let errors = ErrorBus::new();
    let mut subscription = errors.subscribe(ErrorFilter::all()).unwrap();
    let bell = Arc::new(Bell(AtomicUsize::new(0), false));
    let other = errors.clone();
    assert!(!poll(&mut subscription, &bell));
    drop(errors);
    assert_eq!(bell.0.load(Relaxed), 0, "there is another handle");
    other.publish(event(Code::Shutdown));
    drop(other);
    assert_eq!(drain(&mut subscription).len(), 1);
    assert!(poll(&mut subscription, &bell), "the end");
}

#[test]
fn at_most_256_subscribe_and_places_are_used_again() {
    let errors = ErrorBus::with(1, None);
    let subscribe = || errors.subscribe(ErrorFilter::all());
    let mut subscriptions: Vec<_> = (0..256).map_while(|_| subscribe()).collect();
    assert_eq!((subscriptions.len(), errors.subscriber_count()), (256, 256));
    assert!(subscribe().is_none());
    errors.publish(event(Code::Panic));
    drop(subscriptions.remove(100));
    let mut late = subscribe().unwrap();
    assert!(late.try_recv().is_none(), "from now on");
    errors.publish(event(Code::Shutdown));
    assert_eq!(late.try_recv().unwrap().code, Code::Shutdown);
    // Of the others each lost the first event when the second came.
    assert_eq!((errors.dropped(), late.dropped()), (255, 0));
    subscriptions.clear();
    assert_eq!((errors.dropped(), errors.subscriber_count()), (255, 1));
}

/// Runs in a process of its own, as the environment is read once.
#[test]
#[ignore = "started by the next test"]
fn print_whether_traced() {
    let traced = |severity| {
        let event = ErrorEvent::new(Code::Panic, severity, Component::Engine).traced();
        event
            .trace
            .is_some_and(|trace| trace.to_string().contains("traced"))
    };
    println!(
        "traced {} {}",
        traced(Severity::Warning),
        traced(Severity::Error)
    );
}

#[test]
fn a_trace_is_taken_for_errors_and_only_when_turned_on() {
    let output = |on: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "print_whether_traced",
                "--ignored",
                "--nocapture",
            ])
            .env("RUST_BACKTRACE", on)
            .env_remove("RUST_LIB_BACKTRACE")
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(output("0").contains("traced false false"));
    assert!(output("1").contains("traced false true"));
}
