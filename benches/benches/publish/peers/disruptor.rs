//! disruptor: a ring in whose slots the events stay until they are overwritten; readers poll and borrow.

use crate::ready::{Ready, Sample};
use crate::shapes::{Peer, Publish, Receive};
use crate::suite::Suite;
use disruptor::{
    BusySpin, EventPoller, MultiConsumerBarrier, MultiProducer, MultiProducerBarrier, Producer,
    SingleConsumerBarrier, SingleProducer, SingleProducerBarrier, build_multi_producer,
    build_single_producer,
};

pub(super) fn enrol(suite: &mut Suite) {
    suite
        .polling_rival("disruptor, single producer, single consumer")
        .one_to_one::<OneToOne>();
    suite
        .polling_rival("disruptor, single producer")
        .one_to_one::<OneToMany>()
        .fan_out::<OneToMany>()
        .full::<OneToMany>();
    suite
        .polling_rival("disruptor, multi producer")
        .one_to_one::<ManyToMany>()
        .many_to_one::<ManyToMany>()
        .fan_out::<ManyToMany>()
        .full::<ManyToMany>();
}

type Slot = Option<Sample>;

#[derive(Clone)]
struct Publisher<P>(P);

impl<P: Producer<Slot> + Send> Publish<Sample> for Publisher<P> {
    fn try_publish(&mut self, event: Sample) -> Result<(), Sample> {
        let mut event = Some(event);
        // The slot's former event is dropped here: it is what receiving left behind.
        match self.0.try_publish(|slot| *slot = event.take()) {
            Ok(_) => Ok(()),
            Err(_) => Err(event.unwrap()),
        }
    }
}

struct OneToOne;

impl Peer for OneToOne {
    type Event = Sample;
    type Publisher = Publisher<SingleProducer<Slot, SingleConsumerBarrier>>;
    type Receiver = EventPoller<Slot, SingleProducerBarrier>;

    fn open(capacity: usize, _: usize) -> (Self::Publisher, Vec<Self::Receiver>) {
        let builder = build_single_producer(capacity, || None, BusySpin);
        let (poller, builder) = builder.new_event_poller();
        (Publisher(builder.build()), vec![poller])
    }
}

struct OneToMany;

impl Peer for OneToMany {
    type Event = Sample;
    type Publisher = Publisher<SingleProducer<Slot, MultiConsumerBarrier>>;
    type Receiver = EventPoller<Slot, SingleProducerBarrier>;

    fn open(capacity: usize, receivers: usize) -> (Self::Publisher, Vec<Self::Receiver>) {
        let mut builder = build_single_producer(capacity, || None, BusySpin).with_multi_consumer();
        let mut pollers = Vec::with_capacity(receivers);
        for _ in 0..receivers {
            let (poller, next) = builder.new_event_poller();
            pollers.push(poller);
            builder = next;
        }
        (Publisher(builder.build()), pollers)
    }
}

struct ManyToMany;

impl Peer for ManyToMany {
    type Event = Sample;
    type Publisher = Publisher<MultiProducer<Slot, MultiConsumerBarrier>>;
    type Receiver = EventPoller<Slot, MultiProducerBarrier>;

    fn open(capacity: usize, receivers: usize) -> (Self::Publisher, Vec<Self::Receiver>) {
        let mut builder = build_multi_producer(capacity, || None, BusySpin).with_multi_consumer();
        let mut pollers = Vec::with_capacity(receivers);
        for _ in 0..receivers {
            let (poller, next) = builder.new_event_poller();
            pollers.push(poller);
            builder = next;
        }
        (Publisher(builder.build()), pollers)
    }
}

macro_rules! receive {
    ($barrier:ty) => {
        impl Receive<Sample> for EventPoller<Slot, $barrier> {
            fn try_receive(&mut self) -> Option<Sample> {
                let mut events = self.take(1).ok()?;
                (&mut events).next().and_then(Clone::clone)
            }

            /// An owned event is a clone: the slot keeps its own.
            fn take_into(&mut self, sink: &mut Vec<Sample>, max: usize) {
                if let Ok(mut events) = self.take(max as u64) {
                    sink.extend((&mut events).filter_map(Clone::clone));
                }
            }

            fn visit(&mut self) -> usize {
                let Ok(mut events) = self.poll() else {
                    return 0;
                };
                let seen = (&mut events).flatten();
                seen.inspect(|event| event.look()).count()
            }
        }
    };
}

receive!(SingleProducerBarrier);
receive!(MultiProducerBarrier);
