//! kanal: a spin lock and a `VecDeque`, with a call that empties it at once.

use super::channel::{Channel, SendShared};
use crate::ready::Sample;
use crate::shapes::{Peer, PublishBlocking, Receive, ReceiveAsync, ReceiveBlocking};
use crate::suite::Suite;
use kanal::{Receiver, Sender, bounded};

pub(super) fn enrol(suite: &mut Suite) {
    suite
        .rival("kanal")
        .one_to_one::<Kanal>()
        .blocking::<Kanal>()
        .many_to_one::<Kanal>()
        .many_to_one_blocking::<Kanal>()
        .asynchronous::<Kanal>();
    suite
        .rival("kanal, drain_into")
        .one_to_one::<Draining>()
        .many_to_one::<Draining>();
}

pub(crate) struct Kanal;

impl Channel for Kanal {
    type Sender = Sender<Sample>;
    type Receiver = Receiver<Sample>;

    fn channel(capacity: usize) -> (Self::Sender, Self::Receiver) {
        bounded(capacity)
    }
}

impl SendShared for Sender<Sample> {
    fn try_send(&self, event: Sample) -> Result<(), Sample> {
        let mut event = Some(event);
        match self.try_send_option(&mut event) {
            Ok(true) => Ok(()),
            _ => Err(event.unwrap()),
        }
    }
}

impl PublishBlocking<Sample> for Sender<Sample> {
    fn publish_blocking(&mut self, event: Sample) {
        self.send(event).unwrap();
    }
}

impl Receive<Sample> for Receiver<Sample> {
    fn try_receive(&mut self) -> Option<Sample> {
        self.try_recv().unwrap()
    }
}

impl ReceiveBlocking<Sample> for Receiver<Sample> {
    fn receive_blocking(&mut self) -> Sample {
        self.recv().unwrap()
    }
}

impl ReceiveAsync<Sample> for Receiver<Sample> {
    async fn receive(&mut self) -> Sample {
        self.as_async().recv().await.unwrap()
    }
}

/// The same channel, emptied by one call.
struct Draining;

struct DrainingReceiver(Receiver<Sample>);

impl Peer for Draining {
    type Event = Sample;
    type Publisher = Sender<Sample>;
    type Receiver = DrainingReceiver;

    fn open(capacity: usize, _: usize) -> (Sender<Sample>, Vec<DrainingReceiver>) {
        let (sender, receiver) = bounded(capacity);
        (sender, vec![DrainingReceiver(receiver)])
    }
}

impl Receive<Sample> for DrainingReceiver {
    fn try_receive(&mut self) -> Option<Sample> {
        self.0.try_receive()
    }

    /// What is queued is never more than a round still waits for, so `max` need not be kept.
    fn take_into(&mut self, sink: &mut Vec<Sample>, _max: usize) {
        self.0.drain_into(sink).unwrap();
    }
}
