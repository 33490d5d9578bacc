//! What counting adds to an allocation, beside the bare allocators and other ways to count.
//!
//! ```text
//! cargo bench -p relay-bench --bench alloc
//! cargo bench -p relay-bench --bench alloc -- 101
//! ```
//!
//! A pair is a free and an allocation of 16 to 271 bytes among 1024 blocks. Every variant runs in every round, one after
//! the other; a variant's cost is the median over the rounds of its difference to the bare allocator in the same
//! round. One thread by its CPU time, several by wall time. The number is that of rounds.

#![allow(missing_docs, unsafe_code, clippy::unwrap_used)]
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

#[path = "publish/measure.rs"]
mod measure;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use measure::{Job, cpu_ns, wall_ns};
use mimalloc::MiMalloc;
use relay_bench::stats::Summary;
use relay_sense::alloc::{Counting, Heap, Tick};
use tikv_jemallocator::Jemalloc;

const BLOCKS: usize = 1024;
const PAIRS: usize = 100_000;

/// Told of every allocation and release.
trait Count {
    fn count(bytes: i64);
}

/// An allocator and a way to count.
struct With<A, C>(A, std::marker::PhantomData<C>);

impl<A, C> With<A, C> {
    const fn new(inner: A) -> Self {
        Self(inner, std::marker::PhantomData)
    }
}

// SAFETY: handed on as it came.
unsafe impl<A: GlobalAlloc, C: Count> GlobalAlloc for With<A, C> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        C::count(layout.size().cast_signed() as i64);
        // SAFETY: the caller's contract.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        C::count(-(layout.size().cast_signed() as i64));
        // SAFETY: the caller's contract.
        unsafe { self.0.dealloc(pointer, layout) }
    }
}

/// One counter for all threads.
struct Shared;

impl Count for Shared {
    fn count(bytes: i64) {
        static LIVE: AtomicI64 = AtomicI64::new(0);
        LIVE.fetch_add(bytes, Relaxed);
    }
}

/// 64 counters apart from each other.
struct Sharded;

#[repr(align(128))]
struct Shard(AtomicI64);

impl Count for Sharded {
    fn count(bytes: i64) {
        static SHARDS: [Shard; 64] = [const { Shard(AtomicI64::new(0)) }; 64];
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static MINE: Cell<usize> = const { Cell::new(usize::MAX) });
        let mut mine = MINE.get();
        if mine == usize::MAX {
            mine = NEXT.fetch_add(1, Relaxed) % 64;
            MINE.set(mine);
        }
        SHARDS[mine].0.fetch_add(bytes, Relaxed);
    }
}

/// A thread-local sum that is flushed at 64 KiB either way: what a thread has not flushed at its end is lost.
struct Flushed;

impl Count for Flushed {
    fn count(bytes: i64) {
        static LIVE: AtomicI64 = AtomicI64::new(0);
        thread_local!(static MINE: Cell<i64> = const { Cell::new(0) });
        let sum = MINE.get() + bytes;
        if sum.abs() >= 64 << 10 {
            LIVE.fetch_add(sum, Relaxed);
            MINE.set(0);
        } else {
            MINE.set(sum);
        }
    }
}

/// Blocks of one thread, and the sizes of those to come.
struct Ring {
    blocks: Vec<(*mut u8, Layout)>,
    sizes: Vec<usize>,
}

// SAFETY: nobody else has the pointers.
unsafe impl Send for Ring {}

impl Ring {
    fn fill<A: GlobalAlloc>(allocator: &A, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let mut size = || {
            // A multiplicative generator (L'Ecuyer 1999) is enough to spread sizes.
            state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
            16 + (state >> 56) as usize
        };
        let sizes: Vec<usize> = (0..4096).map(|_| size()).collect();
        let block = |size: &usize| {
            let layout = Layout::from_size_align(*size, 8).unwrap();
            // SAFETY: no layout is empty.
            (unsafe { allocator.alloc(layout) }, layout)
        };
        let blocks = sizes[..BLOCKS].iter().map(block).collect();
        Self { blocks, sizes }
    }

    #[inline(never)]
    fn churn<A: GlobalAlloc>(&mut self, allocator: &A) {
        for pair in 0..PAIRS {
            // 467 is prime: blocks are freed in another order than they came.
            let block = &mut self.blocks[pair * 467 % BLOCKS];
            let size = self.sizes[pair % self.sizes.len()];
            let layout = Layout::from_size_align(size, 8).unwrap();
            // SAFETY: it came from this allocator with this layout, and is replaced at once.
            unsafe {
                allocator.dealloc(block.0, block.1);
                *block = (black_box(allocator.alloc(layout)), layout);
            }
        }
    }

    fn free<A: GlobalAlloc>(self, allocator: &A) {
        for (pointer, layout) in self.blocks {
            // SAFETY: as in `churn`; nobody uses it afterwards.
            unsafe { allocator.dealloc(pointer, layout) };
        }
    }
}

/// Nanoseconds a pair takes each of so many threads.
fn pair_ns<A: GlobalAlloc + Sync>(allocator: &A, threads: usize) -> f64 {
    let mut rings: Vec<Ring> = (0..threads)
        .map(|seed| Ring::fill(allocator, seed as u64))
        .collect();
    let ns = if threads == 1 {
        // The first turn fills caches, in this thread.
        rings[0].churn(allocator);
        cpu_ns(|| rings[0].churn(allocator))
    } else {
        let jobs = rings.iter_mut().enumerate().map(|(cpu, ring)| {
            let work = move || ring.churn(allocator);
            if threads <= 2 {
                Job::on(cpu, work)
            } else {
                Job::anywhere(work)
            }
        });
        wall_ns(jobs.collect())
    };
    for ring in rings {
        ring.free(allocator);
    }
    ns / PAIRS as f64
}

struct Variant {
    name: &'static str,
    run: Box<dyn Fn(usize) -> f64>,
}

fn variant<A: GlobalAlloc + Sync + 'static>(name: &'static str, allocator: A) -> Variant {
    let run = Box::new(move |threads| pair_ns(&allocator, threads));
    Variant { name, run }
}

/// The bare allocator comes first.
fn variants<A: GlobalAlloc + Sync + 'static>(bare: impl Fn() -> A) -> Vec<Variant> {
    vec![
        variant("bare", bare()),
        variant("relay", Counting::new(bare())),
        clocked("relay, a pread each MiB", Counting::new(bare()), 1 << 20),
        clocked(
            "relay, a pread each 64 KiB",
            Counting::new(bare()),
            64 << 10,
        ),
        variant("cell, flushed", With::<A, Flushed>::new(bare())),
        variant("64 shards", With::<A, Sharded>::new(bare())),
        variant("one atomic", With::<A, Shared>::new(bare())),
    ]
}

fn clocked<A: GlobalAlloc + Sync + 'static>(
    name: &'static str,
    allocator: Counting<A>,
    interval: u64,
) -> Variant {
    let run = move |threads| {
        let file = File::open("/proc/self/statm").unwrap();
        let hook = move |_: &Tick| {
            black_box(file.read_at(&mut [0; 64], 0).unwrap());
        };
        let heap = allocator.heap();
        heap.set_clock(interval, hook).unwrap();
        let ns = pair_ns(&allocator, threads);
        heap.clear_clock().unwrap();
        ns
    };
    let run = Box::new(run);
    Variant { name, run }
}

/// All variants of one allocator, by threads.
fn table(name: &str, variants: &[Variant], rounds: usize) {
    for threads in [1, 2, 4] {
        let mut ns: Vec<Vec<f64>> = vec![Vec::new(); variants.len()];
        for _ in 0..rounds {
            for (variant, ns) in variants.iter().zip(&mut ns) {
                ns.push((variant.run)(threads));
            }
        }
        for (variant, times) in variants.iter().zip(&ns) {
            let added: Vec<f64> = times
                .iter()
                .zip(&ns[0])
                .map(|(it, bare)| it - bare)
                .collect();
            let (all, added) = (Summary::of(times).unwrap(), Summary::of(&added).unwrap());
            println!(
                "| {name} | {threads} | {} | {:.1} | {:+.1} | {:+.1} … {:+.1} |",
                variant.name, all.median, added.median, added.p10, added.p90
            );
        }
    }
}

fn reading(heap: &Heap, rounds: usize) {
    let times: Vec<f64> = (0..rounds)
        .map(|_| {
            cpu_ns(|| {
                for _ in 0..10_000 {
                    black_box(heap.live_bytes());
                }
            }) / 10_000.0
        })
        .collect();
    let times = Summary::of(&times).unwrap();
    println!("reading the live bytes: {:.1} ns", times.median);
}

fn main() {
    let rounds = std::env::args().find_map(|word| word.parse().ok());
    let rounds = rounds.unwrap_or(31);
    println!("| allocator | threads | counting | ns a pair | added | 10 % … 90 % |");
    println!("|---|---:|---|---:|---:|---|");
    table("glibc", &variants(|| System), rounds);
    table("jemalloc", &variants(|| Jemalloc), rounds);
    table("mimalloc", &variants(|| MiMalloc), rounds);
    reading(Counting::new(System).heap(), rounds);
}
