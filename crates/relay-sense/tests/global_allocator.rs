//! A process whose global allocator counts: everything its threads do passes there. One test, so that nothing else does.

#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use fastrand::Rng;
use relay_sense::alloc::{Counting, Tick, heap};

#[global_allocator]
static ALLOCATOR: Counting<System> = Counting::new(System);

static TICKS: AtomicU64 = AtomicU64::new(0);

/// Strings, maps and vectors that grow, shrink and go.
fn work(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut map = BTreeMap::new();
    for _ in 0..5_000 {
        let key = rng.u16(..2000);
        if rng.bool() {
            let text: String = (0..rng.usize(..300)).map(|_| rng.alphanumeric()).collect();
            map.insert(key, vec![text; rng.usize(..4)]);
        } else {
            map.remove(&key);
        }
    }
}

#[test]
fn a_whole_process_is_counted_and_comes_back_to_where_it_was() {
    let heap = heap().expect("the global allocator counts");
    heap.set_clock(1 << 20, |_: &Tick| {
        TICKS.fetch_add(1, Relaxed);
        // Allocates, formats and frees within the allocator.
        std::hint::black_box(format!("{:?}", thread::current().id()));
    })
    .unwrap();
    let round = |seed: u64| {
        let threads: Vec<_> = (0..8)
            .map(|id| thread::spawn(move || work(seed * 8 + id)))
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    };
    // What the standard library sets up once is there after the first round.
    round(0);
    let (live, allocated) = (heap.live_bytes(), heap.allocated_bytes());
    let ticks = TICKS.load(Relaxed);
    for seed in 1..4_u64 {
        round(seed);
        assert_eq!(heap.live_bytes(), live, "round {seed}");
    }
    let told = (heap.allocated_bytes() - allocated) >> 20;
    let ticked = TICKS.load(Relaxed) - ticks;
    assert!(told > 10, "{told} MiB is too little to tell");
    // A tick is late by a batch of 64 KiB at most for each thread.
    assert!(
        (told / 2..=told + 1).contains(&ticked),
        "{ticked} of {told}"
    );
    heap.clear_clock().unwrap();
    assert!(heap.peak_bytes() >= live);
    let live = heap.live_bytes();
    let kept = vec![0_u8; 3 << 20];
    assert_eq!(heap.live_bytes() - live, kept.len() as u64);
}
