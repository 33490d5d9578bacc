//! tokio's broadcast: one ring for all, which overwrites what a receiver was too slow for.

use crate::ready::Sample;
use crate::shapes::{Peer, Publish, Receive, ReceiveAsync};
use crate::suite::Suite;
use tokio::sync::broadcast::{Receiver, Sender, channel};

pub(super) fn enrol(suite: &mut Suite) {
    suite
        .rival("tokio broadcast")
        .unheard::<TokioBroadcast>()
        .one_thread::<TokioBroadcast>()
        .fan_out::<TokioBroadcast>()
        .asynchronous::<TokioBroadcast>();
}

struct TokioBroadcast;

#[derive(Clone)]
struct Publisher {
    sender: Sender<Sample>,
    capacity: usize,
}

impl Peer for TokioBroadcast {
    type Event = Sample;
    type Publisher = Publisher;
    type Receiver = Receiver<Sample>;

    fn open(capacity: usize, receivers: usize) -> (Publisher, Vec<Receiver<Sample>>) {
        let (sender, _) = channel(capacity);
        let receivers = (0..receivers).map(|_| sender.subscribe()).collect();
        (Publisher { sender, capacity }, receivers)
    }
}

impl Publish<Sample> for Publisher {
    fn try_publish(&mut self, event: Sample) -> Result<(), Sample> {
        match self.sender.send(event) {
            Ok(_) => Ok(()),
            Err(unheard) => Err(unheard.0),
        }
    }

    /// It would overwrite: a publisher that must not lose anything looks first. That is right for one publisher.
    fn publish_spinning(&mut self, event: Sample) {
        let mut spin = crate::measure::Spin::default();
        while self.sender.len() >= self.capacity {
            spin.once();
        }
        self.sender.send(event).unwrap();
    }
}

impl Receive<Sample> for Receiver<Sample> {
    fn try_receive(&mut self) -> Option<Sample> {
        self.try_recv().ok()
    }
}

impl ReceiveAsync<Sample> for Receiver<Sample> {
    async fn receive(&mut self) -> Sample {
        self.recv().await.unwrap()
    }
}
