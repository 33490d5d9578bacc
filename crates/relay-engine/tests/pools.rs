//! The number of batches under way moves while an emitter works, and nothing is lost.

#![allow(clippy::unwrap_used)]

mod support;

use relay_engine::{
    BoxFuture, EmitError, Emitted, Emitter, EmitterOptions, Engine, EngineState, PoolReading,
};
use relay_event::{Code, ErrorBus, Event};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Collector, Sender, until};

/// Takes up to eight batches at once, each when it is let.
#[derive(Clone)]
struct Wide {
    gate: Arc<tokio::sync::Semaphore>,
    under_way: Arc<AtomicUsize>,
    seen: Arc<Mutex<HashMap<String, usize>>>,
}

impl Wide {
    fn new() -> Self {
        Self {
            gate: Arc::new(tokio::sync::Semaphore::new(0)),
            under_way: Arc::default(),
            seen: Arc::default(),
        }
    }

    fn under_way(&self) -> usize {
        self.under_way.load(Relaxed)
    }
}

impl Emitter for Wide {
    fn kind(&self) -> &'static str {
        "wide"
    }

    fn concurrency(&self) -> usize {
        8
    }

    fn emit<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<Emitted, EmitError>> {
        Box::pin(async move {
            self.under_way.fetch_add(1, Relaxed);
            self.gate.acquire().await.unwrap().forget();
            self.under_way.fetch_sub(1, Relaxed);
            let mut seen = self.seen.lock().unwrap();
            for event in events {
                *seen.entry(event.topic().to_string()).or_default() += 1;
            }
            Ok(Emitted::All)
        })
    }
}

fn reading(state: &EngineState) -> PoolReading {
    let pool = state.pools.iter().find(|pool| pool.id == "emitter:out");
    pool.unwrap().reading
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emitter_scales_live_without_loss_or_duplicates() {
    let (errors, collector) = (ErrorBus::new(), Collector::default());
    let sink = Wide::new();
    let options = EmitterOptions::default()
        .batch(5, 1 << 20, Duration::ZERO)
        .workers(1);
    let engine = Engine::builder()
        .without_error_log()
        .with_errors(errors.clone())
        .with_error_handler(collector.handler())
        .with_adapter("in", Sender::new(2000))
        .with_emitter("out", sink.clone(), options);
    let engine = engine.start().await.unwrap();
    let set = |n| assert!(engine.observer().set_workers("emitter:out", n));
    until("it begins with the most", || sink.under_way() == 8).await;
    set(1);
    sink.gate.add_permits(4);
    until("those who end are not replaced", || sink.under_way() == 4).await;
    set(3);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(sink.under_way(), 4, "and none is interrupted");
    sink.gate.add_permits(2);
    until("down to three", || sink.under_way() == 3).await;
    set(6);
    until("up to six, without anything ending", || {
        sink.under_way() == 6
    })
    .await;
    set(100);
    until("no more than there is room for", || sink.under_way() == 8).await;
    let pool = reading(&engine.state());
    assert_eq!((pool.workers, pool.min, pool.max, pool.busy), (8, 1, 8, 8));
    until("all are in", || engine.state().ingest().accepted == 2000).await;
    sink.gate.add_permits(10_000);
    for n in (0..50).map(|n| [1, 8, 2, 5][n % 4]) {
        set(n);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    until("all are out", || sink.seen.lock().unwrap().len() == 2000).await;
    let account = engine.shutdown(Duration::from_secs(5)).await;
    assert!(account.is_closed());
    assert_eq!(account.subscriptions[0].1.delivered, 2000);
    assert!(sink.seen.lock().unwrap().values().all(|times| *times == 1));
    assert_eq!(reading(&account).done, 2000);
    let first = collector.of(Code::AdapterScaledDown)[0].to_string();
    assert!(
        first.contains("pool:emitter:out") && first.contains("from=8, to=1, utilisation=1.000"),
        "{first}"
    );
    assert!(errors.count(Code::AdapterScaledUp) >= 3);
}
