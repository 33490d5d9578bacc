//! What an engine tells recorders of metrics: all of the catalogue, and the right numbers.

#![allow(clippy::unwrap_used)]

mod support;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use relay_control::{Red, RedConfig};
use relay_engine::{
    BlackboxConfig, EmitterOptions, Engine, Pool, PoolReading, RedEarlyDrop, Telemetry,
};
use relay_event::{Delivery, Event, Overflow, SubscribeOptions};
use relay_forensics::Options;
use relay_sense::alloc::Counting;
use std::alloc::System;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{MIB, Machine, Scripted, Sender, until};

/// So that live bytes are known.
#[global_allocator]
static ALLOCATOR: Counting<System> = Counting::new(System);

/// Remembers which metrics were touched.
#[derive(Default)]
struct Names(Mutex<BTreeSet<String>>);

impl Names {
    fn note(&self, key: &Key) {
        self.0.lock().unwrap().insert(key.name().to_owned());
    }
}

impl Recorder for Names {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.note(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.note(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.note(key);
        Histogram::noop()
    }
}

struct Two;

impl Pool for Two {
    fn id(&self) -> &'static str {
        "adapter:in"
    }

    fn reading(&self) -> PoolReading {
        static DONE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        PoolReading {
            workers: 2,
            min: 1,
            max: 4,
            busy: 1,
            done: DONE.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            ..PoolReading::default()
        }
    }

    fn set_workers(&self, _: usize) {}
}

async fn a_little_of_everything() {
    let machine = Machine::new();
    let stalled = "some avg10=1.00 avg60=0.00 avg300=0.00 total=9\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=0\n";
    machine.write("sys/fs/cgroup/memory.pressure", stalled);
    // A neighbour that fills memory for a while makes the drain known, and refuses some.
    machine.usage(30 * MIB);
    let red = RedEarlyDrop::new(Red::try_new(RedConfig::default()).unwrap());
    let sheddable = Delivery::Sheddable {
        overflow: Overflow::DropNewest,
        early_drop: Some(Arc::new(red)),
    };
    let slow = EmitterOptions::default().batch(1, 1 << 20, Duration::from_millis(1));
    // A run before, which nobody ended.
    let folder = tempfile::tempdir().unwrap();
    drop(Options::new("test").folder(folder.path()).open());
    let engine = Engine::builder()
        .without_error_log()
        .with_blackbox(BlackboxConfig::in_folder("test", folder.path()))
        .with_root(machine.root())
        .with_interval(Duration::from_millis(1))
        .with_pool(Arc::new(Two))
        .with_adapter("in", Sender::new(5000))
        .with_emitter("all", Scripted::default(), slow.clone().queue(16, None))
        .with_emitter("some", Scripted::default(), slow.delivery(sheddable))
        .start()
        .await
        .unwrap();
    let telemetry = Telemetry::new(engine.observer());
    until("drain and service time are known", || {
        telemetry.refresh();
        let state = engine.state();
        let drain = state.observation.unwrap().decision.drain_bytes_per_second;
        drain.is_some() && state.pools[0].service_seconds.is_some()
    })
    .await;
    telemetry.refresh();
    engine.shutdown(Duration::from_secs(5)).await;
}

#[test]
fn every_metric_of_the_catalogue_is_shown_and_nothing_else() {
    let shown = Names::default();
    // One thread, so that everything is recorded here.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    with_local_recorder(&shown, || runtime.block_on(a_little_of_everything()));
    let shown = shown.0.into_inner().unwrap();
    let catalogue: BTreeSet<_> = Telemetry::names().map(str::to_owned).collect();
    assert_eq!(shown, catalogue);
}

#[tokio::test]
async fn publishers_that_waited_are_in_the_histogram_once() {
    let engine = Engine::builder().without_errors().start().await.unwrap();
    let bus = engine.external();
    let mut tight = bus
        .subscribe(SubscribeOptions::new("tight").limit_events(1))
        .unwrap();
    let event = || Event::builder("t").build().unwrap();
    bus.try_publish(event()).unwrap();
    let waiting = tokio::spawn(bus.publish(event()));
    tokio::task::yield_now().await;
    tight.try_recv().unwrap();
    waiting.await.unwrap().unwrap();

    let recorder = PrometheusBuilder::new().build_recorder();
    let telemetry = Telemetry::new(engine.observer());
    for _ in 0..2 {
        metrics::with_local_recorder(&recorder, || telemetry.refresh());
        let text = recorder.handle().render();
        let line = "relay_publish_blocked_seconds_count{bus=\"external\"} 1";
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    drop(tight);
    engine.shutdown(Duration::from_secs(1)).await;
}
