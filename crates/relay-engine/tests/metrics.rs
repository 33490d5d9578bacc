//! What an engine tells a real recorder of metrics.

#![allow(clippy::unwrap_used)]

use metrics_exporter_prometheus::PrometheusBuilder;
use relay_engine::{Engine, Telemetry};
use relay_event::{Event, SubscribeOptions};
use std::time::Duration;

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
