//! Not a peer: a publisher that drops what it is given.

use crate::ready::Sample;
use crate::shapes::{Peer, Publish, Receive};
use crate::suite::Suite;

pub(super) fn enrol(suite: &mut Suite) {
    suite.floor("drop the event").unheard::<Floor>();
}

struct Floor;

impl Publish<Sample> for Floor {
    fn try_publish(&mut self, event: Sample) -> Result<(), Sample> {
        drop(event);
        Ok(())
    }
}

impl Receive<Sample> for Floor {
    fn try_receive(&mut self) -> Option<Sample> {
        None
    }
}

impl Peer for Floor {
    type Event = Sample;
    type Publisher = Self;
    type Receiver = Self;

    fn open(_: usize, _: usize) -> (Self, Vec<Self>) {
        (Self, Vec::new())
    }
}
