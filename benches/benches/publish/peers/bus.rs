//! bus: a ring for one producer, freed by the slowest of its readers.

use crate::ready::Sample;
use crate::shapes::{Peer, Publish, PublishBlocking, Receive, ReceiveBlocking};
use crate::suite::Suite;
use bus::{Bus, BusReader};

pub(super) fn enrol(suite: &mut Suite) {
    suite
        .rival("bus")
        .unheard::<BusPeer>()
        .one_to_one::<BusPeer>()
        .blocking::<BusPeer>()
        .fan_out::<BusPeer>()
        .full::<BusPeer>();
}

struct BusPeer;

impl Peer for BusPeer {
    type Event = Sample;
    type Publisher = Bus<Sample>;
    type Receiver = BusReader<Sample>;

    fn open(capacity: usize, receivers: usize) -> (Self::Publisher, Vec<Self::Receiver>) {
        let mut bus = Bus::new(capacity);
        let receivers = (0..receivers).map(|_| bus.add_rx()).collect();
        (bus, receivers)
    }
}

impl Publish<Sample> for Bus<Sample> {
    fn try_publish(&mut self, event: Sample) -> Result<(), Sample> {
        self.try_broadcast(event)
    }
}

impl PublishBlocking<Sample> for Bus<Sample> {
    fn publish_blocking(&mut self, event: Sample) {
        self.broadcast(event);
    }
}

impl Receive<Sample> for BusReader<Sample> {
    fn try_receive(&mut self) -> Option<Sample> {
        self.try_recv().ok()
    }
}

impl ReceiveBlocking<Sample> for BusReader<Sample> {
    fn receive_blocking(&mut self) -> Sample {
        self.recv().unwrap()
    }
}
