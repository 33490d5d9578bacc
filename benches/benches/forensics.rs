//! What the black box costs: an event, a snapshot, a start, an answer.
//!
//! `cargo bench -p relay-bench --bench forensics`. The recording is a file, mapped and locked.

#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, criterion_group, criterion_main};
use relay_forensics::{
    Event, EventKind, Here, Name, Opened, Options, Recorder, Recording, Schema,
    standard::Standard,
    view::{self, Window},
};
use std::hint::black_box;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const WRITERS: u64 = 4;

fn open(folder: &Path) -> (Opened, Standard) {
    let mut schema = Schema::new();
    let fields = Standard::declare(&mut schema).unwrap();
    let options = Options::new("bench").folder(folder).schema(schema);
    (options.size_bytes(1 << 20).open(), fields)
}

fn snapshot(opened: &mut Opened, fields: &Standard, name: Name, n: u64) {
    opened.snapshots.record(|s| {
        s.set(fields.memory_limit, 64 << 20);
        s.set(fields.memory_usage, n % (64 << 20));
        s.set(fields.memory_unreclaimable, n % (64 << 20));
        s.set(fields.level, 1);
        s.set(fields.scale, 0.5);
        s.set(fields.accepted, n);
        s.set(fields.delivered, n);
        s.set(fields.psi_memory_some, n);
        s.set(fields.psi_memory_full, n);
        for index in 0..5 {
            s.set_at(fields.holder_name, index, name);
            s.set_at(fields.holder_bytes, index, n);
        }
    });
}

fn events(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let (opened, _) = open(folder.path());
    let recorder = &opened.recorder;
    let component = recorder.name("emitter:bench");
    let mut group = c.benchmark_group("event");
    let event = Event::new(EventKind::Drop)
        .component(component)
        .values(&[17]);
    group.bench_function("numbers", |b| b.iter(|| recorder.record(black_box(&event))));
    let labelled = event.label("queue full");
    group.bench_function("numbers and a label", |b| {
        b.iter(|| recorder.record(black_box(&labelled)));
    });
    let told = event.text("connection to 10.0.0.1:443 refused, token=secret (os error 111)");
    group.bench_function("numbers and a text of 63 bytes, scrubbed", |b| {
        b.iter(|| recorder.record(black_box(&told)));
    });
    group.bench_function("numbers, 4 writers", |b| {
        b.iter_custom(|times| together(recorder, &event, times));
    });
    group.finish();
}

/// The time in which each of four threads writes a quarter of so many events.
fn together(recorder: &Recorder, event: &Event<'_>, times: u64) -> Duration {
    let barrier = Barrier::new(WRITERS as usize + 1);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    for _ in 0..times.div_ceil(WRITERS) {
                        recorder.record(black_box(event));
                    }
                })
            })
            .collect();
        barrier.wait();
        let start = Instant::now();
        for thread in threads {
            thread.join().unwrap();
        }
        start.elapsed()
    })
}

fn snapshots(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let (mut opened, fields) = open(folder.path());
    let name = opened.recorder.name("bus:external");
    let mut n = 0;
    c.bench_function("snapshot", |b| {
        b.iter(|| {
            n += 1;
            snapshot(&mut opened, &fields, name, n);
        });
    });
}

fn start(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mut group = c.benchmark_group("start");
    group.sample_size(20);
    group.bench_function("1 MiB, after a clean end", |b| {
        b.iter(|| {
            let (opened, _) = open(folder.path());
            assert!(opened.recorder.path().is_some());
            opened.recorder.finish().unwrap();
        });
    });
    group.bench_function("1 MiB, after a kill", |b| {
        b.iter(|| drop(open(folder.path())));
    });
    group.finish();
}

fn answers(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let (mut opened, fields) = open(folder.path());
    let name = opened.recorder.name("bus:external");
    for n in 0..5000 {
        snapshot(&mut opened, &fields, name, n);
        let event = Event::new(EventKind::Error).component(name);
        opened.recorder.record(&event.text("connection refused"));
    }
    let path = opened.recorder.path().unwrap().to_owned();
    let mut group = c.benchmark_group("1 MiB, full");
    group.sample_size(20);
    group.bench_function("why", |b| {
        b.iter(|| view::why(&Recording::open(&path).unwrap(), Here::SameMachine));
    });
    group.bench_function("html", |b| {
        b.iter(|| {
            let recording = Recording::open(&path).unwrap();
            view::html(&recording, Window::default(), Here::SameMachine)
        });
    });
    group.finish();
}

criterion_group!(benches, events, snapshots, start, answers);
criterion_main!(benches);
