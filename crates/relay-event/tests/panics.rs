//! Code of others that panics: payloads, wakers, policies. The bus lives, the others notice nothing, the account closes.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use relay_event::{
    Bus, ByteBudget, Delivery, Event, Overflow, Priority, SubscribeOptions, Subscription,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

/// A payload that panics when it is dropped.
struct Bomb;

impl AsRef<[u8]> for Bomb {
    fn as_ref(&self) -> &[u8] {
        b"bomb"
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload's destructor");
    }
}

fn event(payload: Bytes, budget: &ByteBudget) -> Event {
    Event::builder("t")
        .payload(payload)
        .charge(budget.reserve(1, Priority::Normal).unwrap())
        .build()
        .unwrap()
}

fn subscribe(bus: &Bus, delivery: Delivery, events: usize) -> Subscription {
    let options = SubscribeOptions::new("s")
        .delivery(delivery)
        .limit_events(events);
    bus.subscribe(options).unwrap()
}

/// Receives everything; an event whose drop panics is the receiver's own.
fn drain(subscription: &mut Subscription) -> usize {
    let mut received = 0;
    while let Some(event) = subscription.try_recv() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(event)));
        received += 1;
    }
    received
}

#[test]
fn a_payload_that_panics_in_its_drop_harms_nobody() {
    let (bus, budget) = (Bus::new("b"), ByteBudget::new(1 << 20));
    let mut kinds = [
        subscribe(&bus, Delivery::Reliable, 64),
        subscribe(&bus, Delivery::Reliable, 64),
        subscribe(&bus, Delivery::sheddable(Overflow::DropNewest), 2),
        subscribe(&bus, Delivery::sheddable(Overflow::DropOldest), 2),
    ];
    for round in 0..8 {
        for _ in 0..5 {
            bus.try_publish(event(Bytes::from_owner(Bomb), &budget))
                .unwrap();
            bus.try_publish(event(Bytes::from_static(b"x"), &budget))
                .unwrap();
        }
        // The last of them to pass drops what all have read; in place, one drops it for all.
        let first = round % 2;
        assert_eq!(drain(&mut kinds[first]), 10);
        assert_eq!(kinds[1 - first].read(100).len(), 10);
        assert_eq!(drain(&mut kinds[2]), 2);
        assert_eq!(kinds[3].read(100).len(), 2);
    }
    for subscription in &kinds {
        assert!(
            subscription.stats().is_closed(),
            "{:?}",
            subscription.stats()
        );
    }
    bus.try_publish(event(Bytes::from_owner(Bomb), &budget))
        .unwrap();
    drop(kinds);
    assert_eq!(budget.used_bytes(), 0);
}

struct Panics(AtomicUsize);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
        panic!("the waker");
    }
}

struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_asleep() {
    let bus = Bus::new("b");
    let budget = ByteBudget::unbounded();
    let (bad, good) = (
        Arc::new(Panics(AtomicUsize::new(0))),
        Arc::new(Counts(AtomicUsize::new(0))),
    );
    let mut first = subscribe(&bus, Delivery::Reliable, 8);
    let mut second = subscribe(&bus, Delivery::Reliable, 8);
    let (bad_waker, good_waker) = (Waker::from(bad.clone()), Waker::from(good.clone()));
    assert!(
        first
            .poll_recv(&mut Context::from_waker(&bad_waker))
            .is_pending()
    );
    assert!(
        second
            .poll_recv(&mut Context::from_waker(&good_waker))
            .is_pending()
    );
    bus.try_publish(event(Bytes::new(), &budget)).unwrap();
    assert_eq!((bad.0.load(Relaxed), good.0.load(Relaxed)), (1, 1));
    for subscription in [&mut first, &mut second] {
        let polled = subscription.poll_recv(&mut Context::from_waker(&good_waker));
        assert!(matches!(polled, Poll::Ready(Some(_))));
    }
}

#[test]
fn a_publisher_whose_waker_panics_costs_the_receiver_no_event() {
    let bus = Bus::new("b");
    let budget = ByteBudget::unbounded();
    let mut subscription = subscribe(&bus, Delivery::Reliable, 1);
    bus.try_publish(event(Bytes::from_static(b"1"), &budget))
        .unwrap();
    let bad = Arc::new(Panics(AtomicUsize::new(0)));
    let waker = Waker::from(bad.clone());
    let mut waiting = Box::pin(bus.publish(event(Bytes::from_static(b"2"), &budget)));
    assert!(
        waiting
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert_eq!(subscription.try_recv().unwrap().payload()[..], *b"1");
    assert_eq!(bad.0.load(Relaxed), 1, "it was told of the room");
    assert!(
        waiting
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
    );
    assert_eq!(subscription.try_recv().unwrap().payload()[..], *b"2");
}
