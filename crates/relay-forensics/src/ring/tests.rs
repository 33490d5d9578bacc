use std::{collections::VecDeque, thread, time::Duration};

use super::*;
use crate::VALUES;

fn record(n: u64) -> Record {
    Record::new(7, Duration::from_nanos(n)).with_values(&[n; VALUES])
}

#[test]
fn it_keeps_the_last_records_in_order_as_a_deque_would() {
    for capacity in [1, 2, 3, 7, 64] {
        let ring = Ring::try_new(capacity).unwrap();
        let mut model = VecDeque::new();
        for n in 0..200 {
            assert!(ring.record(&record(n)));
            model.push_back(Entry {
                sequence: n,
                record: record(n),
            });
            if model.len() > capacity {
                model.pop_front();
            }
            assert!(ring.snapshot().iter().eq(&model));
        }
        assert_eq!((ring.recorded(), ring.lost()), (200, 0));
    }
}

#[test]
fn an_empty_ring_shows_nothing() {
    let ring = Ring::try_new(8).unwrap();
    assert!(ring.snapshot().is_empty());
    assert_eq!(ring.recorded(), 0);
}

#[test]
fn capacities_out_of_range_are_refused() {
    assert!(Ring::try_new(0).is_err());
    assert!(Ring::try_new(CAPACITY_MAX).is_ok());
    let error = Ring::try_new(CAPACITY_MAX + 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a ring of 65537 records is not possible: choose from 1 to 65536"
    );
}

#[test]
fn a_slot_is_128_bytes() {
    assert_eq!(size_of::<Slot>(), 128);
}

#[test]
fn a_writer_that_was_overtaken_gives_up_and_leaves_the_later_record() {
    let ring = Ring::try_new(2).unwrap();
    for n in 0..6 {
        ring.record(&record(n));
    }
    assert!(!ring.slot(2).write(2, &record(2)), "ticket 4 has been here");
    assert_eq!(ring.slot(4).read(4), Some(record(4)));
    assert!(ring.slot(4).claim(complete(4), 6));
    assert!(!ring.slot(8).write(8, &record(8)), "ticket 6 is at it");
    assert_eq!(ring.slot(4).read(4), None, "half written is not shown");
}

/// Every record that is shown is whole and in its place, however writers and readers interleave.
#[test]
fn no_torn_record_is_ever_shown() {
    const WRITERS: u64 = 3;
    const EACH: u64 = 100_000;
    let ring = Ring::try_new(4).unwrap();
    let mut shown = 0_u64;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let ring = &ring;
                scope.spawn(move || {
                    for n in 0..EACH {
                        ring.record(&record(writer * EACH + n));
                    }
                })
            })
            .collect();
        while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
            let mut last = None;
            ring.for_each(|entry| {
                let n = entry.record.values[0];
                assert_eq!(entry.record, record(n), "torn");
                assert!(last < Some(entry.sequence), "out of order");
                last = Some(entry.sequence);
                shown += 1;
            });
        }
    });
    assert_eq!(ring.recorded(), WRITERS * EACH);
    assert!(shown > 0);
}
