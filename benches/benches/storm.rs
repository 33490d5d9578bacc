//! What error events cost those who move data: publishing beside a storm of them, and what one with a stack costs.
//!
//! `RUST_BACKTRACE=1 cargo bench -p relay-bench --bench storm`. Quiet and storm alternate; the data path is timed by the CPU time of its own thread,
//! so what is seen is not that a second thread runs but what it does to the first.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use relay_bench::stats::Summary;
use relay_event::{
    Bus, Code, Component, ErrorBus, ErrorEvent, ErrorFilter, Event, Severity, SubscribeOptions,
};
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: usize = 61;
const EVENTS: usize = 100_000;

fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// CPU nanoseconds an event, published and received on this thread.
fn data_path(bus: &Bus, receiver: &mut relay_event::Subscription) -> f64 {
    let event = Event::builder("order.created")
        .payload(vec![0; 128])
        .build()
        .unwrap();
    let start = thread_time();
    for _ in 0..EVENTS {
        bus.try_publish(event.clone()).unwrap();
        receiver.try_recv().unwrap();
    }
    thread_time().saturating_sub(start).as_nanos() as f64 / EVENTS as f64
}

fn error(traced: bool) -> ErrorEvent {
    let event = ErrorEvent::new(
        Code::AdapterFail,
        Severity::Error,
        Component::adapter("http"),
    );
    if traced { event.traced() } else { event }
}

/// Nanoseconds a call.
fn time(calls: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn main() {
    let bus = Bus::new("bench");
    let mut receiver = bus.subscribe(SubscribeOptions::new("s")).unwrap();
    let errors = ErrorBus::new();
    // Nobody reads them: every ring is full, as in a flood.
    let full: Vec<_> = (0..4)
        .map(|_| errors.subscribe(ErrorFilter::all()).unwrap())
        .collect();
    let (storming, ended, published) = (
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicU64::new(0),
    );
    let (mut quiet, mut storm) = (Vec::new(), Vec::new());
    let mut storm_time = Duration::ZERO;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Relaxed) {
                if storming.load(Relaxed) {
                    errors.publish(error(false));
                    published.fetch_add(1, Relaxed);
                } else {
                    thread::yield_now();
                }
            }
        });
        for _ in 0..ROUNDS {
            quiet.push(data_path(&bus, &mut receiver));
            let start = Instant::now();
            storming.store(true, Relaxed);
            storm.push(data_path(&bus, &mut receiver));
            storming.store(false, Relaxed);
            storm_time += start.elapsed();
        }
        ended.store(true, Relaxed);
    });
    drop(full);
    let (quiet, storm) = (Summary::of(&quiet).unwrap(), Summary::of(&storm).unwrap());
    let rate = published.load(Relaxed) as f64 / storm_time.as_secs_f64() / 1e6;
    println!("publish and receive, quiet: {:.1} ns", quiet.median);
    println!(
        "publish and receive beside {rate:.1} million error events a second: {:.1} ns, {:.3} of it",
        storm.median,
        storm.median / quiet.median
    );
    println!(
        "error event, made: {:.0} ns",
        time(100_000, || drop(error(false)))
    );
    println!(
        "error event with a stack ({}): {:.0} ns",
        if error(true).trace.is_some() {
            "RUST_BACKTRACE is set"
        } else {
            "turned off"
        },
        time(2_000, || drop(error(true)))
    );
}
