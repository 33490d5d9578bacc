use std::{
    future::{self, Ready},
    pin::pin,
    sync::{Mutex, mpsc},
    task::Waker,
    thread,
};

use super::*;
use crate::unwinder::Profiling;

/// Tests that look at backtraces, and the one that forbids them, take turns.
static UNWINDING: Mutex<()> = Mutex::new(());

struct Reports {
    guard: PanicGuard,
    seen: mpsc::Receiver<String>,
}

impl Reports {
    fn new() -> Self {
        let (report, seen) = mpsc::channel();
        let guard = PanicGuard::new(move |panicked: &Panicked| {
            let _ = report.send(format!("{}: {}", panicked.component, panicked.message));
        });
        Self { guard, seen }
    }

    fn taken(&self) -> Vec<String> {
        self.seen.try_iter().collect()
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

struct PanicsOnDrop(&'static str);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

#[test]
fn a_thread_that_panics_is_reported_once_with_its_place() {
    let _turn = UNWINDING.lock();
    let reports = Reports::new();
    let fail = || panic!("no {} left", 7);
    let line = line!() - 1;
    let body = reports.guard.wrap_thread("pulse", fail);
    let result: Result<(), _> = thread::spawn(body).join().expect("caught");
    let panicked = result.unwrap_err();
    let location = panicked.location.as_ref().unwrap();
    assert!(
        location.file.ends_with("panic_guard/tests.rs"),
        "{location}"
    );
    assert_eq!(location.line, line);
    let expected = format!("pulse panicked at {location}: no 7 left");
    assert_eq!(panicked.to_string(), expected);
    let backtrace = panicked.backtrace.as_ref().unwrap().to_string();
    assert!(backtrace.contains("panic_guard"), "{backtrace}");
    assert_eq!(reports.taken(), ["pulse: no 7 left"]);
    assert_eq!((panicked.ordinal, reports.guard.panics()), (1, 1));
}

#[test]
fn what_does_not_panic_passes_untouched() {
    let reports = Reports::new();
    assert_eq!(reports.guard.wrap_thread("thread", || 5)().unwrap(), 5);
    let task = pin!(reports.guard.wrap("task", future::ready(6)));
    assert!(matches!(poll_once(task), Poll::Ready(Ok(6))));
    assert!(reports.taken().is_empty());
}

#[test]
fn a_future_is_polled_on_until_it_panics_and_never_again() {
    let reports = Reports::new();
    let mut polls = 0;
    let inner = future::poll_fn(|_| {
        polls += 1;
        assert!(polls < 3, "third poll");
        Poll::<()>::Pending
    });
    let mut task = Box::pin(reports.guard.wrap("task", inner));
    assert!(poll_once(task.as_mut()).is_pending());
    assert!(poll_once(task.as_mut()).is_pending());
    assert!(matches!(poll_once(task.as_mut()), Poll::Ready(Err(_))));
    drop(task);
    assert_eq!(reports.taken(), ["task: third poll"]);
    assert_eq!(polls, 3);
}

#[test]
fn payloads_of_any_type_and_length_make_a_message() {
    let reports = Reports::new();
    let run = |body: fn()| reports.guard.wrap_thread("x", body)().unwrap_err().message;
    assert_eq!(run(|| panic!("literal")), "literal");
    assert_eq!(run(|| panic::panic_any(String::from("owned"))), "owned");
    assert_eq!(
        run(|| panic::panic_any(42)),
        "(a payload that is not a text)"
    );
    let long = run(|| panic!("{}", "ä".repeat(5000)));
    assert_eq!(long, "ä".repeat(2048));
}

#[test]
fn a_payload_that_panics_when_dropped_is_survived() {
    struct PanicsTwice;
    impl Drop for PanicsTwice {
        fn drop(&mut self) {
            panic::panic_any(PanicsOnDrop("payload of a payload"));
        }
    }
    let reports = Reports::new();
    let body = || panic::panic_any(PanicsTwice);
    let result: Result<(), _> = reports.guard.wrap_thread("x", body)();
    assert!(result.is_err());
    assert_eq!(reports.guard.panics(), 1);
}

#[test]
fn a_panic_in_a_destructor_is_reported_whenever_it_runs() {
    let reports = Reports::new();
    let holding = |name| {
        let held = PanicsOnDrop(name);
        reports.guard.wrap("task", async move {
            let _held = held;
            future::pending::<()>().await;
        })
    };
    drop(holding("never polled"));
    let mut polled = Box::pin(holding("cancelled"));
    assert!(poll_once(polled.as_mut()).is_pending());
    drop(polled);
    assert_eq!(reports.taken(), ["task: never polled", "task: cancelled"]);
}

#[test]
fn a_future_that_panics_in_its_destructor_after_completion_is_an_error() {
    struct Completes(
        Ready<u8>,
        #[expect(dead_code, reason = "held for its drop")] PanicsOnDrop,
    );
    impl Future for Completes {
        type Output = u8;
        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u8> {
            Pin::new(&mut self.0).poll(context)
        }
    }
    let reports = Reports::new();
    let inner = Completes(future::ready(1), PanicsOnDrop("afterwards"));
    let task = pin!(reports.guard.wrap("task", inner));
    let Poll::Ready(Err(panicked)) = poll_once(task) else {
        panic!("no error");
    };
    assert_eq!(panicked.message, "afterwards");
    assert_eq!(reports.taken(), ["task: afterwards"]);
}

#[test]
fn a_reporter_that_panics_is_on_its_own() {
    let guard = PanicGuard::new(|_| panic!("reporter"));
    let result: Result<(), _> = guard.wrap_thread("x", || panic!("body"))();
    assert_eq!(result.unwrap_err().message, "body");
    let again: Result<(), _> = guard.wrap_thread("x", || panic!("again"))();
    assert_eq!(again.unwrap_err().ordinal, 2);
}

/// A payload that is passed on has no panic of its own: an old place must not be taken for its.
#[test]
fn a_resumed_payload_has_no_place() {
    let reports = Reports::new();
    let survives = || panic::catch_unwind(|| panic!("caught by its own code")).is_err();
    assert!(reports.guard.wrap_thread("x", survives)().unwrap());
    let body = || panic::resume_unwind(Box::new("passed on"));
    let result: Result<(), _> = reports.guard.wrap_thread("x", body)();
    let panicked = result.unwrap_err();
    assert_eq!(panicked.to_string(), "x panicked: passed on");
    assert!(panicked.backtrace.is_none());
}

#[test]
fn a_guard_inside_a_destructor_leaves_the_place_of_the_panic_around_it() {
    struct GuardsOnDrop(PanicGuard);
    impl Drop for GuardsOnDrop {
        fn drop(&mut self) {
            let result: Result<(), _> = self.0.wrap_thread("inner", || panic!("inner"))();
            assert!(result.is_err());
        }
    }
    let reports = Reports::new();
    let held = GuardsOnDrop(reports.guard.clone());
    let fail = move || {
        let _held = held;
        panic!("outer")
    };
    let line = line!() - 2;
    let result: Result<(), _> = reports.guard.wrap_thread("outer", fail)();
    let panicked = result.unwrap_err();
    assert_eq!(panicked.location.map(|location| location.line), Some(line));
    assert_eq!(reports.taken(), ["inner: inner", "outer: outer"]);
}

#[test]
fn an_inner_guard_reports_and_the_outer_one_does_not() {
    let (inner, outer) = (Reports::new(), Reports::new());
    let body = inner.guard.wrap_thread("inner", || panic!("inside"));
    let result: Result<Result<(), _>, _> = outer.guard.wrap_thread("outer", body)();
    assert!(result.unwrap().unwrap_err().location.is_some());
    assert_eq!(inner.taken(), ["inner: inside"]);
    assert!(outer.taken().is_empty());
}

#[test]
fn no_stack_is_walked_while_a_profile_is_taken() {
    let _turn = UNWINDING.lock();
    let reports = Reports::new();
    let panicked = loop {
        let Some(profiling) = Profiling::try_start() else {
            continue;
        };
        assert!(Profiling::try_start().is_none());
        let result: Result<(), _> = reports.guard.wrap_thread("x", || panic!("now"))();
        drop(profiling);
        break result.unwrap_err();
    };
    assert!(panicked.backtrace.is_none());
    assert!(panicked.location.is_some());
}
