//! W7: as W1, received in a task. No executor: each future is polled once, with a waker that does nothing, so only
//! what the peer itself does is counted.

use super::{BATCH, BATCHES, CAPACITY};
use crate::measure::cpu_ns;
use crate::ready::Pool;
use crate::shapes::{Peer, Publish, ReceiveAsync, open_one};
use crate::suite::{Case, Spec};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

pub(crate) const READY: Spec = Spec {
    id: "W7",
    title: "one producer, one subscriber, one thread; async receive of what is there",
    columns: &["ns/event"],
    events_per_round: Some((1 + BATCHES) * BATCH),
};

pub(crate) const WAITING: Spec = Spec {
    id: "W7b",
    title: "as W7, but each receive waits before its event is published, and is woken",
    columns: &["ns/event"],
    events_per_round: Some((1 + BATCHES) * BATCH),
};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What both variants need.
struct Ends<P: Peer> {
    publisher: P::Publisher,
    receiver: P::Receiver,
    pool: Pool<P::Event>,
    events: Vec<P::Event>,
    sink: Vec<P::Event>,
}

impl<P: Peer> Ends<P> {
    fn new() -> Self {
        let (publisher, receiver) = open_one::<P>(CAPACITY);
        Self {
            publisher,
            receiver,
            pool: Pool::new(),
            events: Vec::with_capacity(BATCH),
            sink: Vec::with_capacity(BATCH),
        }
    }

    /// Nanoseconds an event over the batches of a round, one of them untimed.
    fn round(&mut self, exchange: fn(&mut Self)) -> Vec<f64> {
        let mut batch = || {
            self.pool.fill(&mut self.events, BATCH);
            let ns = cpu_ns(|| exchange(self));
            assert_eq!(self.sink.len(), BATCH);
            self.sink.clear();
            ns
        };
        batch();
        let ns: f64 = (0..BATCHES).map(|_| batch()).sum();
        vec![ns / (BATCHES * BATCH) as f64]
    }
}

pub(crate) struct Ready<P: Peer>(Ends<P>);

impl<P: Peer> Ready<P> {
    pub(crate) fn new() -> Self {
        Self(Ends::new())
    }
}

impl<P: Peer<Receiver: ReceiveAsync<P::Event>>> Case for Ready<P> {
    fn round(&mut self) -> Vec<f64> {
        self.0.round(|ends| {
            for event in ends.events.drain(..) {
                assert!(ends.publisher.try_publish(event).is_ok());
            }
            for _ in 0..BATCH {
                if let Poll::Ready(event) = poll(pin!(ends.receiver.receive())) {
                    ends.sink.push(event);
                }
            }
        })
    }
}

pub(crate) struct Waiting<P: Peer>(Ends<P>);

impl<P: Peer> Waiting<P> {
    pub(crate) fn new() -> Self {
        Self(Ends::new())
    }
}

impl<P: Peer<Receiver: ReceiveAsync<P::Event>>> Case for Waiting<P> {
    fn round(&mut self) -> Vec<f64> {
        self.0.round(|ends| {
            for event in ends.events.drain(..) {
                let mut receive = pin!(ends.receiver.receive());
                assert!(poll(receive.as_mut()).is_pending());
                assert!(ends.publisher.try_publish(event).is_ok());
                if let Poll::Ready(event) = poll(receive) {
                    ends.sink.push(event);
                }
            }
        })
    }
}
