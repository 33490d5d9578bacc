//! tokio's mpsc: blocks of slots and a semaphore.

use super::channel::{Channel, SendShared};
use crate::ready::Sample;
use crate::shapes::{PublishBlocking, Receive, ReceiveAsync, ReceiveBlocking};
use crate::suite::Suite;
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

pub(super) fn enrol(suite: &mut Suite) {
    suite
        .rival("tokio mpsc")
        .one_to_one::<TokioMpsc>()
        .blocking::<TokioMpsc>()
        .many_to_one::<TokioMpsc>()
        .many_to_one_blocking::<TokioMpsc>()
        .asynchronous::<TokioMpsc>();
}

struct TokioMpsc;

impl Channel for TokioMpsc {
    type Sender = Sender<Sample>;
    type Receiver = Receiver<Sample>;

    fn channel(capacity: usize) -> (Self::Sender, Self::Receiver) {
        channel(capacity)
    }
}

impl SendShared for Sender<Sample> {
    fn try_send(&self, event: Sample) -> Result<(), Sample> {
        self.try_send(event).map_err(TrySendError::into_inner)
    }
}

impl PublishBlocking<Sample> for Sender<Sample> {
    fn publish_blocking(&mut self, event: Sample) {
        self.blocking_send(event).unwrap();
    }
}

impl Receive<Sample> for Receiver<Sample> {
    fn try_receive(&mut self) -> Option<Sample> {
        self.try_recv().ok()
    }
}

impl ReceiveBlocking<Sample> for Receiver<Sample> {
    fn receive_blocking(&mut self) -> Sample {
        self.blocking_recv().unwrap()
    }
}

impl ReceiveAsync<Sample> for Receiver<Sample> {
    async fn receive(&mut self) -> Sample {
        self.recv().await.unwrap()
    }
}
