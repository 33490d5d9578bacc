//! The single calls that admission and error reporting add to a publish: the ledger, the gate, the error bus.
//!
//! `cargo bench -p relay-bench --bench admit`. Uncontended, on one thread.

#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use relay_event::{
    ByteBudget, Code, Component, ErrorBus, ErrorEvent, ErrorFilter, ErrorSubscription, Gate,
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

criterion_group!(benches, ledger, gate, error_bus);
criterion_main!(benches);
