//! Relay's bus. The only file that knows its interface.

use crate::ready::Ready;
use crate::shapes::{Peer, Publish, PublishBlocking, Receive, ReceiveAsync, ReceiveBlocking};
use crate::suite::Suite;
use relay_event::{Bus, Delivery, Event, Overflow, SubscribeOptions, Subscription, block_on};

pub(super) fn enrol(suite: &mut Suite) {
    suite.relay("relay, drop newest").full::<Sheddable>();
    suite.relay("relay, reliable: refused").full::<Reliable>();
    suite.relay("relay, all read").one_of_hundred::<Sheddable>();
    suite
        .relay("relay, one is stuck")
        .one_of_hundred::<OneStuck>();
    handles::enrol(suite);
}

fn open(capacity: usize, receivers: usize, delivery: &Delivery) -> (Bus, Vec<Subscription>) {
    let bus = Bus::new("bench");
    let subscribe = |_| {
        let options = SubscribeOptions::new("bench")
            .limit_events(capacity)
            .delivery(delivery.clone());
        bus.subscribe(options).unwrap()
    };
    let subscriptions = (0..receivers).map(subscribe).collect();
    (bus, subscriptions)
}

/// Subscriptions as they are by default: they get every event, and a publisher without room is refused.
struct Reliable;

impl Peer for Reliable {
    type Event = Event;
    type Publisher = Bus;
    type Receiver = Subscription;

    fn open(capacity: usize, receivers: usize) -> (Bus, Vec<Subscription>) {
        open(capacity, receivers, &Delivery::Reliable)
    }
}

/// Subscriptions that lose what comes while they are full.
struct Sheddable;

impl Peer for Sheddable {
    type Event = Event;
    type Publisher = Bus;
    type Receiver = Subscription;

    fn open(capacity: usize, receivers: usize) -> (Bus, Vec<Subscription>) {
        let drop_newest = Delivery::sheddable(Overflow::DropNewest);
        open(capacity, receivers, &drop_newest)
    }
}

/// As [`Sheddable`], but one of the receivers is never read.
struct OneStuck;

struct BesideStuck {
    bus: Bus,
    _stuck: Subscription,
}

impl Peer for OneStuck {
    type Event = Event;
    type Publisher = BesideStuck;
    type Receiver = Subscription;

    fn open(capacity: usize, receivers: usize) -> (BesideStuck, Vec<Subscription>) {
        let (bus, mut subscriptions) = Sheddable::open(capacity, receivers);
        let stuck = subscriptions.remove(receivers / 2);
        (BesideStuck { bus, _stuck: stuck }, subscriptions)
    }
}

impl Publish<Event> for BesideStuck {
    fn try_publish(&mut self, event: Event) -> Result<(), Event> {
        Publish::try_publish(&mut self.bus, event)
    }
}

impl Publish<Event> for Bus {
    fn try_publish(&mut self, event: Event) -> Result<(), Event> {
        match Bus::try_publish(self, event) {
            Ok(_) => Ok(()),
            Err(refused) => Err(refused.into_event()),
        }
    }
}

impl PublishBlocking<Event> for Bus {
    fn publish_blocking(&mut self, event: Event) {
        if let Err(event) = Publish::try_publish(self, event) {
            block_on(self.publish(event)).unwrap();
        }
    }
}

impl Receive<Event> for Subscription {
    fn try_receive(&mut self) -> Option<Event> {
        self.try_recv()
    }

    fn visit(&mut self) -> usize {
        let mut seen = 0;
        loop {
            let read = self.read(usize::MAX);
            read.iter().for_each(Ready::look);
            match read.len() {
                0 => return seen,
                more => seen += more,
            }
        }
    }
}

impl ReceiveBlocking<Event> for Subscription {
    fn receive_blocking(&mut self) -> Event {
        self.recv_blocking().unwrap()
    }
}

impl ReceiveAsync<Event> for Subscription {
    async fn receive(&mut self) -> Event {
        self.recv().await.unwrap()
    }
}

/// The publishing handles, and receiving many at once.
mod handles {
    use super::{
        Delivery, Event, Peer, Publish, PublishBlocking, Receive, Sheddable, Subscription, Suite,
        block_on, open,
    };
    use relay_event::{ExclusivePublisher, Publisher};

    pub(super) fn enrol(suite: &mut Suite) {
        suite
            .relay("relay, multi producer")
            .unheard::<Multi>()
            .one_to_one::<Multi>()
            .blocking::<Multi>()
            .many_to_one::<Multi>()
            .many_to_one_blocking::<Multi>()
            .asynchronous::<Multi>()
            .fan_out::<Multi>();
        suite
            .relay("relay, single producer")
            .unheard::<Single>()
            .one_to_one::<Single>()
            .asynchronous::<Single>()
            .fan_out::<Single>();
        suite
            .relay("relay, single producer, recv_many")
            .one_thread::<Batched>();
        suite
            .relay("relay, single producer, drop newest")
            .full::<SingleSheddable>();
    }

    struct Multi;

    impl Peer for Multi {
        type Event = Event;
        type Publisher = Publisher;
        type Receiver = Subscription;

        fn open(capacity: usize, receivers: usize) -> (Publisher, Vec<Subscription>) {
            let (bus, subscriptions) = open(capacity, receivers, &Delivery::Reliable);
            (bus.publisher(), subscriptions)
        }
    }

    struct Single;

    impl Peer for Single {
        type Event = Event;
        type Publisher = ExclusivePublisher;
        type Receiver = Subscription;

        fn open(capacity: usize, receivers: usize) -> (ExclusivePublisher, Vec<Subscription>) {
            let (bus, subscriptions) = open(capacity, receivers, &Delivery::Reliable);
            (bus.exclusive().unwrap(), subscriptions)
        }
    }

    struct SingleSheddable;

    impl Peer for SingleSheddable {
        type Event = Event;
        type Publisher = ExclusivePublisher;
        type Receiver = Subscription;

        fn open(capacity: usize, receivers: usize) -> (ExclusivePublisher, Vec<Subscription>) {
            let (bus, subscriptions) = Sheddable::open(capacity, receivers);
            (bus.exclusive().unwrap(), subscriptions)
        }
    }

    /// Owned events, many in one call.
    struct Batched;

    struct BatchedReceiver(Subscription);

    impl Peer for Batched {
        type Event = Event;
        type Publisher = ExclusivePublisher;
        type Receiver = BatchedReceiver;

        fn open(capacity: usize, receivers: usize) -> (ExclusivePublisher, Vec<BatchedReceiver>) {
            let (publisher, subscriptions) = Single::open(capacity, receivers);
            let receivers = subscriptions.into_iter().map(BatchedReceiver).collect();
            (publisher, receivers)
        }
    }

    impl Receive<Event> for BatchedReceiver {
        fn try_receive(&mut self) -> Option<Event> {
            self.0.try_recv()
        }

        /// On one thread, where something is there whenever it is asked for: it would wait otherwise.
        fn take_into(&mut self, sink: &mut Vec<Event>, max: usize) {
            while sink.len() < max {
                block_on(self.0.recv_many(sink, max - sink.len()));
            }
        }
    }

    impl Publish<Event> for Publisher {
        fn try_publish(&mut self, event: Event) -> Result<(), Event> {
            match Publisher::try_publish(self, event) {
                Ok(_) => Ok(()),
                Err(refused) => Err(refused.into_event()),
            }
        }

        fn publish_ref(&mut self, event: &Event) {
            let _ = self.try_publish_ref(event);
        }
    }

    impl PublishBlocking<Event> for Publisher {
        fn publish_blocking(&mut self, event: Event) {
            if let Err(event) = Publish::try_publish(self, event) {
                block_on(self.publish(event)).unwrap();
            }
        }
    }

    impl Publish<Event> for ExclusivePublisher {
        fn try_publish(&mut self, event: Event) -> Result<(), Event> {
            match ExclusivePublisher::try_publish(self, event) {
                Ok(_) => Ok(()),
                Err(refused) => Err(refused.into_event()),
            }
        }

        fn publish_ref(&mut self, event: &Event) {
            let _ = self.try_publish_ref(event);
        }
    }
}
