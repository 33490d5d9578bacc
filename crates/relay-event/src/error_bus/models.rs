//! Every interleaving of the error bus's protocols, with loom: see `crate::sync`.

use super::broadcast::{Broadcast, Seat};
use super::slot::{Read, Slot};
use loom::sync::{Arc, Notify};
use loom::thread;
use std::sync::Arc as StdArc;
use std::task::{Context, Poll, Wake, Waker};

/// A value whose halves must agree, and whose reference count loom watches: torn, leaked and freed twice all fail.
type Value = (u64, Arc<()>, u64);

fn value(number: u64) -> Value {
    (number, Arc::new(()), !number)
}

fn number(value: &Value) -> u64 {
    assert_eq!(value.0, !value.2, "torn");
    value.0
}

fn write(slot: &Slot<Value>, ticket: u64) -> bool {
    let writing = slot.enter(ticket);
    writing.map(|writing| writing.put(value(ticket))).is_some()
}

fn publish<T>(bus: &Broadcast<T>, value: T) -> bool {
    bus.turn().map(|turn| turn.put(value)).is_some()
}

/// Two writers, one of them a lap ahead of the other, and a reader that is inside meanwhile.
#[test]
fn slot_two_writers_a_lap_apart_and_a_reader() {
    loom::model(|| {
        let slot = StdArc::new(Slot::new());
        assert!(write(&slot, 0));
        let writers = [1, 2].map(|ticket| {
            let slot = StdArc::clone(&slot);
            thread::spawn(move || write(&slot, ticket))
        });
        if let Read::Done(copy) = slot.read(0, Value::clone) {
            assert_eq!(number(&copy), 0);
        }
        let seen = slot.read(2, number);
        assert!(matches!(seen, Read::Done(2) | Read::NotYet));
        let wrote = writers.map(|writer| writer.join().unwrap());
        let last = if wrote[1] { 2 } else { u64::from(wrote[0]) };
        assert_eq!(slot.read(last, number), Read::Done(last));
    });
}

/// Two readers beside each other: a writer comes in after the last of them has left.
#[test]
fn slot_two_readers_and_a_writer() {
    loom::model(|| {
        let slot = StdArc::new(Slot::new());
        assert!(write(&slot, 0));
        let read = |slot: &Slot<Value>| match slot.read(0, number) {
            Read::Done(seen) => assert_eq!(seen, 0),
            Read::Overwritten | Read::NotYet => {}
        };
        let other = StdArc::clone(&slot);
        let reader = thread::spawn(move || read(&other));
        let other = StdArc::clone(&slot);
        let writer = thread::spawn(move || write(&other, 1));
        read(&slot);
        reader.join().unwrap();
        let last = u64::from(writer.join().unwrap());
        assert_eq!(slot.read(last, number), Read::Done(last));
    });
}

/// Two publishers into a ring of one slot, so that each is a lap away from the other, and a subscriber: whatever happens,
/// each event is delivered, lost, refused or waiting.
#[test]
fn ring_the_account_is_exact_when_writers_lap() {
    loom::model(|| {
        let bus = StdArc::new(Broadcast::new(1, 1));
        let seat = bus.sit(0);
        let publishers = [1, 2].map(|number| {
            let bus = StdArc::clone(&bus);
            thread::spawn(move || u64::from(publish(&bus, value(number))))
        });
        let take = || bus.take(&seat, |_: &Value| true).map(|v| number(&v));
        let early = take();
        let accepted: u64 = publishers.map(|thread| thread.join().unwrap()).iter().sum();
        let account = bus.account(&seat);
        assert_eq!(account.delivered, u64::from(early.is_some()));
        assert_eq!(account.delivered + account.lost + account.waiting, accepted);
        assert!(account.waiting <= 1);
        let late = take();
        assert!(late.is_none() || late != early, "delivered twice");
        let account = bus.account(&seat);
        assert_eq!(
            (account.delivered + account.lost, account.waiting),
            (accepted, 0)
        );
    });
}

struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: StdArc<Self>) {
        self.0.notify();
    }
}

/// Receives until the end, parked in between; loom reports a deadlock when a wake-up is lost.
fn receive(bus: &Broadcast<u64>, seat: &Seat) -> u64 {
    let bell = StdArc::new(Bell(Notify::new()));
    let waker = Waker::from(StdArc::clone(&bell));
    let mut received = 0;
    loop {
        match bus.poll(seat, |_| true, &mut Context::from_waker(&waker)) {
            Poll::Ready(Some(_)) => received += 1,
            Poll::Ready(None) => return received,
            Poll::Pending => bell.0.wait(),
        }
    }
}

/// Models with a parked thread have many steps: two preemptions are enough to lose every wake-up that can be lost here.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// A publisher that closes after its event: the subscriber gets the event and then the end.
#[test]
fn parking_loses_no_wake_up_of_publish_and_close() {
    check(|| {
        let bus = StdArc::new(Broadcast::new(2, 1));
        let seat = bus.sit(0);
        let publisher = {
            let bus = StdArc::clone(&bus);
            thread::spawn(move || {
                assert!(publish(&bus, 7));
                bus.close();
            })
        };
        let received = receive(&bus, &seat);
        publisher.join().unwrap();
        // A reader that meets an event in the making gives it up after a while.
        let account = bus.account(&seat);
        assert_eq!((received + account.lost, account.waiting), (1, 0));
    });
}

/// Two publishers, one of which may clear the flag while the other one claims: the subscriber sees both events, or has
/// lost them, and is never left asleep.
#[test]
fn parking_loses_no_wake_up_of_two_publishers() {
    check(|| {
        let bus = StdArc::new(Broadcast::new(2, 1));
        let seat = bus.sit(0);
        let publishers = [1, 2].map(|number| {
            let bus = StdArc::clone(&bus);
            thread::spawn(move || publish(&bus, number))
        });
        let bell = StdArc::new(Bell(Notify::new()));
        let waker = Waker::from(StdArc::clone(&bell));
        let accounted = || {
            let account = bus.account(&seat);
            account.delivered + account.lost
        };
        while accounted() < 2 {
            let poll = bus.poll(&seat, |_| true, &mut Context::from_waker(&waker));
            if poll.is_pending() && accounted() < 2 {
                bell.0.wait();
            }
        }
        for publisher in publishers {
            assert!(publisher.join().unwrap());
        }
    });
}
