//! How regular the pulse is: the times between decisions of an engine that ticks every 50 ms, quiet and beside threads
//! that keep every processor busy.
//!
//! `cargo run --release -p relay-engine --example cadence`. Quiet and busy rounds alternate.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use relay_engine::Engine;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(50);
const ROUNDS: usize = 3;
const TICKS: usize = 100;

/// By how much each period differs from the one before it was due, in milliseconds, in order of size.
fn lateness(engine: &Engine) -> Vec<f64> {
    let mut ticks: Vec<(u64, Instant)> = Vec::with_capacity(TICKS);
    while ticks.len() < TICKS {
        let seen = engine.state().observation.unwrap();
        if ticks
            .last()
            .is_none_or(|(number, _)| *number != seen.number)
        {
            ticks.push((seen.number, seen.sample.at));
        }
        thread::sleep(Duration::from_millis(5));
    }
    let mut late: Vec<f64> = ticks
        .windows(2)
        // One that was missed says nothing about its neighbours.
        .filter(|pair| pair[1].0 == pair[0].0 + 1)
        .map(|pair| pair[1].1.duration_since(pair[0].1).as_secs_f64() * 1e3)
        .map(|period| period - INTERVAL.as_secs_f64() * 1e3)
        .collect();
    late.sort_by(f64::total_cmp);
    late
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let engine = runtime
        .block_on(
            Engine::builder()
                .without_error_log()
                .with_interval(INTERVAL)
                .with_idle_interval(INTERVAL)
                .start(),
        )
        .unwrap();
    let processors = thread::available_parallelism().unwrap().get();
    for _ in 0..ROUNDS {
        for is_busy in [false, true] {
            let stop = Arc::new(AtomicBool::new(!is_busy));
            let workers: Vec<_> = (0..processors)
                .map(|_| {
                    let stop = Arc::clone(&stop);
                    thread::spawn(move || while !stop.load(Relaxed) {})
                })
                .collect();
            let late = lateness(&engine);
            stop.store(true, Relaxed);
            for worker in workers {
                worker.join().unwrap();
            }
            let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
            println!(
                "{:<6} of {} periods: median {:+.2} ms, 90 % within {:+.2}, 99 % {:+.2}, longest {:+.2}",
                if is_busy { "busy," } else { "quiet," },
                late.len(),
                at(0.5),
                at(0.9),
                at(0.99),
                at(1.0),
            );
        }
    }
    runtime.block_on(engine.shutdown(Duration::from_secs(1)));
}
