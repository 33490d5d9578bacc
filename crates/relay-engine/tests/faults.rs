//! Each fault gives exactly one error event and one count, and nothing else is harmed.

#![allow(clippy::unwrap_used)]

mod support;

use relay_engine::{
    AdapterError, BuildError, EmitterOptions, Engine, EngineBuilder, Health, ShutdownRequest,
};
use relay_event::{Code, Component, ErrorBus, ErrorEvent, Severity};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use support::{Collector, Scripted, Sender, until};

const DEADLINE: Duration = Duration::from_secs(5);

fn builder(errors: &ErrorBus, collector: &Collector) -> EngineBuilder {
    Engine::builder()
        .without_error_log()
        .with_errors(errors.clone())
        .with_error_handler(collector.handler())
}

/// Exactly one event of `code` about `component` with this text, and one count.
fn once(collector: &Collector, errors: &ErrorBus, code: Code, component: &str, text: &str) {
    let events = collector.of(code);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(errors.count(code), 1);
    assert_eq!(events[0].component.to_string(), component);
    assert!(events[0].to_string().contains(text), "{}", events[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_cannot_start_stops_the_start() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let adapter = Sender {
        fail_start: true,
        ..Sender::new(0)
    };
    let error = builder(&errors, &collector)
        .with_adapter("in", adapter)
        .start()
        .await
        .unwrap_err();
    assert!(matches!(error, BuildError::Adapter { .. }), "{error:?}");
    assert_eq!(error.to_string(), "adapter \"in\" cannot start");
    once(
        &collector,
        &errors,
        Code::AdapterFail,
        "adapter:in",
        "address in use",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emitter_that_cannot_start_stops_the_start() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let emitter = Scripted {
        fail_start: true,
        ..Scripted::default()
    };
    let engine =
        builder(&errors, &collector).with_emitter("out", emitter, EmitterOptions::default());
    assert!(matches!(
        engine.start().await.unwrap_err(),
        BuildError::Emitter { .. }
    ));
    once(
        &collector,
        &errors,
        Code::EmitterFail,
        "emitter:out",
        "cannot open",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_fails_or_panics_is_reported_and_the_rest_runs_on() {
    type End = fn() -> Result<(), AdapterError>;
    let cases: [(End, Code, &str); 2] = [
        (
            || Err(AdapterError::new("the listener is gone")),
            Code::AdapterFail,
            "the listener is gone",
        ),
        (|| panic!("on purpose"), Code::Panic, "on purpose"),
    ];
    for (end, code, text) in cases {
        let (errors, collector) = (ErrorBus::new(), Collector::default());
        let sink = Scripted::default();
        let engine = builder(&errors, &collector)
            .with_adapter(
                "bad",
                Sender {
                    end,
                    ..Sender::new(0)
                },
            )
            .with_adapter("good", Sender::new(10))
            .with_emitter("out", sink.clone(), EmitterOptions::default());
        let engine = engine.start().await.unwrap();
        until("the good one is served", || sink.seen().len() == 10).await;
        let failed = |state: relay_engine::EngineState| {
            state
                .health
                .iter()
                .any(|(id, health)| id == "adapter:bad" && matches!(health, Health::Failed(_)))
        };
        until("it is marked as failed", || failed(engine.state())).await;
        assert!(engine.shutdown(DEADLINE).await.is_closed());
        once(&collector, &errors, code, "adapter:bad", text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emitter_that_cannot_close_is_reported() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let emitter = Scripted {
        fail_close: true,
        ..Scripted::default()
    };
    let engine =
        builder(&errors, &collector).with_emitter("out", emitter, EmitterOptions::default());
    engine.start().await.unwrap().shutdown(DEADLINE).await;
    once(
        &collector,
        &errors,
        Code::EmitterFail,
        "emitter:out",
        "cannot flush",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_every_part_is_reported() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let engine = builder(&errors, &collector)
        .with_adapter("in", Sender::new(1))
        .with_emitter("out", Scripted::default(), EmitterOptions::default());
    engine.start().await.unwrap().shutdown(DEADLINE).await;
    for code in [
        Code::AdapterStart,
        Code::AdapterStop,
        Code::EmitterStart,
        Code::EmitterStop,
        Code::HealthCheck,
        Code::Shutdown,
    ] {
        assert_eq!(collector.of(code).len(), 1, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_started_before_the_fault_sees_it() {
    let errors = ErrorBus::new();
    let mut subscription = errors
        .subscribe(relay_event::ErrorFilter::all().code(Code::AdapterFail))
        .unwrap();
    let adapter = Sender {
        fail_start: true,
        ..Sender::new(0)
    };
    let engine = Engine::builder()
        .without_error_log()
        .with_errors(errors.clone())
        .with_adapter("in", adapter);
    engine.start().await.unwrap_err();
    assert_eq!(subscription.recv().await.unwrap().code, Code::AdapterFail);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_panicking_handlers_disturb_nobody() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let engine = builder(&errors, &collector)
        .with_error_handler(move |_: &ErrorEvent| {
            count.fetch_add(1, Relaxed);
            panic!("on purpose");
        })
        .with_error_handler(|_: &ErrorEvent| std::thread::sleep(Duration::from_millis(200)))
        .start()
        .await
        .unwrap();
    for _ in 0..5 {
        errors.publish(ErrorEvent::new(
            Code::EventDropped,
            Severity::Error,
            Component::Engine,
        ));
    }
    until("the good handler saw all", || {
        collector.of(Code::EventDropped).len() == 5
    })
    .await;
    until("the panicking one goes on", || handled.load(Relaxed) >= 5).await;
    drop(engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_error_asks_for_a_shutdown_when_configured() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let engine = builder(&errors, &collector)
        .with_shutdown_on_fatal(true)
        .start()
        .await
        .unwrap();
    let mild = ErrorEvent::new(Code::MemCritical, Severity::Critical, Component::Engine);
    errors.publish(mild.clone());
    let asked = tokio::time::timeout(Duration::from_millis(50), engine.shutdown_requested()).await;
    assert!(asked.is_err(), "it can still pass by itself");
    errors.publish(mild.recoverable(false));
    assert_eq!(engine.shutdown_requested().await, ShutdownRequest::Fatal);
    engine.shutdown(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_unique() {
    let engine = Engine::builder()
        .with_adapter("a", Sender::new(0))
        .with_adapter("a", Sender::new(0));
    let error = engine.start().await.unwrap_err();
    assert!(error.to_string().contains("used twice"), "{error}");
}
