//! flume: a mutex and a `VecDeque`.

use super::channel::{Channel, SendShared};
use crate::ready::Sample;
use crate::shapes::{PublishBlocking, Receive, ReceiveAsync, ReceiveBlocking};
use crate::suite::Suite;

pub(super) fn enrol(suite: &mut Suite) {
    suite
        .rival("flume")
        .one_to_one::<Flume>()
        .blocking::<Flume>()
        .many_to_one::<Flume>()
        .many_to_one_blocking::<Flume>()
        .asynchronous::<Flume>();
}

pub(crate) struct Flume;

impl Channel for Flume {
    type Sender = flume::Sender<Sample>;
    type Receiver = flume::Receiver<Sample>;

    fn channel(capacity: usize) -> (Self::Sender, Self::Receiver) {
        flume::bounded(capacity)
    }
}

impl SendShared for flume::Sender<Sample> {
    fn try_send(&self, event: Sample) -> Result<(), Sample> {
        self.try_send(event)
            .map_err(flume::TrySendError::into_inner)
    }
}

impl PublishBlocking<Sample> for flume::Sender<Sample> {
    fn publish_blocking(&mut self, event: Sample) {
        self.send(event).unwrap();
    }
}

impl Receive<Sample> for flume::Receiver<Sample> {
    fn try_receive(&mut self) -> Option<Sample> {
        self.try_recv().ok()
    }
}

impl ReceiveBlocking<Sample> for flume::Receiver<Sample> {
    fn receive_blocking(&mut self) -> Sample {
        self.recv().unwrap()
    }
}

impl ReceiveAsync<Sample> for flume::Receiver<Sample> {
    async fn receive(&mut self) -> Sample {
        self.recv_async().await.unwrap()
    }
}
