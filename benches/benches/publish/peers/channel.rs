//! What the point-to-point channels have in common: a sender that several threads may use at once.

use crate::ready::Sample;
use crate::shapes::{Peer, Publish, Receive};

/// A bounded channel.
pub(crate) trait Channel: 'static {
    type Sender: SendShared + 'static;
    type Receiver: Receive<Sample> + 'static;

    fn channel(capacity: usize) -> (Self::Sender, Self::Receiver);
}

/// Sending through a shared reference, without waiting.
pub(crate) trait SendShared: Send + Sync {
    /// # Errors
    ///
    /// The event, when there is no room.
    fn try_send(&self, event: Sample) -> Result<(), Sample>;
}

impl<S: SendShared> Publish<Sample> for S {
    fn try_publish(&mut self, event: Sample) -> Result<(), Sample> {
        self.try_send(event)
    }
}

impl<C: Channel> Peer for C {
    type Event = Sample;
    type Publisher = C::Sender;
    type Receiver = C::Receiver;

    fn open(capacity: usize, receivers: usize) -> (C::Sender, Vec<C::Receiver>) {
        assert_eq!(receivers, 1, "a channel hands each event to one receiver");
        let (sender, receiver) = C::channel(capacity);
        (sender, vec![receiver])
    }
}
