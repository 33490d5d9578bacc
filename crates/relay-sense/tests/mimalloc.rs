//! mimalloc as the allocator: what it says of itself, and what a purge reaches.

#![allow(clippy::unwrap_used)]

use mimalloc::MiMalloc;
use relay_sense::Root;
use relay_sense::alloc::{Allocator, Counting, Effort, Mimalloc, Reclaim, Reclaimer};

#[global_allocator]
static ALLOCATOR: Counting<MiMalloc> = Counting::new(MiMalloc);

const MIB: u64 = 1 << 20;

#[test]
fn a_purge_shrinks_the_process() {
    let blocks: Vec<_> = (0..64 << 10).map(|_| vec![1_u8; 1 << 10]).collect();
    let full = Mimalloc::new().stats();
    assert!(full.mapped.unwrap() >= 64 * MIB, "{full:?}");
    assert_eq!(full.allocated, None);
    assert!(ALLOCATOR.heap().live_bytes() >= 64 * MIB);

    drop(blocks);
    let mut reclaimer = Reclaimer::of(&Root::system(), vec![Box::new(Mimalloc::new())]);
    let outcome = reclaimer.reclaim(&Effort::unlimited());
    let Reclaim::Done(done) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(done.given_back().unwrap() >= 40 * MIB, "{done:?}");
}
