//! What a workload asks of a peer: a peer implements what it can do, and enrols for the workloads that need no more.

use crate::measure::Spin;
use crate::ready::Ready;
use std::future::Future;

/// Something that carries events from one publisher to its receivers, each of which gets all of them.
pub(crate) trait Peer: 'static {
    type Event: Ready;
    type Publisher: Publish<Self::Event> + 'static;
    type Receiver: Receive<Self::Event> + 'static;

    /// Opens with room for `capacity` events, a power of two. A channel has one receiver.
    fn open(capacity: usize, receivers: usize) -> (Self::Publisher, Vec<Self::Receiver>);
}

/// The one publisher and one receiver of a peer.
pub(crate) fn open_one<P: Peer>(capacity: usize) -> (P::Publisher, P::Receiver) {
    let (publisher, mut receivers) = P::open(capacity, 1);
    (publisher, receivers.remove(0))
}

pub(crate) trait Publish<E: Clone>: Send {
    /// # Errors
    ///
    /// The event, when it was not taken.
    fn try_publish(&mut self, event: E) -> Result<(), E>;

    /// Publishes an event that the caller keeps: a clone, unless the peer sees that nobody needs one.
    fn publish_ref(&mut self, event: &E) {
        let _ = self.try_publish(event.clone());
    }

    /// Tries until it is taken.
    fn publish_spinning(&mut self, event: E) {
        let mut next = Some(event);
        let mut spin = Spin::default();
        while let Some(event) = next.take() {
            if let Err(event) = self.try_publish(event) {
                next = Some(event);
                spin.once();
            }
        }
    }
}

pub(crate) trait PublishBlocking<E: Clone>: Publish<E> {
    /// Sleeps while there is no room.
    fn publish_blocking(&mut self, event: E);
}

pub(crate) trait Receive<E: Ready>: Send {
    fn try_receive(&mut self) -> Option<E>;

    /// Takes up to `max` events that are there; a peer that has a call for many at once uses it.
    fn take_into(&mut self, sink: &mut Vec<E>, max: usize) {
        sink.extend(std::iter::from_fn(|| self.try_receive()).take(max));
    }

    /// Looks at every event that is there, and returns how many; a peer that lends them need not hand them out.
    fn visit(&mut self) -> usize {
        std::iter::from_fn(|| self.try_receive())
            .inspect(Ready::look)
            .count()
    }
}

pub(crate) trait ReceiveBlocking<E: Ready>: Receive<E> {
    /// Sleeps while nothing is there.
    fn receive_blocking(&mut self) -> E;
}

pub(crate) trait ReceiveAsync<E: Ready>: Receive<E> {
    fn receive(&mut self) -> impl Future<Output = E>;
}

/// How the two ends wait for each other.
pub(crate) trait Wait<P: Peer>: 'static {
    fn publish(publisher: &mut P::Publisher, event: P::Event);

    /// Receives until `sink` holds `count` events.
    fn receive(receiver: &mut P::Receiver, sink: &mut Vec<P::Event>, count: usize);
}

/// Both ends try in a loop.
pub(crate) struct Spinning;

impl<P: Peer> Wait<P> for Spinning {
    fn publish(publisher: &mut P::Publisher, event: P::Event) {
        publisher.publish_spinning(event);
    }

    fn receive(receiver: &mut P::Receiver, sink: &mut Vec<P::Event>, count: usize) {
        let mut spin = Spin::default();
        while sink.len() < count {
            let before = sink.len();
            receiver.take_into(sink, count - before);
            if sink.len() == before {
                spin.once();
            } else {
                spin = Spin::default();
            }
        }
    }
}

/// Both ends sleep in the kernel when they have spun as long as they see fit.
pub(crate) struct Blocking;

impl<P: Peer> Wait<P> for Blocking
where
    P::Publisher: PublishBlocking<P::Event>,
    P::Receiver: ReceiveBlocking<P::Event>,
{
    fn publish(publisher: &mut P::Publisher, event: P::Event) {
        publisher.publish_blocking(event);
    }

    fn receive(receiver: &mut P::Receiver, sink: &mut Vec<P::Event>, count: usize) {
        while sink.len() < count {
            sink.push(receiver.receive_blocking());
        }
    }
}
