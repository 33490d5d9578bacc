//! The bus against a plain model: a list of `VecDeque`s, each with its bounds, and nothing clever.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Batch, ByteBudget, Delivery, DropReason, Filter, Overflow, Priority};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::thread;

/// What a subscription of the model is.
#[derive(Debug, Clone, Copy)]
struct Kind {
    /// `None`: reliable.
    overflow: Option<Overflow>,
    /// Whether it wants the topic `a` only.
    only_a: bool,
    events: usize,
    bytes: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Publish { a: bool, payload: usize },
    Batch { events: usize },
    Receive { from: usize },
    Read { from: usize, max: usize },
    Fill { from: usize, max: usize },
    Limit { of: usize, events: usize },
    Shed(bool),
    Subscribe(Kind),
    Unsubscribe { of: usize },
    Drop { of: usize },
}

fn kind() -> impl Strategy<Value = Kind> {
    let overflow = prop_oneof![
        Just(None),
        Just(Some(Overflow::DropNewest)),
        Just(Some(Overflow::DropOldest)),
    ];
    let bytes = prop_oneof![3 => Just(1 << 20), 1 => 800..3000_u64];
    (overflow, any::<bool>(), 1..20_usize, bytes).prop_map(|(overflow, only_a, events, bytes)| {
        Kind {
            overflow,
            only_a,
            events,
            bytes,
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<bool>(), 0..300_usize).prop_map(|(a, payload)| Step::Publish { a, payload }),
        2 => (1..100_usize).prop_map(|events| Step::Batch { events }),
        8 => (0..8_usize).prop_map(|from| Step::Receive { from }),
        4 => (0..8_usize, 1..20_usize).prop_map(|(from, max)| Step::Read { from, max }),
        2 => (0..8_usize, 1..20_usize).prop_map(|(from, max)| Step::Fill { from, max }),
        1 => (0..8_usize, 1..40_usize).prop_map(|(of, events)| Step::Limit { of, events }),
        1 => any::<bool>().prop_map(Step::Shed),
        2 => kind().prop_map(Step::Subscribe),
        1 => (0..8_usize).prop_map(|of| Step::Unsubscribe { of }),
        1 => (0..8_usize).prop_map(|of| Step::Drop { of }),
    ]
}

struct Subscriber {
    real: Subscription,
    kind: Kind,
    queue: VecDeque<(u64, u64)>,
    offered: u64,
    delivered: u64,
    dropped: u64,
    ended: bool,
}

impl Subscriber {
    fn bytes(&self) -> u64 {
        self.queue.iter().map(|(_, bytes)| bytes).sum()
    }

    fn fits(&self, bytes: u64) -> bool {
        self.queue.is_empty()
            || (self.queue.len() < self.kind.events && self.bytes() + bytes <= self.kind.bytes)
    }

    fn wants(&self, a: bool) -> bool {
        !self.ended && (a || !self.kind.only_a)
    }

    fn offer(&mut self, number: u64, bytes: u64, shedding: bool) {
        self.offered += 1;
        match self.kind.overflow {
            Some(_) if shedding => self.dropped += 1,
            Some(Overflow::DropNewest) if !self.fits(bytes) => self.dropped += 1,
            Some(Overflow::DropOldest) => {
                while !self.fits(bytes) {
                    self.queue.pop_front();
                    self.dropped += 1;
                }
                self.queue.push_back((number, bytes));
            }
            _ => self.queue.push_back((number, bytes)),
        }
    }

    fn expect(&mut self, count: usize) -> Vec<u64> {
        let count = count.min(self.queue.len());
        self.delivered += count as u64;
        self.queue
            .drain(..count)
            .map(|(number, _)| number)
            .collect()
    }
}

fn event(number: u64, a: bool, payload: usize, budget: &ByteBudget) -> Event {
    Event::builder(if a { "a" } else { "b" })
        .causation_id(number.to_string())
        .payload(vec![7; payload])
        .charge(budget.reserve(1, Priority::Control).unwrap())
        .build()
        .unwrap()
}

fn number(event: &Event) -> u64 {
    event.causation_id().unwrap().parse().unwrap()
}

struct World {
    bus: Bus,
    budget: ByteBudget,
    subscribers: Vec<Subscriber>,
    next: u64,
    shedding: bool,
}

impl World {
    fn offer(&mut self, number: u64, a: bool, bytes: u64) -> bool {
        let shedding = self.shedding;
        let mut wanted = self
            .subscribers
            .iter_mut()
            .filter(|subscriber| subscriber.wants(a));
        if wanted.any(|subscriber| subscriber.kind.overflow.is_none() && !subscriber.fits(bytes)) {
            return false;
        }
        for subscriber in self
            .subscribers
            .iter_mut()
            .filter(|subscriber| subscriber.wants(a))
        {
            subscriber.offer(number, bytes, shedding);
        }
        true
    }

    fn at(&mut self, index: usize) -> Option<&mut Subscriber> {
        let count = self.subscribers.len();
        (count > 0).then(|| &mut self.subscribers[index % count])
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Publish { a, payload } => {
                let event = event(self.next, a, payload, &self.budget);
                let expected = self.offer(self.next, a, event.size_bytes());
                assert_eq!(self.bus.try_publish(event).is_ok(), expected);
                self.next += 1;
            }
            Step::Batch { events } => {
                let first = self.next;
                let mut events: VecDeque<_> = (first..)
                    .take(events)
                    .map(|number| event(number, true, 9, &self.budget))
                    .collect();
                let bytes: Vec<_> = events.iter().map(Event::size_bytes).collect();
                let expected = (first..)
                    .zip(bytes)
                    .take_while(|(number, bytes)| self.offer(*number, true, *bytes));
                let expected = expected.count();
                assert_eq!(
                    self.bus.publisher().try_publish_batch(&mut events),
                    expected
                );
                self.next += expected as u64;
                assert!(events.front().is_none_or(|left| number(left) == self.next));
                self.next += events.len() as u64;
            }
            Step::Receive { from } => {
                let Some(subscriber) = self.at(from) else {
                    return;
                };
                let got = subscriber.real.try_recv().map(|event| number(&event));
                assert_eq!(got, subscriber.expect(1).first().copied());
            }
            Step::Read { from, max } => {
                let Some(subscriber) = self.at(from) else {
                    return;
                };
                // It may see fewer than there are, where they lie in two places; never others.
                let got: Vec<_> = subscriber.real.read(max).iter().map(number).collect();
                assert_eq!(got.is_empty(), subscriber.queue.is_empty());
                assert_eq!(got, subscriber.expect(got.len()));
            }
            Step::Fill { from, max } => {
                let Some(subscriber) = self.at(from) else {
                    return;
                };
                let mut batch = Batch::with_capacity(max, u64::MAX);
                subscriber.real.fill(&mut batch);
                let got: Vec<_> = batch.events().iter().map(number).collect();
                batch.delivered();
                assert_eq!(got, subscriber.expect(max));
            }
            Step::Limit { of, events } => {
                let Some(subscriber) = self.at(of) else {
                    return;
                };
                subscriber.kind.events = events;
                subscriber.real.set_limits(Some(events), None);
            }
            Step::Shed(shedding) => {
                self.shedding = shedding;
                self.bus.set_shedding(shedding);
            }
            Step::Subscribe(kind) => {
                if self.subscribers.len() < 8 {
                    self.subscribe(kind);
                }
            }
            Step::Unsubscribe { of } => {
                let bus = self.bus.clone();
                let Some(subscriber) = self.at(of) else {
                    return;
                };
                assert_eq!(bus.unsubscribe(subscriber.real.id()), !subscriber.ended);
                subscriber.ended = true;
                subscriber.dropped += subscriber.queue.len() as u64;
                subscriber.queue.clear();
            }
            Step::Drop { of } => {
                if !self.subscribers.is_empty() {
                    let index = of % self.subscribers.len();
                    let mut subscriber = self.subscribers.swap_remove(index);
                    subscriber.dropped += subscriber.queue.len() as u64;
                    let monitor = subscriber.real.monitor();
                    drop(subscriber.real);
                    let stats = monitor.stats();
                    assert!(stats.is_closed(), "{stats:?}");
                    assert_eq!(
                        (stats.dropped_total(), stats.queued_events),
                        (subscriber.dropped, 0)
                    );
                }
            }
        }
        self.check();
    }

    fn subscribe(&mut self, kind: Kind) {
        let filter = if kind.only_a {
            Filter::topics(["a"]).unwrap()
        } else {
            Filter::all()
        };
        let delivery = kind
            .overflow
            .map_or(Delivery::Reliable, Delivery::sheddable);
        let options = SubscribeOptions::new("s")
            .filter(filter)
            .delivery(delivery)
            .limit_events(kind.events)
            .limit_bytes(kind.bytes);
        self.subscribers.push(Subscriber {
            real: self.bus.subscribe(options).unwrap(),
            kind,
            queue: VecDeque::new(),
            offered: 0,
            delivered: 0,
            dropped: 0,
            ended: false,
        });
    }

    fn check(&self) {
        let mut queued: Vec<_> = Vec::new();
        for subscriber in &self.subscribers {
            let stats = subscriber.real.stats();
            assert!(stats.is_closed(), "{stats:?}");
            let expected = (subscriber.offered, subscriber.delivered, subscriber.dropped);
            assert_eq!(
                (stats.offered, stats.delivered, stats.dropped_total()),
                expected
            );
            assert_eq!(stats.queued_events, subscriber.queue.len());
            assert_eq!(stats.queued_bytes, subscriber.bytes());
            queued.extend(subscriber.queue.iter().copied());
        }
        queued.sort_unstable();
        queued.dedup();
        // Only what an ended subscription has not let go of yet may be held beyond what is queued.
        let bytes: u64 = queued.iter().map(|(_, bytes)| bytes).sum();
        if !self.subscribers.iter().any(|subscriber| subscriber.ended) {
            assert_eq!(
                self.budget.used_bytes(),
                bytes,
                "what nobody waits for is let go of"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_the_model(kinds in prop::collection::vec(kind(), 0..5), steps in prop::collection::vec(step(), 1..200)) {
        let bus = Bus::new("model");
        let budget = ByteBudget::unbounded();
        let mut world = World { bus, budget, subscribers: Vec::new(), next: 0, shedding: false };
        for kind in kinds {
            world.subscribe(kind);
        }
        for step in steps {
            world.step(&step);
        }
        let budget = world.budget.clone();
        drop(world);
        prop_assert_eq!(budget.used_bytes(), 0);
    }
}

/// Several publishers, one of them exclusive; readers of every kind, some of them stuck for a while; bounds that move. Each
/// subscription sees each publisher's events in order, and its account closes.
#[test]
fn under_threads_order_holds_and_accounts_close() {
    const EVENTS: u64 = 20_000;
    let (bus, budget) = (Bus::new("threads"), ByteBudget::unbounded());
    let overflow = [
        None,
        None,
        Some(Overflow::DropNewest),
        Some(Overflow::DropOldest),
        Some(Overflow::DropNewest),
    ];
    let readers: Vec<_> = overflow
        .into_iter()
        .enumerate()
        .map(|(index, overflow)| {
            let delivery = overflow.map_or(Delivery::Reliable, Delivery::sheddable);
            let options = SubscribeOptions::new("r")
                .delivery(delivery)
                .limit_events(5 + 9 * index);
            let mut subscription = bus.subscribe(options).unwrap();
            thread::spawn(move || {
                let mut last = [None::<u64>; 3];
                let mut received = 0_u64;
                let mut see = |event: &Event| {
                    let publisher = event.payload().len();
                    let number = number(event);
                    assert!(last[publisher].is_none_or(|last| last < number));
                    last[publisher] = Some(number);
                    received += 1;
                    received
                };
                while let Some(event) = subscription.recv_blocking() {
                    let mut received = see(&event);
                    for event in subscription.read(7).iter() {
                        received = see(event);
                    }
                    if received % 1000 < 8 {
                        subscription.set_limits(Some(1 + received as usize % 40), None);
                        thread::yield_now();
                    }
                }
                (subscription.stats(), received)
            })
        })
        .collect();
    let publishers: Vec<_> = (0..3_usize)
        .map(|publisher| {
            let (bus, budget) = (bus.clone(), budget.clone());
            thread::spawn(move || {
                let make = |number| event(number, true, publisher, &budget);
                let mut exclusive = (publisher == 0).then(|| bus.exclusive().unwrap());
                for number in 0..EVENTS {
                    match &mut exclusive {
                        Some(exclusive) => crate::block_on(exclusive.publish(make(number))),
                        None => crate::block_on(bus.publish(make(number))),
                    }
                    .unwrap();
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.join().unwrap();
    }
    bus.close();
    for reader in readers {
        let (stats, received) = reader.join().unwrap();
        assert!(stats.is_closed(), "{stats:?}");
        assert_eq!((stats.offered, stats.delivered), (3 * EVENTS, received));
        assert_eq!(
            stats.reliable,
            stats.dropped(DropReason::Full) + stats.dropped(DropReason::Oldest) == 0
                && stats.reliable
        );
        assert!(!stats.reliable || received == 3 * EVENTS);
    }
    assert_eq!(budget.used_bytes(), 0);
}
