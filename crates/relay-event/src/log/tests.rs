#![allow(clippy::unwrap_used)]

use super::*;

type Counter = Arc<CachePadded<Taken>>;

fn counter() -> Counter {
    Arc::new(CachePadded::new(Taken::default()))
}

#[cfg(not(relay_loom))]
mod plain {
    use super::*;

    fn append(log: &Log<u32>, number: u32) {
        log.append(Counted::new(number).into_claim(), u64::from(number));
    }

    /// Reads one event as a member that was not taken out, and counts it.
    fn read(log: &Log<u32>, id: u64, counter: &Counter, position: u64) -> u32 {
        let claim = log.read(position);
        // SAFETY: a member, and the position is not yet counted as taken.
        let number = **unsafe { claim.borrow() };
        counter
            .events
            .store(counter.events.load(Relaxed) + 1, Release);
        log.passed(id, true);
        number
    }

    #[test]
    fn a_claim_is_dropped_when_the_slowest_has_passed() {
        let log = Log::new(4);
        let (a, b) = (counter(), counter());
        assert_eq!((log.join(1, &a), log.join(2, &b)), (0, 0));
        for number in 0..4 {
            append(&log, number);
        }
        assert_eq!(log.free_slots(), 0);
        assert_eq!(read(&log, 1, &a, 0), 0);
        assert_eq!(read(&log, 1, &a, 1), 1);
        assert_eq!(log.free_slots(), 0, "the second has not read them");
        assert_eq!(log.blocker(), Some(2));
        assert_eq!(read(&log, 2, &b, 0), 0);
        assert_eq!(log.free_slots(), 1);
        append(&log, 4);
        assert_eq!(read(&log, 2, &b, 1), 1);
        assert_eq!(log.free_slots(), 1);
        assert_eq!(log.bytes(), 10);
    }

    #[test]
    fn one_that_leaves_takes_what_it_has_not_read_and_holds_nobody_up() {
        let log = Log::new(4);
        let (slow, fast) = (counter(), counter());
        log.join(1, &slow);
        log.join(2, &fast);
        for number in 0..4 {
            append(&log, number);
        }
        read(&log, 1, &slow, 0);
        for position in 0..4 {
            read(&log, 2, &fast, position);
        }
        let mut kept = Vec::new();
        let mut first = None;
        log.leave(
            1,
            // SAFETY: a claim of its own, redeemed once.
            |claim| kept.push(unsafe { claim.redeem() }),
            |position| first = Some(position),
        )
        .unwrap();
        assert_eq!(first, Some(1));
        log.reclaim();
        assert_eq!(log.free_slots(), 4);
        append(&log, 9);
        let kept: Vec<_> = kept.iter().map(|number| **number).collect();
        assert_eq!(kept, [1, 2, 3]);
    }

    #[test]
    fn a_log_without_members_keeps_nothing() {
        let log = Log::new(2);
        let a = counter();
        log.join(1, &a);
        append(&log, 0);
        log.leave(1, |claim| drop(unsafe { claim.redeem() }), |_| ());
        log.reclaim();
        assert_eq!((log.free_slots(), log.blocker()), (2, None));
        assert!(log.leave(1, |_| (), |_| ()).is_none());
    }

    #[test]
    fn a_dropped_log_drops_its_claims() {
        let witness = Arc::new(());
        let log = Log::new(2);
        log.join(1, &counter());
        log.append(Counted::new(Arc::clone(&witness)).into_claim(), 1);
        drop(log);
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}

#[cfg(relay_loom)]
mod models {
    use super::*;
    use loom::sync::Arc as LoomArc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    struct Witness(u32, LoomArc<AtomicUsize>);

    impl Drop for Witness {
        fn drop(&mut self) {
            self.1.fetch_add(1, Relaxed);
        }
    }

    fn put(log: &Log<Witness>, number: u32, drops: &LoomArc<AtomicUsize>) {
        log.append(Counted::new(Witness(number, drops.clone())).into_claim(), 1);
    }

    fn read_one(log: &Log<Witness>, id: u64, counter: &Counter, position: u64) {
        let claim = log.read(position);
        // SAFETY: a member, and the position is not yet counted as taken.
        assert_eq!(u64::from(unsafe { claim.borrow() }.0), position);
        counter.events.store(position + 1, Release);
        log.passed(id, true);
    }

    /// Two readers pass the same events at the same time: each claim is dropped once, after both.
    #[test]
    fn claims_are_dropped_once_and_not_before_the_slowest() {
        loom::model(|| {
            let log = Arc::new(Log::new(2));
            let drops = LoomArc::new(AtomicUsize::new(0));
            let (a, b) = (counter(), counter());
            log.join(1, &a);
            log.join(2, &b);
            put(&log, 0, &drops);
            let other = {
                let (log, b) = (Arc::clone(&log), Arc::clone(&b));
                thread::spawn(move || read_one(&log, 2, &b, 0))
            };
            read_one(&log, 1, &a, 0);
            other.join().unwrap();
            assert_eq!(
                drops.load(Relaxed),
                1,
                "both have passed, so it is gone without another look"
            );
            assert_eq!(log.free_slots(), 2);
        });
    }

    /// The writer goes round: a slot is written again only after its claim was dropped.
    #[test]
    fn slots_are_written_again_only_when_free() {
        loom::model(|| {
            let log = Arc::new(Log::new(1));
            let drops = LoomArc::new(AtomicUsize::new(0));
            let a = counter();
            log.join(1, &a);
            let reader = {
                let (log, a) = (Arc::clone(&log), Arc::clone(&a));
                thread::spawn(move || {
                    for position in 0..2 {
                        while log.tail() == position {
                            thread::yield_now();
                        }
                        read_one(&log, 1, &a, position);
                    }
                })
            };
            for number in 0..2 {
                while log.free_slots() == 0 {
                    thread::yield_now();
                }
                put(&log, number, &drops);
            }
            reader.join().unwrap();
            assert_eq!(drops.load(Relaxed), 2);
        });
    }

    /// A member is taken out while it reads: what it read is alive, and it finds out before it would read a slot that was
    /// written again.
    #[test]
    fn one_that_leaves_keeps_what_it_has_not_read() {
        loom::model(|| {
            let log = Arc::new(Log::new(1));
            let drops = LoomArc::new(AtomicUsize::new(0));
            let gone = LoomArc::new(AtomicUsize::new(0));
            let a = counter();
            log.join(1, &a);
            put(&log, 0, &drops);
            let reader = {
                let (log, gone) = (Arc::clone(&log), gone.clone());
                thread::spawn(move || {
                    let claim = log.read(0);
                    if gone.load(Relaxed) == 0 {
                        // SAFETY: still a member after reading the slot: its claim is alive, now or as one of its own.
                        assert_eq!(unsafe { claim.borrow() }.0, 0);
                    }
                })
            };
            let mut kept = Vec::new();
            // SAFETY: a claim of its own, redeemed once.
            log.leave(
                1,
                |claim| kept.push(unsafe { claim.redeem() }),
                |_| gone.store(1, Release),
            );
            log.reclaim();
            put(&log, 1, &drops);
            reader.join().unwrap();
            assert_eq!(kept.len(), 1);
            drop(kept);
            assert_eq!(drops.load(Relaxed), 1);
        });
    }
}
