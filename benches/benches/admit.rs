//! The single calls that admission and error reporting add to a publish: the ledger, the gate, the error bus.
//!
//! `cargo bench -p relay-bench --bench admit`. Uncontended, on one thread.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr)]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use relay_event::codec::{Codec, Json, Raw};
use relay_event::{
    ByteBudget, Code, Component, ErrorBus, ErrorEvent, ErrorFilter, ErrorSubscription, Event, Gate,
    Priority, Severity,
};
use std::hint::black_box;

fn ledger(c: &mut Criterion) {
    let mut group = c.benchmark_group("ledger");
    let budget = ByteBudget::new(1 << 30);
    group.bench_function("reserve and release", |b| {
        b.iter(|| black_box(budget.reserve(1024, Priority::Normal).unwrap()));
    });
    let share = budget.share(50);
    group.bench_function("reserve and release, in a share", |b| {
        b.iter(|| black_box(share.reserve(1024, Priority::Normal).unwrap()));
    });
    let small = ByteBudget::new(1024);
    let all = small.reserve(1024, Priority::Control).unwrap();
    group.bench_function("refuse", |b| {
        b.iter(|| black_box(small.reserve(1024, Priority::Normal).unwrap_err()));
    });
    drop(all);
    group.finish();
}

fn gate(c: &mut Criterion) {
    let mut group = c.benchmark_group("gate");
    let gate = Gate::new(ByteBudget::new(1 << 30));
    group.bench_function("admit and release, no rate", |b| {
        b.iter(|| black_box(gate.admit(1024, Priority::Normal).unwrap()));
    });
    gate.set_source_fairness(true);
    group.bench_function("admit and release, from a source", |b| {
        b.iter(|| {
            let admitted = gate.admit_from(black_box(b"/source/1"), 1024, Priority::Normal);
            black_box(admitted.unwrap())
        });
    });
    gate.set_rate(Some(1e15));
    group.bench_function("admit and release, with a rate", |b| {
        b.iter(|| black_box(gate.admit(1024, Priority::Normal).unwrap()));
    });
    gate.set_rate(Some(0.0));
    group.bench_function("refuse, by rate", |b| {
        b.iter(|| black_box(gate.admit(1024, Priority::Normal).unwrap_err()));
    });
    gate.set_floor(Priority::High);
    group.bench_function("refuse, by floor", |b| {
        b.iter(|| black_box(gate.admit(1024, Priority::Normal).unwrap_err()));
    });
    group.finish();
}

fn error_bus(c: &mut Criterion) {
    let mut group = c.benchmark_group("error bus");
    let event = ErrorEvent::new(
        Code::AdapterFail,
        Severity::Error,
        Component::adapter("http"),
    );
    for subscribers in [0, 1, 64] {
        let bus = ErrorBus::new();
        // Nobody reads them: after the first 32 events every ring is full, as in a flood.
        let full: Vec<ErrorSubscription> = (0..subscribers)
            .map(|_| bus.subscribe(ErrorFilter::all()).unwrap())
            .collect();
        for _ in 0..100 {
            bus.publish(event.clone());
        }
        group.bench_function(format!("publish, {subscribers} full subscribers"), |b| {
            b.iter_batched(
                || event.clone(),
                |event| bus.publish(event),
                BatchSize::SmallInput,
            );
        });
        drop(full);
    }
    group.finish();
}

/// What a codec adds to 1 KiB of payload, in bytes (printed) and in time.
fn codecs(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec, 1 KiB");
    let json = Event::builder("order.created")
        .source("/shop")
        .header("datacontenttype", "application/json")
        .payload(format!("{{\"text\":\"{}\"}}", "x".repeat(1013)))
        .build()
        .unwrap();
    let binary = Event::builder("order.created")
        .source("/shop")
        .payload(vec![0xff; 1024])
        .build()
        .unwrap();
    let raw = Raw::new(json.topic().clone());
    let cases: [(&str, &dyn Codec, &Event); 3] = [
        ("JSON", &Json::new(), &json),
        ("JSON, binary payload", &Json::new(), &binary),
        ("raw", &raw, &binary),
    ];
    for (name, codec, event) in cases {
        let mut bytes = Vec::new();
        codec.encode(event, &mut bytes);
        eprintln!(
            "{name}: {} bytes for a payload of {}",
            bytes.len(),
            event.payload().len()
        );
        group.bench_function(format!("{name}: encode"), |b| {
            let mut out = Vec::with_capacity(4096);
            b.iter(|| {
                out.clear();
                codec.encode(black_box(event), &mut out);
            });
        });
        group.bench_function(format!("{name}: decode and build"), |b| {
            b.iter(|| codec.decode(black_box(&bytes)).unwrap().build().unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, ledger, gate, error_bus, codecs);
criterion_main!(benches);
