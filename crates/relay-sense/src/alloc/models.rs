//! The protocols of this module in every interleaving: the hook that is replaced while it runs, and the counters that are
//! read while they change owners.

#![allow(clippy::unwrap_used)]

use loom::sync::Arc;
use loom::sync::atomic::{
    AtomicBool, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use loom::thread;

use super::Tick;
use super::clock::ByteClock;
use super::hook::HookCell;
use super::table::Table;

const TICK: Tick = Tick {
    allocated_bytes: 1,
    request_bytes: 1,
};

/// What a hook owns: fails if it is used after its end, or ends twice.
struct Owned(Arc<Life>);

#[derive(Default)]
struct Life {
    ended: AtomicBool,
    ends: AtomicUsize,
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.ended.store(true, Relaxed);
        assert_eq!(self.0.ends.fetch_add(1, Relaxed), 0);
    }
}

fn hook() -> (Arc<Life>, Box<dyn Fn(&Tick) + Send + Sync>) {
    let life = Arc::new(Life::default());
    let owned = Owned(Arc::clone(&life));
    let run = move |_: &Tick| assert!(!owned.0.ended.load(Relaxed));
    (life, Box::new(run))
}

#[test]
fn a_hook_is_freed_once_and_never_while_it_runs() {
    loom::model(|| {
        let cell = Arc::new(HookCell::new());
        let (life, run) = hook();
        cell.set(run);
        let other = Arc::clone(&cell);
        let runner = thread::spawn(move || other.run(&TICK));
        cell.clear();
        assert!(life.ended.load(Relaxed));
        runner.join().unwrap();
        assert_eq!(cell.panics(), 0);
    });
}

#[test]
fn two_replace_a_hook_at_once() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let cell = Arc::new(HookCell::new());
        let (first, run) = hook();
        cell.set(run);
        let (other, (second, run)) = (Arc::clone(&cell), hook());
        let setter = thread::spawn(move || other.set(run));
        let (third, run) = hook();
        cell.run(&TICK);
        cell.set(run);
        setter.join().unwrap();
        assert!(first.ended.load(Relaxed));
        assert!(second.ended.load(Relaxed) != third.ended.load(Relaxed));
        cell.clear();
        assert!(second.ended.load(Relaxed) && third.ended.load(Relaxed));
    });
}

#[test]
fn counters_go_on_with_their_next_owner() {
    loom::model(|| {
        let table: Arc<Table<1>> = Arc::new(Table::new());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let table = Arc::clone(&table);
                thread::spawn(move || match table.claim() {
                    Some(slot) => {
                        slot.add(3);
                        slot.sub(1);
                        slot.release();
                    }
                    None => {
                        table.shared().add_shared(3);
                        table.shared().sub_shared(1);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!((table.live(), table.allocated()), (4, 6));
    });
}

#[test]
fn whoever_sees_a_release_sees_the_allocation() {
    loom::model(|| {
        let table: Arc<Table<2>> = Arc::new(Table::new());
        let handed = Arc::new(AtomicBool::new(false));
        let (owners, block) = (Arc::clone(&table), Arc::clone(&handed));
        let giver = thread::spawn(move || {
            owners.claim().unwrap().add(5);
            block.store(true, Release);
        });
        let (owners, block) = (Arc::clone(&table), Arc::clone(&handed));
        let taker = thread::spawn(move || {
            if block.load(Acquire) {
                owners.claim().unwrap().sub(5);
            }
        });
        let live = table.live();
        assert!(live == 0 || live == 5, "{live}");
        giver.join().unwrap();
        taker.join().unwrap();
    });
}

#[test]
fn an_interval_ticks_once_whoever_fills_it() {
    loom::model(|| {
        let clock = Arc::new(ByteClock::new());
        clock.start(4);
        let other = Arc::clone(&clock);
        let thread = thread::spawn(move || u32::from(other.advance(3).is_some()));
        let ticks = u32::from(clock.advance(3).is_some()) + thread.join().unwrap();
        assert_eq!(ticks, 1);
    });
}
