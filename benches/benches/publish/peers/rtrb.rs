//! rtrb: a ring for one producer and one consumer, nothing else.

use crate::ready::Sample;
use crate::shapes::{Peer, Publish, Receive};
use crate::suite::Suite;
use rtrb::{Consumer, Producer, PushError, RingBuffer};

pub(super) fn enrol(suite: &mut Suite) {
    suite.polling_rival("rtrb").one_to_one::<Rtrb>();
}

struct Rtrb;

impl Peer for Rtrb {
    type Event = Sample;
    type Publisher = Producer<Sample>;
    type Receiver = Consumer<Sample>;

    fn open(capacity: usize, _: usize) -> (Self::Publisher, Vec<Self::Receiver>) {
        let (producer, consumer) = RingBuffer::new(capacity);
        (producer, vec![consumer])
    }
}

impl Publish<Sample> for Producer<Sample> {
    fn try_publish(&mut self, event: Sample) -> Result<(), Sample> {
        self.push(event).map_err(|PushError::Full(event)| event)
    }
}

impl Receive<Sample> for Consumer<Sample> {
    fn try_receive(&mut self) -> Option<Sample> {
        self.pop().ok()
    }
}
