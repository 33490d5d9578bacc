//! async-broadcast: one queue for all under a mutex, which refuses when it is full.

use crate::ready::Sample;
use crate::shapes::{Peer, Publish, PublishBlocking, Receive, ReceiveAsync, ReceiveBlocking};
use crate::suite::Suite;
use async_broadcast::{InactiveReceiver, Receiver, Sender, broadcast};

pub(super) fn enrol(suite: &mut Suite) {
    suite
        .rival("async-broadcast")
        .unheard::<AsyncBroadcast>()
        .one_to_one::<AsyncBroadcast>()
        .blocking::<AsyncBroadcast>()
        .many_to_one::<AsyncBroadcast>()
        .many_to_one_blocking::<AsyncBroadcast>()
        .fan_out::<AsyncBroadcast>()
        .full::<AsyncBroadcast>()
        .asynchronous::<AsyncBroadcast>();
}

struct AsyncBroadcast;

#[derive(Clone)]
struct Publisher {
    sender: Sender<Sample>,
    /// Without any receiver it would be closed.
    _inactive: InactiveReceiver<Sample>,
}

impl Peer for AsyncBroadcast {
    type Event = Sample;
    type Publisher = Publisher;
    type Receiver = Receiver<Sample>;

    fn open(capacity: usize, receivers: usize) -> (Publisher, Vec<Receiver<Sample>>) {
        let (mut sender, first) = broadcast(capacity);
        sender.set_await_active(false);
        let receivers = (0..receivers).map(|_| sender.new_receiver()).collect();
        let publisher = Publisher {
            sender,
            _inactive: first.deactivate(),
        };
        (publisher, receivers)
    }
}

impl Publish<Sample> for Publisher {
    fn try_publish(&mut self, event: Sample) -> Result<(), Sample> {
        match self.sender.try_broadcast(event) {
            Ok(_) => Ok(()),
            Err(refused) => Err(refused.into_inner()),
        }
    }
}

impl PublishBlocking<Sample> for Publisher {
    fn publish_blocking(&mut self, event: Sample) {
        self.sender.broadcast_blocking(event).unwrap();
    }
}

impl Receive<Sample> for Receiver<Sample> {
    fn try_receive(&mut self) -> Option<Sample> {
        self.try_recv().ok()
    }
}

impl ReceiveBlocking<Sample> for Receiver<Sample> {
    fn receive_blocking(&mut self) -> Sample {
        self.recv_blocking().unwrap()
    }
}

impl ReceiveAsync<Sample> for Receiver<Sample> {
    async fn receive(&mut self) -> Sample {
        self.recv_direct().await.unwrap()
    }
}
