//! The error bus: bounded, lossy with an exact count, never blocking, never recursing.

#![allow(clippy::unwrap_used)]

use relay_event::{Code, Component, ErrorBus, ErrorEvent, ErrorFilter, Severity, Signal, block_on};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

fn event(code: Code) -> ErrorEvent {
    ErrorEvent::new(code, Severity::Warning, Component::Engine)
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
    let codes = |subscription: &mut relay_event::ErrorSubscription| {
        std::iter::from_fn(|| subscription.try_recv())
            .map(|event| event.code)
            .collect::<Vec<_>>()
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
