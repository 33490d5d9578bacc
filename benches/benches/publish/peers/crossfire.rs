//! crossfire: crossbeam's ring with lighter wake-ups; one for a single producer, one for several.

use super::channel::{Channel, SendShared};
use crate::ready::Sample;
use crate::shapes::{Peer, Publish, PublishBlocking, Receive, ReceiveAsync, ReceiveBlocking};
use crate::suite::Suite;
use crossfire::{AsyncRx, MTx, Rx, TrySendError, Tx, detect_backoff_cfg, mpsc, spsc};

pub(super) fn enrol(suite: &mut Suite) {
    // Its documentation asks for this call at start.
    detect_backoff_cfg();
    suite
        .rival("crossfire mpsc")
        .one_to_one::<Crossfire>()
        .blocking::<Crossfire>()
        .many_to_one::<Crossfire>()
        .many_to_one_blocking::<Crossfire>()
        .asynchronous::<CrossfireAsync>();
    suite
        .rival("crossfire spsc")
        .one_to_one::<Single>()
        .blocking::<Single>()
        .asynchronous::<SingleAsync>();
}

type ManyToOne = mpsc::Array<Sample>;
type OneToOne = spsc::Array<Sample>;

fn refused(error: TrySendError<Sample>) -> Sample {
    match error {
        TrySendError::Full(event) | TrySendError::Disconnected(event) => event,
    }
}

pub(crate) struct Crossfire;

impl Channel for Crossfire {
    type Sender = MTx<ManyToOne>;
    type Receiver = Rx<ManyToOne>;

    fn channel(capacity: usize) -> (Self::Sender, Self::Receiver) {
        mpsc::bounded_blocking(capacity)
    }
}

struct CrossfireAsync;

impl Channel for CrossfireAsync {
    type Sender = MTx<ManyToOne>;
    type Receiver = AsyncRx<ManyToOne>;

    fn channel(capacity: usize) -> (Self::Sender, Self::Receiver) {
        mpsc::bounded_blocking_async(capacity)
    }
}

/// Its sender may not be shared.
struct Single;

impl Peer for Single {
    type Event = Sample;
    type Publisher = Tx<OneToOne>;
    type Receiver = Rx<OneToOne>;

    fn open(capacity: usize, _: usize) -> (Self::Publisher, Vec<Self::Receiver>) {
        let (sender, receiver) = spsc::bounded_blocking(capacity);
        (sender, vec![receiver])
    }
}

struct SingleAsync;

impl Peer for SingleAsync {
    type Event = Sample;
    type Publisher = Tx<OneToOne>;
    type Receiver = AsyncRx<OneToOne>;

    fn open(capacity: usize, _: usize) -> (Self::Publisher, Vec<Self::Receiver>) {
        let (sender, receiver) = spsc::bounded_blocking_async(capacity);
        (sender, vec![receiver])
    }
}

impl SendShared for MTx<ManyToOne> {
    fn try_send(&self, event: Sample) -> Result<(), Sample> {
        Tx::try_send(self, event).map_err(refused)
    }
}

impl PublishBlocking<Sample> for MTx<ManyToOne> {
    fn publish_blocking(&mut self, event: Sample) {
        self.send(event).unwrap();
    }
}

impl Publish<Sample> for Tx<OneToOne> {
    fn try_publish(&mut self, event: Sample) -> Result<(), Sample> {
        self.try_send(event).map_err(refused)
    }
}

impl PublishBlocking<Sample> for Tx<OneToOne> {
    fn publish_blocking(&mut self, event: Sample) {
        self.send(event).unwrap();
    }
}

macro_rules! receive {
    ($flavor:ty) => {
        impl Receive<Sample> for Rx<$flavor> {
            fn try_receive(&mut self) -> Option<Sample> {
                self.try_recv().ok()
            }
        }

        impl ReceiveBlocking<Sample> for Rx<$flavor> {
            fn receive_blocking(&mut self) -> Sample {
                self.recv().unwrap()
            }
        }

        impl Receive<Sample> for AsyncRx<$flavor> {
            fn try_receive(&mut self) -> Option<Sample> {
                self.try_recv().ok()
            }
        }

        impl ReceiveAsync<Sample> for AsyncRx<$flavor> {
            async fn receive(&mut self) -> Sample {
                self.recv().await.unwrap()
            }
        }
    };
}

receive!(ManyToOne);
receive!(OneToOne);
