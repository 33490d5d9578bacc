//! jemalloc as the allocator: what it says of itself, and that a purge shrinks the process.

#![allow(clippy::unwrap_used)]

use relay_sense::Root;
use relay_sense::alloc::{Allocator, Counting, Effort, Jemalloc, Reclaim, Reclaimer};

#[global_allocator]
static ALLOCATOR: Counting<tikv_jemallocator::Jemalloc> =
    Counting::new(tikv_jemallocator::Jemalloc);

const MIB: u64 = 1 << 20;

#[test]
fn its_figures_are_in_order_and_a_purge_shrinks_the_process() {
    let mut jemalloc = Jemalloc::new();
    let live = ALLOCATOR.heap().live_bytes();
    let blocks: Vec<_> = (0..64 << 10).map(|_| vec![1_u8; 1 << 10]).collect();
    let full = jemalloc.stats();
    let allocated = full.allocated.unwrap();
    assert!(allocated >= 64 * MIB, "{full:?}");
    // Both count the same blocks; jemalloc rounds up, and its caches may be late.
    let counted = ALLOCATOR.heap().live_bytes();
    assert!(allocated.abs_diff(counted) < 8 * MIB, "{full:?}, {counted}");
    assert!(Some(allocated) <= full.active, "{full:?}");
    assert!(full.active <= full.resident, "{full:?}");
    assert!(full.resident <= full.mapped, "{full:?}");
    assert!(full.retained.is_some(), "{full:?}");

    drop(blocks);
    let mut reclaimer = Reclaimer::of(&Root::system(), vec![Box::new(Jemalloc::new())]);
    let begun = std::time::Instant::now();
    // An arena that jemalloc's own thread purges at this moment is left to it, so it may take more than one call.
    let empty = loop {
        let outcome = reclaimer.reclaim(&Effort::unlimited());
        assert!(matches!(outcome, Reclaim::Done(_)), "{outcome:?}");
        let now = jemalloc.stats();
        if now.resident.unwrap() + 40 * MIB < full.resident.unwrap() {
            break now;
        }
        let waited = begun.elapsed();
        assert!(waited < std::time::Duration::from_secs(10), "{now:?}");
    };
    assert!(empty.allocated.unwrap() < allocated - 60 * MIB, "{empty:?}");
    assert!(ALLOCATOR.heap().live_bytes().abs_diff(live) < MIB);
}

#[test]
fn a_purge_that_is_cut_short_goes_on_with_the_next_arena() {
    let mut jemalloc = Jemalloc::new();
    let past = std::time::Instant::now();
    // One arena a call, whatever the deadline: it comes round in the end.
    assert!(!jemalloc.purge(past));
    let text = format!("{jemalloc:?}");
    assert!(text.contains("next: 1"), "{text}");
}

#[test]
fn every_allocator_of_the_process_is_asked() {
    let mut reclaimer = Reclaimer::new(&Root::system());
    let names: Vec<_> = reclaimer.stats().map(|(name, _)| name).collect();
    assert_eq!(names[0], "jemalloc");
}
