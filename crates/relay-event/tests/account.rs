//! Random operations against a plain model, and many threads at once: the account closes to the event.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use relay_event::{
    Bus, ByteBudget, Delivery, DropReason, Event, Overflow, Priority, SubscribeOptions, block_on,
};
use std::collections::VecDeque;
use std::thread;

#[derive(Debug, Clone)]
enum Step {
    Publish,
    Receive,
    Resize(usize),
    Shed(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Publish),
        3 => Just(Step::Receive),
        1 => (1_usize..6).prop_map(Step::Resize),
        1 => any::<bool>().prop_map(Step::Shed),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn a_sheddable_queue_agrees_with_a_plain_one(steps in steps(), oldest in any::<bool>()) {
        let bus = Bus::new("b");
        let overflow = if oldest { Overflow::DropOldest } else { Overflow::DropNewest };
        let options = SubscribeOptions::new("s").delivery(Delivery::sheddable(overflow)).limit_events(4);
        let mut subscription = bus.subscribe(options).unwrap();
        let (mut model, mut limit, mut shedding, mut next) = (VecDeque::new(), 4, false, 0_u32);
        for step in steps {
            match step {
                Step::Publish => {
                    let payload = next.to_le_bytes().to_vec();
                    bus.try_publish(Event::builder("t").payload(payload).build().unwrap()).unwrap();
                    if !shedding && (model.len() < limit || oldest) {
                        while model.len() >= limit {
                            model.pop_front();
                        }
                        model.push_back(next);
                    }
                    next += 1;
                }
                Step::Receive => {
                    let got = subscription.try_recv().map(|e| u32::from_le_bytes(e.payload()[..].try_into().unwrap()));
                    prop_assert_eq!(got, model.pop_front());
                }
                Step::Resize(events) => {
                    limit = events;
                    subscription.set_limits(Some(events), None);
                }
                Step::Shed(on) => {
                    shedding = on;
                    bus.set_shedding(on);
                }
            }
            let stats = subscription.stats();
            prop_assert!(stats.is_closed());
            prop_assert_eq!(stats.queued_events, model.len());
            prop_assert_eq!(stats.offered, u64::from(next));
        }
    }
}

#[test]
fn under_many_threads_nothing_is_lost_and_the_ledger_ends_at_zero() {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 5_000;
    let bus = Bus::new("external");
    let budget = ByteBudget::new(1 << 20);
    let mut reliable = bus
        .subscribe(SubscribeOptions::new("reliable").limit_events(16))
        .unwrap();
    let sheddable = Delivery::sheddable(Overflow::DropOldest);
    let shed = bus
        .subscribe(
            SubscribeOptions::new("shed")
                .delivery(sheddable)
                .limit_events(8),
        )
        .unwrap();
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let (bus, budget) = (bus.clone(), budget.clone());
            scope.spawn(move || {
                for number in 0..EACH {
                    let charge = budget.reserve(400, Priority::Control).unwrap();
                    let payload = [publisher.to_le_bytes(), number.to_le_bytes()].concat();
                    let event = Event::builder("t")
                        .payload(payload)
                        .charge(charge)
                        .build()
                        .unwrap();
                    block_on(bus.publish(event)).unwrap();
                }
            });
        }
        // Live resizing and churn of subscribers while events flow.
        scope.spawn(|| {
            for round in 0..300 {
                let guest = bus
                    .subscribe(SubscribeOptions::new("guest").limit_events(1 + round % 7))
                    .unwrap();
                shed.set_limits(Some(1 + round % 13), None);
                thread::yield_now();
                drop(guest);
            }
        });
        let mut next = [0_u64; PUBLISHERS as usize];
        for _ in 0..PUBLISHERS * EACH {
            let event = block_on(reliable.recv()).unwrap();
            let (publisher, number) = event.payload().split_at(8);
            let publisher = u64::from_le_bytes(publisher.try_into().unwrap()) as usize;
            assert_eq!(
                u64::from_le_bytes(number.try_into().unwrap()),
                next[publisher],
                "order per publisher"
            );
            next[publisher] += 1;
        }
    });
    let (reliable_stats, shed_stats) = (reliable.stats(), shed.stats());
    assert_eq!(reliable_stats.delivered, PUBLISHERS * EACH);
    assert!(reliable_stats.is_closed() && shed_stats.is_closed());
    assert_eq!(shed_stats.offered, PUBLISHERS * EACH);
    assert!(shed_stats.dropped(DropReason::Oldest) > 0);
    drop(shed);
    assert_eq!(budget.used_bytes(), 0);
}
