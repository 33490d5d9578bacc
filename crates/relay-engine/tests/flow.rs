//! Events from adapter to emitter: the account closes whatever the far end does.

#![allow(clippy::unwrap_used, clippy::similar_names, clippy::type_complexity)]

mod support;

use relay_engine::{
    EmitError, Emitted, EmitterOptions, Engine, EngineBuilder, EngineState, Health, Mode,
    RefusalReason, RetryPolicy,
};
use relay_event::{Code, DropReason, Event, Outcome, Priority, SubscribeOptions};
use std::time::Duration;
use support::{Collector, Scripted, Sender, Stuck, until};

const DEADLINE: Duration = Duration::from_secs(5);

fn quick() -> EmitterOptions {
    let retry = RetryPolicy {
        attempts: Some(3),
        initial: Duration::from_millis(1),
        max: Duration::from_millis(2),
    };
    EmitterOptions::default()
        .batch(10, 1 << 20, Duration::ZERO)
        .retry(retry)
}

fn builder() -> EngineBuilder {
    Engine::builder()
        .without_error_log()
        .with_interval(Duration::from_millis(5))
}

async fn accepted(engine: &Engine, events: u64) {
    until("all is accepted", || {
        engine.state().ingest().accepted == events
    })
    .await;
}

fn closed(state: &EngineState) {
    assert!(state.is_closed(), "{state:?}");
    assert_eq!(state.ledger.used_bytes, 0, "every byte came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_is_delivered_in_order_and_shutdown_drains() {
    let sink = Scripted::default();
    let engine = builder()
        .with_adapter("in", Sender::new(1000))
        .with_emitter("out", sink.clone(), quick());
    let engine = engine.start().await.unwrap();
    accepted(&engine, 1000).await;
    let state = engine.shutdown(DEADLINE).await;
    closed(&state);
    assert_eq!(state.subscriptions[0].1.delivered, 1000);
    assert_eq!(
        sink.seen(),
        (0..1000).map(|n| format!("n.{n}")).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_target_is_tried_again_and_reported_once_an_episode() {
    let collector = Collector::default();
    let down = |_: &[Event]| Err(EmitError::retry("connection refused"));
    let sink = Scripted::new(vec![down, down, |_| Ok(Emitted::All)]);
    let engine = builder()
        .with_error_handler(collector.handler())
        .with_adapter("in", Sender::new(5))
        .with_emitter("out", sink.clone(), quick());
    let engine = engine.start().await.unwrap();
    until("all is delivered", || sink.seen().len() == 5).await;
    until("it is healthy again", || {
        engine
            .state()
            .health
            .contains(&("emitter:out".into(), Health::Healthy))
    })
    .await;
    let state = engine.shutdown(DEADLINE).await;
    closed(&state);
    assert_eq!(collector.of(Code::EmitterFail).len(), 1);
    assert_eq!(state.emitters[0].1.failures, 2);
    let starts = collector.of(Code::EmitterStart);
    assert_eq!(starts.len(), 2, "started, and delivers again");
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_are_kept_apart() {
    let sink = Scripted::new(vec![
        |events| {
            let outcome = |i| [Outcome::Delivered, Outcome::Retry, Outcome::Rejected][i % 3];
            Ok(Emitted::Each((0..events.len()).map(outcome).collect()))
        },
        |_| Ok(Emitted::All),
    ]);
    let options = quick().batch(9, 1 << 20, Duration::from_millis(50));
    let engine = builder()
        .with_adapter("in", Sender::new(9))
        .with_emitter("out", sink, options);
    let engine = engine.start().await.unwrap();
    accepted(&engine, 9).await;
    let state = engine.shutdown(DEADLINE).await;
    closed(&state);
    let stats = &state.subscriptions[0].1;
    assert_eq!(
        (stats.delivered, stats.dropped(DropReason::Rejected)),
        (6, 3)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_exhausted_and_panicking_batches_are_counted_by_reason() {
    let cases: [(fn(&[Event]) -> Result<Emitted, EmitError>, DropReason, Code); 3] = [
        (
            |_| Err(EmitError::reject("no such index")),
            DropReason::Rejected,
            Code::EventDropped,
        ),
        (
            |_| Err(EmitError::retry("down")),
            DropReason::Exhausted,
            Code::EventDropped,
        ),
        (|_| panic!("on purpose"), DropReason::Abandoned, Code::Panic),
    ];
    for (step, reason, code) in cases {
        let collector = Collector::default();
        let sink = Scripted::new(vec![step]);
        let engine = builder()
            .with_error_handler(collector.handler())
            .with_adapter("in", Sender::new(3))
            .with_emitter(
                "out",
                sink,
                quick().batch(3, 1 << 20, Duration::from_millis(50)),
            );
        let engine = engine.start().await.unwrap();
        until("it is dropped", || {
            engine.state().subscriptions[0].1.dropped(reason) == 3
        })
        .await;
        let state = engine.shutdown(DEADLINE).await;
        closed(&state);
        assert!(!collector.of(code).is_empty(), "{code} for {reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_delivered_at_the_deadline_is_counted_as_abandoned() {
    let engine = builder()
        .with_adapter("in", Sender::new(30))
        .with_emitter("out", Stuck, quick());
    let engine = engine.start().await.unwrap();
    accepted(&engine, 30).await;
    let state = engine.shutdown(Duration::from_millis(50)).await;
    closed(&state);
    let stats = &state.subscriptions[0].1;
    let (abandoned, left) = (
        stats.dropped(DropReason::Abandoned),
        stats.dropped(DropReason::Unsubscribed),
    );
    assert_eq!((stats.delivered, abandoned + left), (0, 30), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_reliable_queue_turns_senders_away() {
    let options = quick().queue(2, None).batch(1, 1 << 20, Duration::ZERO);
    let engine = builder()
        .with_adapter("in", Sender::new(100))
        .with_emitter("out", Stuck, options);
    let engine = engine.start().await.unwrap();
    until("all came", || engine.state().ingest().received == 100).await;
    until("all is settled", || engine.state().ingest().is_closed()).await;
    let ingest = engine.state().ingest();
    assert_eq!(
        ingest.accepted + ingest.refused(RefusalReason::QueueFull),
        100
    );
    assert!(ingest.accepted <= 3, "two queued, one in flight");
    closed(&engine.shutdown(Duration::from_millis(20)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn off_admits_everything_and_bounds_nothing() {
    let engine = builder()
        .with_mode(Mode::Off)
        .with_adapter("in", Sender::new(5000));
    let engine = engine
        .with_emitter("out", Stuck, quick().queue(2, Some(1)))
        .start()
        .await
        .unwrap();
    accepted(&engine, 5000).await;
    let state = engine.state();
    assert_eq!(state.ledger.size_bytes, None);
    assert_eq!(state.subscriptions[0].1.limit_events, 1 << 20);
    closed(&engine.shutdown(Duration::from_millis(20)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_adapters_is_a_guard_and_two_buses() {
    let engine = builder().start().await.unwrap();
    let mut inside = engine
        .internal()
        .subscribe(SubscribeOptions::new("watch"))
        .unwrap();
    let permit = engine.gate().admit(1000, Priority::Normal).unwrap();
    assert!(engine.state().ledger.used_bytes >= 1000);
    drop(permit);
    let event = || Event::builder("t").build().unwrap();
    engine.external().try_publish(event()).unwrap();
    assert!(inside.try_recv().is_none(), "the buses are apart");
    engine.internal().try_publish(event()).unwrap();
    assert!(inside.try_recv().is_some());
    engine.shutdown(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_error_bus_everything_else_works() {
    let sink = Scripted::default();
    let engine = builder()
        .without_errors()
        .with_adapter("in", Sender::new(50))
        .with_emitter("out", sink, quick());
    let engine = engine.start().await.unwrap();
    accepted(&engine, 50).await;
    assert_eq!(engine.errors().count(Code::AdapterStart), 0);
    let state = engine.shutdown(DEADLINE).await;
    closed(&state);
    assert_eq!(state.subscriptions[0].1.delivered, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_and_stopping_often_leaves_no_thread_behind() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let once = async || {
        let engine = builder()
            .with_error_handler(|_: &_| {})
            .with_adapter("in", Sender::new(3));
        let engine = engine
            .with_emitter("out", Scripted::default(), quick())
            .start()
            .await
            .unwrap();
        closed(&engine.shutdown(DEADLINE).await);
    };
    once().await;
    let before = threads();
    for _ in 0..200 {
        once().await;
    }
    assert!(
        threads() <= before,
        "{} threads, before {before}",
        threads()
    );
}
