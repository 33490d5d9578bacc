//! Breakers around emitters and starts of adapters, and adapters that are started again.

#![allow(clippy::unwrap_used)]

mod support;

use relay_control::{BackoffConfig, BreakerConfig, BreakerState, Jitter, StartLimitConfig};
use relay_engine::{
    Adapter, AdapterContext, AdapterError, AdapterOptions, BoxFuture, BuildError, EmitError,
    Emitted, Emitter, EmitterOptions, Engine, EngineBuilder, Health, RetryPolicy, default_breaker,
};
use relay_event::{Code, Delivery, DropReason, ErrorBus, Event, Overflow};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use support::{Collector, Sender, until};

const DEADLINE: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(20);

fn builder(errors: &ErrorBus, collector: &Collector) -> EngineBuilder {
    Engine::builder()
        .without_error_log()
        .with_errors(errors.clone())
        .with_error_handler(collector.handler())
}

/// A target that can be down, and counts how often it was called.
#[derive(Clone, Default)]
struct Flaky {
    is_down: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    delivered: Arc<AtomicUsize>,
}

impl Emitter for Flaky {
    fn kind(&self) -> &'static str {
        "flaky"
    }

    fn emit<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<Emitted, EmitError>> {
        self.calls.fetch_add(1, Relaxed);
        let result = if self.is_down.load(Relaxed) {
            Err(EmitError::retry("down"))
        } else {
            self.delivered.fetch_add(events.len(), Relaxed);
            Ok(Emitted::All)
        };
        Box::pin(async { result })
    }
}

fn quick() -> EmitterOptions {
    let retry = RetryPolicy {
        attempts: None,
        initial: Duration::from_millis(1),
        max: Duration::from_millis(2),
    };
    EmitterOptions::default()
        .batch(8, 1 << 20, Duration::ZERO)
        .retry(retry)
}

/// Opens at the third failure, and stays open for an hour.
fn for_an_hour() -> BreakerConfig {
    BreakerConfig {
        consecutive: Some(3),
        open_for: Duration::from_hours(1),
        open_max: Duration::from_hours(1),
        ..default_breaker()
    }
}

fn state(engine: &Engine, component: &str) -> BreakerState {
    let state = engine.state();
    let breaker = state.breakers.iter().find(|(id, _)| id == component);
    breaker.unwrap().1.state
}

fn health(engine: &Engine, component: &str) -> Health {
    let state = engine.state();
    let found = state.health.into_iter().find(|(id, _)| id == component);
    found.unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_open_nothing_is_tried_and_a_reliable_queue_holds() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let target = Flaky::default();
    target.is_down.store(true, Relaxed);
    let engine = builder(&errors, &collector)
        .with_adapter("in", Sender::new(200))
        .with_emitter("out", target.clone(), quick().breaker(Some(for_an_hour())));
    let engine = engine.start().await.unwrap();
    until("it opens", || {
        state(&engine, "emitter:out") == BreakerState::Open
    })
    .await;
    until("all are in", || engine.state().ingest().accepted == 200).await;
    tokio::time::sleep(SHORT * 5).await;
    assert_eq!(
        target.calls.load(Relaxed),
        3,
        "three failures, and no call since"
    );
    let held = engine.state().subscriptions[0].1.clone();
    assert_eq!(held.queued_events as u64 + held.in_flight, 200, "{held:?}");
    assert!(matches!(health(&engine, "emitter:out"), Health::Failed(_)));

    target.is_down.store(false, Relaxed);
    assert!(engine.observer().reset_breaker("emitter:out"));
    until("all are out", || target.delivered.load(Relaxed) == 200).await;
    until("it is well", || {
        health(&engine, "emitter:out") == Health::Healthy
    })
    .await;
    let account = engine.shutdown(DEADLINE).await;
    assert!(account.is_closed());
    assert_eq!(account.subscriptions[0].1.delivered, 200);
    assert_eq!(errors.count(Code::BreakerOpen), 1);
    assert_eq!(errors.count(Code::EmitterFail), 1, "one report an episode");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_open_a_sheddable_queue_sheds() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let target = Flaky::default();
    let options = quick()
        .breaker(Some(for_an_hour()))
        .delivery(Delivery::sheddable(Overflow::DropNewest))
        .queue(16, None);
    let engine = builder(&errors, &collector).with_emitter("out", target.clone(), options);
    let engine = engine.start().await.unwrap();
    assert!(engine.observer().open_breaker("emitter:out"));
    for _ in 0..100 {
        let event = Event::builder("n").build().unwrap();
        engine.external().try_publish(event).unwrap();
    }
    // Beside what is queued, the receiver that was waiting when it opened may have taken a batch.
    let stats = engine.state().subscriptions[0].1.clone();
    let shed = stats.dropped(DropReason::Full) as usize;
    assert!((76..=84).contains(&shed), "{stats:?}");
    assert_eq!(target.calls.load(Relaxed), 0);
    engine.observer().reset_breaker("emitter:out");
    until("the rest is out", || {
        target.delivered.load(Relaxed) == 100 - shed
    })
    .await;
    assert!(engine.shutdown(DEADLINE).await.is_closed());
    assert!(
        !collector.of(Code::BreakerOpen)[0].recoverable,
        "only who forced it can end it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_comes_back_is_found_by_a_trial() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let target = Flaky::default();
    target.is_down.store(true, Relaxed);
    let breaker = BreakerConfig {
        consecutive: Some(2),
        open_for: SHORT,
        open_max: SHORT * 2,
        ..default_breaker()
    };
    let engine = builder(&errors, &collector)
        .with_adapter("in", Sender::new(50))
        .with_emitter("out", target.clone(), quick().breaker(Some(breaker)));
    let engine = engine.start().await.unwrap();
    until("some trials fail", || errors.count(Code::BreakerHalf) >= 3).await;
    target.is_down.store(false, Relaxed);
    until("all are out", || target.delivered.load(Relaxed) == 50).await;
    assert_eq!(state(&engine, "emitter:out"), BreakerState::Closed);
    assert!(engine.shutdown(DEADLINE).await.is_closed());
    let (open, half) = (
        errors.count(Code::BreakerOpen),
        errors.count(Code::BreakerHalf),
    );
    assert_eq!((open, errors.count(Code::BreakerClose)), (half, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_rejects_opens_nothing() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let sink = support::Scripted::new(vec![|_| Err(EmitError::reject("no such index"))]);
    let breaker = BreakerConfig {
        consecutive: Some(1),
        ..for_an_hour()
    };
    let engine = builder(&errors, &collector)
        .with_adapter("in", Sender::new(20))
        .with_emitter("out", sink, quick().breaker(Some(breaker)));
    let engine = engine.start().await.unwrap();
    until("all are given up", || {
        engine.state().subscriptions[0]
            .1
            .dropped(DropReason::Rejected)
            == 20
    })
    .await;
    assert_eq!(state(&engine, "emitter:out"), BreakerState::Closed);
    engine.shutdown(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_an_open_breaker() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let target = Flaky::default();
    target.is_down.store(true, Relaxed);
    let engine = builder(&errors, &collector)
        .with_adapter("in", Sender::new(20))
        .with_emitter("out", target, quick().breaker(Some(for_an_hour())));
    let engine = engine.start().await.unwrap();
    until("it opens", || {
        state(&engine, "emitter:out") == BreakerState::Open
    })
    .await;
    let account = engine.shutdown(SHORT).await;
    assert!(account.is_closed());
    assert_eq!(account.subscriptions[0].1.delivered, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_that_cannot_work_is_refused_at_the_start() {
    let breaker = BreakerConfig {
        consecutive: Some(0),
        ..default_breaker()
    };
    let engine = Engine::builder().without_error_log();
    let engine = engine.with_emitter("out", Flaky::default(), quick().breaker(Some(breaker)));
    let error = engine.start().await.unwrap_err();
    assert!(
        matches!(&error, BuildError::Control(e) if e.field == "breaker.consecutive"),
        "{error:?}"
    );
}

/// An adapter that cannot start, or does not last, for so many times; then it publishes and stays.
#[derive(Clone)]
struct Fragile {
    starts: Arc<AtomicUsize>,
    bad_starts: usize,
    runs: Arc<AtomicUsize>,
    bad_runs: usize,
    end: fn() -> Result<(), AdapterError>,
}

impl Fragile {
    fn new(bad_starts: usize, bad_runs: usize) -> Self {
        Self {
            starts: Arc::default(),
            bad_starts,
            runs: Arc::default(),
            bad_runs,
            end: || Err(AdapterError::new("the listener is gone")),
        }
    }
}

impl Adapter for Fragile {
    fn kind(&self) -> &'static str {
        "fragile"
    }

    fn start<'a>(&'a mut self, _: &'a AdapterContext) -> BoxFuture<'a, Result<(), AdapterError>> {
        let is_bad = self.starts.fetch_add(1, Relaxed) < self.bad_starts;
        let result = if is_bad {
            Err(AdapterError::new("address in use"))
        } else {
            Ok(())
        };
        Box::pin(async { result })
    }

    fn run(self: Box<Self>, cx: AdapterContext) -> BoxFuture<'static, Result<(), AdapterError>> {
        Box::pin(async move {
            if self.runs.fetch_add(1, Relaxed) < self.bad_runs {
                return (self.end)();
            }
            Box::new(Sender::new(10)).run(cx).await
        })
    }

    fn successor(&self) -> Option<Box<dyn Adapter>> {
        Some(Box::new(self.clone()))
    }
}

fn patient() -> AdapterOptions {
    let backoff = BackoffConfig {
        initial: Duration::from_millis(1),
        min: Duration::from_millis(1),
        max: Duration::from_millis(5),
        jitter: Jitter::None,
        ..BackoffConfig::default()
    };
    AdapterOptions::default().backoff(backoff)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optional_adapter_that_cannot_start_is_tried_again_and_the_others_run() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let target = Flaky::default();
    let breaker = BreakerConfig {
        open_for: SHORT,
        open_max: SHORT,
        ..default_breaker()
    };
    let engine = builder(&errors, &collector)
        .with_adapter_options(
            "bad",
            Fragile::new(8, 0),
            patient().optional(true).breaker(breaker),
        )
        .with_adapter("good", Sender::new(10))
        .with_emitter("out", target.clone(), quick());
    let engine = engine.start().await.unwrap();
    let reason = health(&engine, "adapter:bad");
    assert!(matches!(reason, Health::Failed(_)), "{reason}");
    until("both are served", || target.delivered.load(Relaxed) == 20).await;
    assert_eq!(health(&engine, "adapter:bad"), Health::Healthy);
    assert!(engine.shutdown(DEADLINE).await.is_closed());
    assert_eq!(errors.count(Code::AdapterFail), 1, "one report an episode");
    let opened = collector.of(Code::BreakerOpen);
    assert_eq!(opened[0].component.to_string(), "adapter:bad");
    assert_eq!(opened[0].fields.get("failures"), Some(5_u64.into()));
    assert_eq!(errors.count(Code::BreakerClose), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_fails_or_panics_is_started_again() {
    for end in [(|| Err(AdapterError::new("gone"))) as fn() -> _, || {
        panic!("on purpose")
    }] {
        let (errors, collector) = (ErrorBus::new(), Collector::default());
        let target = Flaky::default();
        let adapter = Fragile {
            end,
            ..Fragile::new(0, 3)
        };
        let engine = builder(&errors, &collector)
            .with_adapter_options("in", adapter, patient())
            .with_emitter("out", target.clone(), quick());
        let engine = engine.start().await.unwrap();
        until("it serves", || target.delivered.load(Relaxed) == 10).await;
        assert_eq!(health(&engine, "adapter:in"), Health::Healthy);
        assert!(engine.shutdown(DEADLINE).await.is_closed());
        let told = errors.count(Code::AdapterFail) + errors.count(Code::Panic);
        assert_eq!((told, errors.count(Code::AdapterStart)), (3, 4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_lasts_is_slowed_down_and_never_forgotten() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let adapter = Fragile::new(0, usize::MAX);
    let runs = Arc::clone(&adapter.runs);
    let limit = StartLimitConfig {
        burst: 4,
        warn: 4,
        interval: Duration::from_hours(1),
    };
    let engine = builder(&errors, &collector)
        .with_adapter_options("in", adapter, patient().start_limit(limit))
        .start()
        .await
        .unwrap();
    let says = || health(&engine, "adapter:in").to_string();
    until("the limit is reached", || {
        says().contains("started too often")
    })
    .await;
    tokio::time::sleep(SHORT * 3).await;
    assert_eq!(runs.load(Relaxed), 5, "once, and four times again");
    assert!(says().starts_with("failed"), "{}", says());
    assert!(
        engine.shutdown(DEADLINE).await.is_closed(),
        "and it can still be told to stop"
    );
}
