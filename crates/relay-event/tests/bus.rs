//! The bus as its users see it: fan-out, back-pressure, shedding, live bounds, ends, and the account.

#![allow(clippy::unwrap_used)]

use relay_event::{
    Batch, Bus, Delivery, DropReason, Event, Filter, Outcome, Overflow, Priority, SubscribeError,
    SubscribeOptions, Subscription, TryPublishError, block_on,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn event(topic: &str) -> Event {
    Event::builder(topic).build().unwrap()
}

fn numbered(number: u64) -> Event {
    Event::builder("n")
        .payload(number.to_le_bytes().to_vec())
        .build()
        .unwrap()
}

fn number(event: &Event) -> u64 {
    u64::from_le_bytes(event.payload()[..].try_into().unwrap())
}

fn sheddable(overflow: Overflow) -> SubscribeOptions {
    SubscribeOptions::new("shed").delivery(Delivery::sheddable(overflow))
}

fn publish(bus: &Bus, event: Event) {
    bus.try_publish(event).unwrap();
}

fn drain(subscription: &mut Subscription) -> Vec<u64> {
    std::iter::from_fn(|| subscription.try_recv())
        .map(|event| number(&event))
        .collect()
}

#[test]
fn each_matching_subscription_gets_each_event_once_and_in_order() {
    let bus = Bus::new("external");
    let mut all = bus.subscribe(SubscribeOptions::new("all")).unwrap();
    let orders = Filter::topics(["order.*"]).unwrap();
    let mut some = bus
        .subscribe(SubscribeOptions::new("some").filter(orders))
        .unwrap();
    assert_eq!(
        bus.try_publish(event("order.paid")).unwrap().subscriptions,
        2
    );
    assert_eq!(bus.try_publish(event("refund")).unwrap().subscriptions, 1);
    assert_eq!(all.try_recv().unwrap().topic().as_str(), "order.paid");
    assert_eq!(all.try_recv().unwrap().topic().as_str(), "refund");
    assert_eq!(some.try_recv().unwrap().topic().as_str(), "order.paid");
    assert!(some.try_recv().is_none() && all.try_recv().is_none());
}

#[test]
fn an_event_that_nobody_wants_is_counted() {
    let bus = Bus::new("external");
    assert_eq!(bus.try_publish(event("t")).unwrap().subscriptions, 0);
    assert_eq!((bus.published(), bus.no_subscriber()), (1, 1));
}

#[test]
fn two_buses_do_not_see_each_other() {
    let (internal, external) = (Bus::new("internal"), Bus::new("external"));
    let mut inside = internal.subscribe(SubscribeOptions::new("s")).unwrap();
    external.try_publish(event("t")).unwrap();
    assert!(inside.try_recv().is_none());
}

#[test]
fn publishing_is_all_or_nothing_over_the_reliable_ones() {
    let bus = Bus::new("external");
    let mut roomy = bus.subscribe(SubscribeOptions::new("roomy")).unwrap();
    let mut tight = bus
        .subscribe(SubscribeOptions::new("tight").limit_events(1))
        .unwrap();
    bus.try_publish(numbered(1)).unwrap();
    let error = bus.try_publish(numbered(2)).unwrap_err();
    let TryPublishError::Full {
        event,
        subscription,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((number(&event), &*subscription), (2, "tight"));
    assert_eq!(drain(&mut roomy), [1]);
    assert_eq!(drain(&mut tight), [1]);
    bus.try_publish(event).unwrap();
    assert_eq!((drain(&mut roomy), drain(&mut tight)), (vec![2], vec![2]));
    assert!(roomy.stats().is_closed() && tight.stats().is_closed());
}

#[test]
fn bytes_bound_a_queue_too_and_an_empty_one_takes_any_event() {
    let bus = Bus::new("external");
    let mut subscription = bus
        .subscribe(SubscribeOptions::new("s").limit_bytes(10))
        .unwrap();
    bus.try_publish(numbered(1)).unwrap();
    assert!(bus.try_publish(numbered(2)).is_err());
    assert_eq!(drain(&mut subscription), [1]);
    let size = numbered(0).size_bytes();
    subscription.set_limits(None, Some(3 * size));
    (0..3).for_each(|i| publish(&bus, numbered(i)));
    assert!(bus.try_publish(numbered(3)).is_err());
}

#[test]
fn a_sheddable_subscription_never_makes_a_publisher_wait() {
    let bus = Bus::new("external");
    let mut newest = bus
        .subscribe(sheddable(Overflow::DropNewest).limit_events(2))
        .unwrap();
    let mut oldest = bus
        .subscribe(sheddable(Overflow::DropOldest).limit_events(2))
        .unwrap();
    (0..5).for_each(|i| publish(&bus, numbered(i)));
    assert_eq!(newest.stats().dropped(DropReason::Full), 3);
    assert_eq!(oldest.stats().dropped(DropReason::Oldest), 3);
    assert_eq!(drain(&mut newest), [0, 1]);
    assert_eq!(drain(&mut oldest), [3, 4]);
    assert!(newest.stats().is_closed() && oldest.stats().is_closed());
}

#[test]
fn shedding_stops_the_sheddable_ones_and_is_restored() {
    let bus = Bus::new("external");
    let mut shed = bus.subscribe(sheddable(Overflow::DropOldest)).unwrap();
    let mut reliable = bus.subscribe(SubscribeOptions::new("reliable")).unwrap();
    bus.try_publish(numbered(0)).unwrap();
    bus.set_shedding(true);
    bus.try_publish(numbered(1)).unwrap();
    bus.set_shedding(false);
    bus.try_publish(numbered(2)).unwrap();
    assert_eq!(drain(&mut shed), [0, 2]);
    assert_eq!(drain(&mut reliable), [0, 1, 2]);
    assert_eq!(shed.stats().dropped(DropReason::Shed), 1);
    assert!(shed.stats().is_closed());
}

#[test]
fn early_drop_sees_occupancy_and_priority_and_its_panic_takes_the_event() {
    let bus = Bus::new("external");
    let early = |occupancy: f64, priority: Priority| {
        assert!(occupancy < 0.9, "on purpose");
        occupancy >= 0.5 && priority == Priority::Low
    };
    let delivery = Delivery::Sheddable {
        overflow: Overflow::DropNewest,
        early_drop: Some(Arc::new(early)),
    };
    let subscription = bus
        .subscribe(
            SubscribeOptions::new("s")
                .delivery(delivery)
                .limit_events(10),
        )
        .unwrap();
    let low = || Event::builder("t").priority(Priority::Low).build().unwrap();
    (0..8).for_each(|_| publish(&bus, low()));
    assert_eq!(subscription.stats().dropped(DropReason::Early), 3);
    (0..5).for_each(|_| publish(&bus, event("t")));
    assert_eq!(
        subscription.stats().queued_events,
        10,
        "the policy panicked at 0.9, the event was taken"
    );
    assert!(subscription.stats().is_closed());
}

#[test]
fn bounds_move_live_and_shrinking_loses_nothing() {
    let bus = Bus::new("external");
    let mut subscription = bus
        .subscribe(SubscribeOptions::new("s").limit_events(4))
        .unwrap();
    (0..4).for_each(|i| publish(&bus, numbered(i)));
    subscription.set_limits(Some(2), None);
    assert_eq!(number(&subscription.try_recv().unwrap()), 0);
    assert!(
        bus.try_publish(numbered(9)).is_err(),
        "three are queued, two are allowed"
    );
    assert_eq!(drain(&mut subscription), [1, 2, 3]);
    subscription.set_limits(Some(usize::MAX), None);
    assert_eq!(subscription.stats().limit_events, 1 << 20);
}

#[test]
fn full_in_bytes_a_smaller_event_still_fits_also_beside_others() {
    let sized = |bytes: usize| Event::builder("n").payload(vec![0; bytes]).build().unwrap();
    let bus = Bus::new("external");
    let shed = || SubscribeOptions::new("s").delivery(Delivery::sheddable(Overflow::DropNewest));
    let overhead = sized(0).size_bytes();
    let mut others: Vec<_> = (0..2).map(|_| bus.subscribe(shed()).unwrap()).collect();
    let stuck = bus
        .subscribe(shed().limit_bytes(2 * overhead + 1100))
        .unwrap();
    // So many that the others have joined what they share.
    for _ in 0..100 {
        publish(&bus, sized(1000));
        for other in &mut others {
            assert!(other.try_recv().is_some());
        }
    }
    assert_eq!(stuck.stats().queued_events, 1, "no second one fits");
    publish(&bus, sized(200));
    assert_eq!(stuck.stats().queued_events, 1, "nor does this");
    publish(&bus, sized(100));
    assert_eq!(stuck.stats().queued_events, 2, "this does");
    assert_eq!(stuck.stats().dropped(DropReason::Full), 100);
    assert_eq!(others[0].stats().queued_events, 2);
    assert!(
        others
            .iter()
            .all(|other| other.stats().dropped_total() == 0)
    );
}

#[test]
fn a_waiting_publisher_goes_on_when_there_is_room_and_holds_no_lock() {
    let bus = Bus::new("external");
    let mut tight = bus
        .subscribe(SubscribeOptions::new("tight").limit_events(1))
        .unwrap();
    bus.try_publish(numbered(0)).unwrap();
    let waiting: Vec<_> = (1..=4)
        .map(|i| {
            let bus = bus.clone();
            let publisher = thread::spawn(move || block_on(bus.publish(numbered(i))).unwrap());
            thread::sleep(Duration::from_millis(20));
            publisher
        })
        .collect();
    // While they wait, others subscribe, unsubscribe and resize.
    drop(bus.subscribe(SubscribeOptions::new("other")).unwrap());
    let mut got = Vec::new();
    while got.len() < 5 {
        got.extend(block_on(tight.recv()).map(|event| number(&event)));
    }
    assert_eq!(got, [0, 1, 2, 3, 4], "first come, first served");
    for publisher in waiting {
        publisher.join().unwrap();
    }
    let waits = bus.wait_times();
    assert_eq!(waits.count(), 4, "the one that found room did not wait");
    let (longest, _) = waits.iter().filter(|(_, count)| *count > 0).last().unwrap();
    assert!(longest >= Duration::from_millis(20), "{longest:?}");
}

#[tokio::test]
async fn a_cancelled_publish_publishes_nothing_and_passes_its_turn_on() {
    let bus = Bus::new("external");
    let mut tight = bus
        .subscribe(SubscribeOptions::new("tight").limit_events(1))
        .unwrap();
    bus.try_publish(numbered(0)).unwrap();
    let first = tokio::spawn(bus.publish(numbered(1)));
    tokio::task::yield_now().await;
    let second = tokio::spawn(bus.publish(numbered(2)));
    tokio::task::yield_now().await;
    assert_eq!(number(&tight.try_recv().unwrap()), 0);
    // The first was woken but is cancelled before it runs.
    first.abort();
    second.await.unwrap().unwrap();
    assert_eq!(drain(&mut tight), [2]);
    assert!(tight.stats().is_closed());
    assert_eq!(
        bus.wait_times().count(),
        2,
        "the one that gave up has waited too"
    );
}

#[tokio::test]
async fn close_returns_waiting_events_and_lets_receivers_finish() {
    let bus = Bus::new("external");
    let mut subscription = bus
        .subscribe(SubscribeOptions::new("s").limit_events(1))
        .unwrap();
    bus.try_publish(numbered(0)).unwrap();
    let waiting = tokio::spawn(bus.publish(numbered(1)));
    tokio::task::yield_now().await;
    bus.close();
    assert_eq!(number(&waiting.await.unwrap().unwrap_err().0), 1);
    assert!(matches!(
        bus.try_publish(event("t")),
        Err(TryPublishError::Closed(_))
    ));
    assert!(matches!(
        bus.subscribe(SubscribeOptions::new("late")),
        Err(SubscribeError::Closed)
    ));
    assert_eq!(number(&subscription.recv().await.unwrap()), 0);
    assert!(subscription.recv().await.is_none());
    assert!(subscription.stats().is_closed());
}

#[tokio::test]
async fn unsubscribing_releases_a_publisher_that_waits_for_it() {
    let bus = Bus::new("external");
    let stuck = bus
        .subscribe(SubscribeOptions::new("stuck").limit_events(1))
        .unwrap();
    let monitor = stuck.monitor();
    bus.try_publish(event("t")).unwrap();
    let waiting = tokio::spawn(bus.publish(event("t")));
    tokio::task::yield_now().await;
    assert!(bus.unsubscribe(stuck.id()));
    assert!(!bus.unsubscribe(stuck.id()), "twice is a no-op");
    waiting.await.unwrap().unwrap();
    assert_eq!(monitor.stats().dropped(DropReason::Unsubscribed), 1);
    assert!(monitor.stats().is_closed());
    assert_eq!(bus.subscription_count(), 0);
}

#[test]
fn ids_are_never_used_again() {
    let bus = Bus::new("external");
    let mut last = None;
    for _ in 0..100 {
        let id = bus.subscribe(SubscribeOptions::new("s")).unwrap().id();
        assert!(last < Some(id));
        last = Some(id);
    }
    assert_eq!(bus.subscription_count(), 0);
    assert_eq!(last.unwrap().to_string(), "sub-99");
}

#[tokio::test]
async fn a_batch_is_in_flight_until_it_is_settled() {
    let bus = Bus::new("external");
    let mut subscription = bus.subscribe(SubscribeOptions::new("s")).unwrap();
    (0..6).for_each(|i| publish(&bus, numbered(i)));
    let mut batch = Batch::with_capacity(4, u64::MAX);
    assert!(subscription.recv_batch(&mut batch).await);
    assert_eq!(
        (batch.events().len(), subscription.stats().in_flight),
        (4, 4)
    );
    batch.settle(&[
        Outcome::Delivered,
        Outcome::Retry,
        Outcome::Rejected,
        Outcome::Retry,
    ]);
    assert_eq!(
        batch.events().iter().map(number).collect::<Vec<_>>(),
        [1, 3]
    );
    let stats = subscription.stats();
    assert_eq!(
        (
            stats.delivered,
            stats.in_flight,
            stats.dropped(DropReason::Rejected)
        ),
        (1, 2, 1)
    );
    assert!(stats.is_closed());
    batch.delivered();
    assert!(subscription.recv_batch(&mut batch).await);
    drop(batch);
    let stats = subscription.stats();
    assert_eq!(
        (stats.delivered, stats.dropped(DropReason::Abandoned)),
        (3, 2)
    );
    assert!(stats.is_closed());
}

#[tokio::test]
async fn a_batch_is_bounded_in_bytes_but_holds_one_event_at_least() {
    let bus = Bus::new("external");
    let mut subscription = bus.subscribe(SubscribeOptions::new("s")).unwrap();
    (0..3).for_each(|i| publish(&bus, numbered(i)));
    let mut batch = Batch::with_capacity(8, 1);
    assert!(subscription.recv_batch(&mut batch).await);
    assert_eq!(batch.events().len(), 1);
    assert!(batch.is_full());
}

#[test]
fn a_dropped_subscription_lets_go_of_what_it_holds() {
    struct Owner(Arc<AtomicBool>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            b"x"
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let bus = Bus::new("external");
    let subscription = bus.subscribe(SubscribeOptions::new("s")).unwrap();
    let dropped = Arc::new(AtomicBool::new(false));
    let payload = bytes::Bytes::from_owner(Owner(Arc::clone(&dropped)));
    bus.try_publish(Event::builder("t").payload(payload).build().unwrap())
        .unwrap();
    assert!(!dropped.load(Ordering::Relaxed));
    drop(subscription);
    assert!(dropped.load(Ordering::Relaxed));
}

#[test]
fn progress_tells_what_the_slowest_reliable_one_delivered_and_whether_it_stood() {
    let bus = Bus::new("external");
    let mut fast = bus.subscribe(SubscribeOptions::new("fast")).unwrap();
    let mut slow = bus.subscribe(SubscribeOptions::new("slow")).unwrap();
    let size = numbered(0).size_bytes();
    assert!(!bus.progress().backlog);
    (0..10).for_each(|i| publish(&bus, numbered(i)));
    assert!(!bus.progress().backlog, "it began empty");
    drain(&mut fast);
    slow.try_recv();
    let progress = bus.progress();
    assert_eq!((progress.backlog, progress.delivered_bytes), (true, size));
    drain(&mut slow);
    bus.try_publish(numbered(0)).unwrap();
    assert!(!bus.progress().backlog, "it ran empty in between");
}
