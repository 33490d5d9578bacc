//! The account of the counting allocator, to the byte: it is called by hand here, so nobody else counts.

#![allow(unsafe_code, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::panic;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use fastrand::Rng;
use relay_sense::alloc::{ClockError, Counting, Heap, Tick};

static COUNTING: Counting<System> = Counting::new(System);

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What a thread gathers before it tells the others.
const BATCH: u64 = 64 << 10;

/// A block that is freed when dropped, by whichever thread that is.
struct Block {
    pointer: *mut u8,
    layout: Layout,
}

// SAFETY: nobody else has the pointer.
unsafe impl Send for Block {}

impl Block {
    fn new(size: usize) -> Self {
        Self::with(size, |layout| unsafe { COUNTING.alloc(layout) })
    }

    fn zeroed(size: usize) -> Self {
        Self::with(size, |layout| unsafe { COUNTING.alloc_zeroed(layout) })
    }

    fn with(size: usize, alloc: impl FnOnce(Layout) -> *mut u8) -> Self {
        let layout = Layout::from_size_align(size, 16).unwrap();
        let pointer = alloc(layout);
        assert!(!pointer.is_null());
        Self { pointer, layout }
    }

    fn resize(&mut self, size: usize) {
        self.pointer = unsafe { COUNTING.realloc(self.pointer, self.layout, size) };
        assert!(!self.pointer.is_null());
        self.layout = Layout::from_size_align(size, 16).unwrap();
    }

    fn size(&self) -> u64 {
        self.layout.size() as u64
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        unsafe { COUNTING.dealloc(self.pointer, self.layout) };
    }
}

/// One test at a time: they share the account of the process.
fn alone() -> (MutexGuard<'static, ()>, &'static Heap) {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    COUNTING.heap().clear_clock().unwrap();
    (guard, COUNTING.heap())
}

fn churn(bytes: usize, block: usize) {
    for _ in 0..bytes / block {
        drop(Block::new(block));
    }
}

#[test]
fn the_account_is_exact_after_many_threads_exchanged_blocks() {
    let (_alone, heap) = alone();
    for seed in 0..8 {
        let (live, allocated) = (heap.live_bytes(), heap.allocated_bytes());
        let (give, take) = mpsc::sync_channel::<Block>(256);
        let take = Mutex::new(take);
        let results: Vec<(Vec<Block>, u64)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|id| {
                    let (give, take) = (give.clone(), &take);
                    scope.spawn(move || work(Rng::with_seed(seed * 100 + id), &give, take))
                })
                .collect();
            threads.into_iter().map(|one| one.join().unwrap()).collect()
        });
        drop(give);
        let waiting: Vec<Block> = take.lock().unwrap().iter().collect();
        let held = results.iter().flat_map(|(held, _)| held).chain(&waiting);
        let expected: u64 = held.map(Block::size).sum();
        assert_eq!(heap.live_bytes() - live, expected, "seed {seed}");
        let asked: u64 = results.iter().map(|(_, asked)| asked).sum();
        assert_eq!(heap.allocated_bytes() - allocated, asked, "seed {seed}");
        drop((results, waiting));
        assert_eq!(heap.live_bytes(), live, "seed {seed}");
    }
}

/// Random steps; what is held at the end, and how many bytes were asked for.
fn work(
    mut rng: Rng,
    give: &mpsc::SyncSender<Block>,
    take: &Mutex<mpsc::Receiver<Block>>,
) -> (Vec<Block>, u64) {
    let (mut held, mut asked) = (Vec::new(), 0);
    for _ in 0..3000 {
        let size_max = if rng.u8(..) == 0 { 300 * KIB } else { 2 * KIB };
        let size = rng.usize(1..=size_max);
        match rng.u8(..10) {
            0..4 => {
                held.push(Block::new(size));
                asked += size as u64;
            }
            4 => {
                held.push(Block::zeroed(size));
                asked += size as u64;
            }
            5..7 if !held.is_empty() => {
                let index = rng.usize(..held.len());
                asked += (size as u64).saturating_sub(held[index].size());
                held[index].resize(size);
            }
            7 if !held.is_empty() => {
                let block = held.swap_remove(rng.usize(..held.len()));
                if let Err(mpsc::TrySendError::Full(block)) = give.try_send(block) {
                    held.push(block);
                }
            }
            8 => held.extend(take.lock().unwrap().try_recv()),
            _ if !held.is_empty() => drop(held.swap_remove(rng.usize(..held.len()))),
            _ => {}
        }
    }
    (held, asked)
}

#[test]
fn what_threads_counted_outlives_them_also_when_there_are_more_than_slots() {
    let (_alone, heap) = alone();
    let (live, allocated) = (heap.live_bytes(), heap.allocated_bytes());
    // All at once: more than have counters of their own.
    let barrier = Barrier::new(600);
    let crowd: Vec<Block> = thread::scope(|scope| {
        let threads: Vec<_> = (0..600)
            .map(|_| {
                let barrier = &barrier;
                let thread = thread::Builder::new().stack_size(64 * KIB);
                let body = move || {
                    let block = Block::new(100);
                    barrier.wait();
                    drop(Block::new(11));
                    block
                };
                thread.spawn_scoped(scope, body).unwrap()
            })
            .collect();
        threads.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(heap.live_bytes() - live, 600 * 100);
    assert_eq!(heap.allocated_bytes() - allocated, 600 * 111);
    drop(crowd);
    assert_eq!(heap.live_bytes(), live);
    // One after the other, far more than there are slots, each leaving a little.
    let rest: Vec<Block> = (0..2000)
        .map(|_| thread::spawn(|| Block::new(7)).join().unwrap())
        .collect();
    assert_eq!(heap.live_bytes() - live, 2000 * 7);
    drop(rest);
    assert_eq!(heap.live_bytes(), live);
}

struct Late(RefCell<Vec<Block>>);

impl Drop for Late {
    fn drop(&mut self) {
        let kept = self.0.get_mut();
        kept.push(Block::new(3 * MIB));
        kept[0].resize(KIB);
    }
}

thread_local! {
    static LATE: Late = const { Late(RefCell::new(Vec::new())) };
}

#[test]
fn destructors_of_a_thread_may_allocate_after_its_counters_are_given_back() {
    let (_alone, heap) = alone();
    let live = heap.live_bytes();
    let ticks = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&ticks);
    let hook = move |_: &Tick| {
        counter.fetch_add(1, SeqCst);
    };
    heap.set_clock(MIB as u64, hook).unwrap();
    thread::spawn(|| {
        // Registered before the first allocation is counted, so dropped after it.
        LATE.with(|_| ());
        let block = Block::new(100);
        LATE.with(|late| late.0.borrow_mut().push(block));
    })
    .join()
    .unwrap();
    // The hook's own thread-locals may be gone by then, so it is left to the next thread.
    assert_eq!(ticks.load(SeqCst), 0);
    assert_eq!(heap.live_bytes(), live);
    churn(KIB, KIB);
    churn(BATCH as usize, KIB);
    assert_eq!(ticks.load(SeqCst), 1);
}

/// Hands on to the system, or fails.
struct Failing(AtomicBool);

unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.0.load(SeqCst) {
            return null_mut();
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[test]
fn what_failed_is_not_counted() {
    let (_alone, heap) = alone();
    let failing = Counting::new(Failing(AtomicBool::new(false)));
    let layout = Layout::from_size_align(100, 4096).unwrap();
    let before = (heap.live_bytes(), heap.allocated_bytes());
    let kept = unsafe { failing.alloc(layout) };
    assert_eq!(kept as usize % 4096, 0);
    failing.inner().0.store(true, SeqCst);
    unsafe {
        assert!(failing.alloc(layout).is_null());
        assert!(failing.alloc_zeroed(layout).is_null());
        assert!(failing.realloc(kept, layout, 200).is_null());
        assert_eq!(heap.live_bytes() - before.0, 100);
        assert_eq!(heap.allocated_bytes() - before.1, 100);
        failing.dealloc(kept, layout);
    }
    assert_eq!(heap.live_bytes(), before.0);
}

#[test]
fn the_peak_is_noticed() {
    let (_alone, heap) = alone();
    let (live, peak) = (heap.live_bytes(), heap.peak_bytes());
    let above = (peak - live) as usize + 8 * MIB;
    // In one piece: exactly, though nobody looks.
    drop(Block::new(above));
    let expected = live + above as u64;
    let error = heap.peak_bytes().abs_diff(expected);
    assert!(error <= BATCH, "{error}");
    // In small pieces of several threads.
    let before = heap.peak_bytes();
    let pieces = above / KIB / 4 * 2;
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let held: Vec<Block> = (0..pieces).map(|_| Block::new(KIB)).collect();
                barrier.wait();
                drop(held);
            });
        }
    });
    let expected = live + (4 * pieces * KIB) as u64;
    assert!(expected > before);
    let error = heap.peak_bytes().abs_diff(expected);
    assert!(error <= 2 * 5 * BATCH, "{error}");
}

/// Counts the ticks while `action` runs, and the bytes it allocates.
fn ticks(heap: &Heap, interval: u64, action: impl FnOnce()) -> (u64, u64) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let hook = move |_: &Tick| {
        counter.fetch_add(1, SeqCst);
    };
    heap.set_clock(interval, hook).unwrap();
    let before = heap.allocated_bytes();
    action();
    let bytes = heap.allocated_bytes() - before;
    heap.clear_clock().unwrap();
    (count.load(SeqCst), bytes)
}

#[test]
fn the_clock_ticks_each_interval_of_all_threads_together() {
    let (_alone, heap) = alone();
    let (count, _) = ticks(heap, MIB as u64, || churn(64 * MIB, KIB));
    assert!((63..=64).contains(&count), "{count}");
    let (count, _) = ticks(heap, 4 * KIB as u64, || churn(MIB, KIB));
    assert!((240..=257).contains(&count), "{count}");
    let (count, bytes) = ticks(heap, MIB as u64, || {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| churn(16 * MIB, 100));
            }
        });
    });
    let slowest = bytes / (MIB as u64 + BATCH) - 4;
    assert!((slowest..=64).contains(&count), "{count} ticks");
}

#[test]
fn a_tick_comes_in_the_allocating_thread_with_its_request() {
    let (_alone, heap) = alone();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let hook = move |tick: &Tick| {
        let at = (thread::current().id(), tick.request_bytes);
        log.lock().unwrap().push(at);
    };
    heap.set_clock(MIB as u64, hook).unwrap();
    let id = thread::spawn(|| {
        drop(Block::new(40 * MIB));
        thread::current().id()
    });
    let id = id.join().unwrap();
    assert_eq!(*seen.lock().unwrap(), [(id, 40 * MIB as u64)]);
}

#[test]
fn a_hook_may_allocate_and_does_not_recurse() {
    let (_alone, heap) = alone();
    let (live, panics) = (heap.live_bytes(), heap.hook_panics());
    let (depth, calls) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&calls);
    let hook = move |_: &Tick| {
        assert_eq!(depth.fetch_add(1, SeqCst), 0);
        counter.fetch_add(1, SeqCst);
        churn(10 * MIB, 100 * KIB);
        depth.fetch_sub(1, SeqCst);
    };
    heap.set_clock(MIB as u64, hook).unwrap();
    let before = heap.allocated_bytes();
    churn(2 * MIB, KIB);
    let calls = calls.load(SeqCst);
    assert!((1..=2).contains(&calls), "{calls}");
    let inside = calls * (10 * MIB / (100 * KIB) * 100 * KIB) as u64;
    assert_eq!(heap.allocated_bytes() - before, 2 * MIB as u64 + inside);
    assert_eq!((heap.live_bytes(), heap.hook_panics()), (live, panics));
}

#[test]
fn a_panic_stays_in_the_hook_which_is_not_run_again() {
    let (_alone, heap) = alone();
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let before = heap.hook_panics();
    let hook = move |_: &Tick| {
        counter.fetch_add(1, SeqCst);
        panic!("on purpose");
    };
    heap.set_clock(MIB as u64, hook).unwrap();
    churn(8 * MIB, KIB);
    assert_eq!(calls.load(SeqCst), 1);
    assert_eq!(heap.hook_panics() - before, 1);
    let (count, _) = ticks(heap, MIB as u64, || churn(8 * MIB, KIB));
    assert!(count >= 7, "the next hook runs: {count}");
}

#[test]
fn a_hook_cannot_change_the_clock_and_zero_is_no_interval() {
    let (_alone, heap) = alone();
    assert_eq!(heap.set_clock(0, |_| ()), Err(ClockError::ZeroInterval));
    let refusals = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&refusals);
    let hook = move |_: &Tick| {
        assert_eq!(heap.clear_clock(), Err(ClockError::WithinHook));
        assert_eq!(heap.set_clock(1, |_| ()), Err(ClockError::WithinHook));
        counter.fetch_add(1, SeqCst);
    };
    heap.set_clock(MIB as u64, hook).unwrap();
    churn(2 * MIB, KIB);
    assert!(refusals.load(SeqCst) >= 1);
}

/// Says when it is dropped.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_hook_is_dropped_when_it_is_replaced_and_never_runs_afterwards() {
    let (_alone, heap) = alone();
    let (stop, runs) = (AtomicBool::new(false), Arc::new(AtomicU64::new(0)));
    let before = heap.hook_panics();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    churn(MIB, KIB);
                }
            });
        }
        for _ in 0..100 {
            let ended = Arc::new(AtomicBool::new(false));
            let (guard, counter) = (Ended(Arc::clone(&ended)), Arc::clone(&runs));
            let seen = runs.load(SeqCst);
            let hook = move |_: &Tick| {
                assert!(!guard.0.load(SeqCst), "run after its end");
                counter.fetch_add(1, SeqCst);
            };
            heap.set_clock(KIB as u64, hook).unwrap();
            while runs.load(SeqCst) == seen {
                thread::yield_now();
            }
            heap.clear_clock().unwrap();
            assert!(ended.load(SeqCst), "dropped when the call returns");
        }
        stop.store(true, SeqCst);
    });
    assert_eq!(heap.hook_panics(), before);
}

#[test]
fn a_reader_beside_writers_never_misses_what_lives() {
    let (_alone, heap) = alone();
    let base = heap.live_bytes();
    let stop = AtomicBool::new(false);
    let floor = Block::new(5 * MIB);
    thread::scope(|scope| {
        let (give, take) = mpsc::sync_channel::<Block>(8);
        let stop = &stop;
        scope.spawn(move || {
            while !stop.load(SeqCst) {
                give.send(Block::new(KIB)).unwrap();
            }
        });
        scope.spawn(move || take.iter().for_each(drop));
        for _ in 0..20_000 {
            let live = heap.live_bytes() - base;
            // Above it only what passes by while a preempted reader adds up.
            assert!(live >= floor.size(), "{live}");
            assert!(live < u64::from(u32::MAX), "{live}");
        }
        stop.store(true, SeqCst);
    });
}
