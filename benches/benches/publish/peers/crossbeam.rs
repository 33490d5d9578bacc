//! crossbeam-channel: a ring of stamped slots.

use super::channel::{Channel, SendShared};
use crate::ready::Sample;
use crate::shapes::{PublishBlocking, Receive, ReceiveBlocking};
use crate::suite::Suite;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

pub(super) fn enrol(suite: &mut Suite) {
    suite
        .rival("crossbeam-channel")
        .one_to_one::<Crossbeam>()
        .blocking::<Crossbeam>()
        .many_to_one::<Crossbeam>()
        .many_to_one_blocking::<Crossbeam>();
}

pub(crate) struct Crossbeam;

impl Channel for Crossbeam {
    type Sender = Sender<Sample>;
    type Receiver = Receiver<Sample>;

    fn channel(capacity: usize) -> (Self::Sender, Self::Receiver) {
        bounded(capacity)
    }
}

impl SendShared for Sender<Sample> {
    fn try_send(&self, event: Sample) -> Result<(), Sample> {
        self.try_send(event).map_err(TrySendError::into_inner)
    }
}

impl PublishBlocking<Sample> for Sender<Sample> {
    fn publish_blocking(&mut self, event: Sample) {
        self.send(event).unwrap();
    }
}

impl Receive<Sample> for Receiver<Sample> {
    fn try_receive(&mut self) -> Option<Sample> {
        self.try_recv().ok()
    }
}

impl ReceiveBlocking<Sample> for Receiver<Sample> {
    fn receive_blocking(&mut self) -> Sample {
        self.recv().unwrap()
    }
}
