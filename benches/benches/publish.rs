//! Publishing and receiving one event on one thread, beside bare channels that count, bound and route nothing.
//!
//! `cargo bench -p relay-bench --bench publish`. Read the ratios: times move with the machine.

#![allow(missing_docs, clippy::unwrap_used)]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use relay_event::{Bus, ByteBudget, Event, Gate, Priority, SubscribeOptions, Subscription};
use std::hint::black_box;

fn event() -> Event {
    Event::builder("order.created")
        .source("/shop")
        .payload(Bytes::from_static(&[7; 128]))
        .build()
        .unwrap()
}

fn bus(subscribers: usize) -> (Bus, Vec<Subscription>) {
    let bus = Bus::new("bench");
    let subscriptions = (0..subscribers)
        .map(|_| bus.subscribe(SubscribeOptions::new("s")).unwrap())
        .collect();
    (bus, subscriptions)
}

fn publish(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish");
    group.throughput(Throughput::Elements(1));
    for subscribers in [0, 1, 8] {
        let (bus, mut subscriptions) = bus(subscribers);
        let event = event();
        group.bench_function(format!("relay, {subscribers} subscribers"), |b| {
            b.iter(|| {
                bus.try_publish(event.clone()).unwrap();
                for subscription in &mut subscriptions {
                    black_box(subscription.try_recv());
                }
            });
        });
    }
    let event = event();
    let (sender, receiver) = flume::bounded(1024);
    group.bench_function("flume, 1 receiver", |b| {
        b.iter(|| {
            sender.try_send(event.clone()).unwrap();
            black_box(receiver.try_recv().unwrap());
        });
    });
    let (sender, mut receiver) = tokio::sync::broadcast::channel(1024);
    group.bench_function("tokio broadcast, 1 receiver", |b| {
        b.iter(|| {
            sender.send(event.clone()).unwrap();
            black_box(receiver.try_recv().unwrap());
        });
    });
    group.finish();
}

fn admit(c: &mut Criterion) {
    let mut group = c.benchmark_group("admit");
    let budget = ByteBudget::new(1 << 30);
    group.bench_function("ledger: reserve and release", |b| {
        b.iter(|| black_box(budget.reserve(1024, Priority::Normal).unwrap()));
    });
    let gate = Gate::new(budget);
    gate.set_rate(Some(1e15));
    group.bench_function("gate: admit and release, with a rate", |b| {
        b.iter(|| black_box(gate.admit(1024, Priority::Normal).unwrap()));
    });
    group.bench_function("gate: refuse", |b| {
        gate.set_rate(Some(0.0));
        b.iter(|| black_box(gate.admit(1024, Priority::Normal).unwrap_err()));
    });
    group.finish();
}

criterion_group!(benches, publish, admit);
criterion_main!(benches);
