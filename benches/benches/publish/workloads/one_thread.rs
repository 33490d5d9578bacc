//! W1: what an event costs from publish to receipt, without a second thread.

use super::{BATCH, BATCHES, CAPACITY};
use crate::measure::cpu_ns;
use crate::ready::Pool;
use crate::shapes::{Peer, Publish, Receive, open_one};
use crate::suite::{Case, Spec};

pub(crate) const MOVED: Spec = Spec {
    id: "W1",
    title: "one producer, one subscriber, one thread; owned events, made before and dropped after",
    columns: &["ns/event"],
    events_per_round: Some((1 + BATCHES) * BATCH),
};

pub(crate) const CLONED: Spec = Spec {
    id: "W1-clone",
    title: "as W1, but each event is cloned to be published, and dropped when it was received",
    columns: &["ns/event"],
    events_per_round: Some((1 + BATCHES) * BATCH),
};

/// With `CLONED`, making the event ready and dropping it count too: two locked operations more, which a peer that
/// keeps its own reference (and clones for the reader) pays in W1 already.
pub(crate) struct OneThread<P: Peer, const CLONED: bool> {
    publisher: P::Publisher,
    receiver: P::Receiver,
    pool: Pool<P::Event>,
    events: Vec<P::Event>,
    sink: Vec<P::Event>,
}

impl<P: Peer, const CLONED: bool> OneThread<P, CLONED> {
    pub(crate) fn new() -> Self {
        let (publisher, receiver) = open_one::<P>(CAPACITY);
        Self {
            publisher,
            receiver,
            pool: Pool::new(),
            events: Vec::with_capacity(BATCH),
            sink: Vec::with_capacity(BATCH),
        }
    }

    fn batch(&mut self) -> f64 {
        self.pool.fill(&mut self.events, BATCH);
        let mut received = 0;
        let ns = cpu_ns(|| {
            if CLONED {
                for event in &self.events {
                    assert!(self.publisher.try_publish(event.clone()).is_ok());
                }
            } else {
                for event in self.events.drain(..) {
                    assert!(self.publisher.try_publish(event).is_ok());
                }
            }
            self.receiver.take_into(&mut self.sink, BATCH);
            received = self.sink.len();
            if CLONED {
                self.sink.clear();
            }
        });
        assert_eq!(received, BATCH);
        self.sink.clear();
        ns
    }
}

impl<P: Peer, const CLONED: bool> Case for OneThread<P, CLONED> {
    fn round(&mut self) -> Vec<f64> {
        self.batch();
        let ns: f64 = (0..BATCHES).map(|_| self.batch()).sum();
        vec![ns / (BATCHES * BATCH) as f64]
    }
}
