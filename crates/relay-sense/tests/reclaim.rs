//! Memory that was freed and kept goes back to the kernel. glibc here; jemalloc and mimalloc have files of their own, since
//! a process has one allocator.

#![cfg(all(target_os = "linux", target_env = "gnu", not(relay_portable)))]
#![allow(clippy::unwrap_used)]

use std::alloc::System;

use relay_sense::Root;
use relay_sense::alloc::{Counting, Effort, Glibc, Reclaim, Reclaimer};

#[global_allocator]
static ALLOCATOR: Counting<System> = Counting::new(System);

#[test]
fn what_is_freed_is_given_back_once_it_is_worth_it() {
    const BLOCKS: usize = 64 << 10;
    let mut reclaimer = Reclaimer::of(&Root::system(), vec![Box::new(Glibc::new())]);
    let picky = Effort::unlimited().with_gain_min(0.5);
    let mut blocks: Vec<_> = (0..BLOCKS).map(|_| vec![1_u8; 1 << 10]).collect();
    assert_eq!(reclaimer.reclaim(&picky), Reclaim::NothingToGain);

    // Every 64th stays, so the heap keeps its top, and only a trim finds the pages between.
    let mut index = 0;
    blocks.retain(|_| {
        index += 1;
        index % 64 == 0
    });
    let outcome = reclaimer.reclaim(&picky);
    let Reclaim::Done(done) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(done.given_back().unwrap() >= 40 << 20, "{done:?}");
    assert!(done.is_complete);
    assert_eq!(blocks.len(), BLOCKS / 64);
}
