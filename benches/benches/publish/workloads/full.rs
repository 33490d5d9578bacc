//! W6: what publishing costs when nobody has room: the price of a drop, paid when the machine is at its worst.

use super::{BATCHES, CAPACITY};
use crate::measure::cpu_ns;
use crate::ready::Pool;
use crate::shapes::{Peer, Publish, Receive};
use crate::suite::{Case, Spec};
use std::hint::black_box;

pub(crate) const ONE: Spec = Spec {
    id: "W6-1",
    title: "publish to 1 full subscriber; the event is moved in, so its drop counts",
    columns: &["ns/event"],
    events_per_round: Some((1 + BATCHES) * BATCH),
};

pub(crate) const EIGHT: Spec = Spec {
    id: "W6-8",
    title: "publish to 8 full subscribers; the event is moved in, so its drop counts",
    columns: &["ns/event"],
    events_per_round: Some((1 + BATCHES) * BATCH),
};

const BATCH: usize = 4096;

pub(crate) struct Full<P: Peer> {
    publisher: P::Publisher,
    /// Kept, or the publisher would find nobody there.
    receivers: Vec<P::Receiver>,
    pool: Pool<P::Event>,
    events: Vec<P::Event>,
}

impl<P: Peer> Full<P> {
    pub(crate) fn new(subscribers: usize) -> Self {
        // A peer that takes more than its capacity, or overwrites, has no place here.
        for mut receiver in Self::open(subscribers).receivers {
            assert_eq!(receiver.visit(), CAPACITY);
        }
        Self::open(subscribers)
    }

    fn open(subscribers: usize) -> Self {
        let (mut publisher, receivers) = P::open(CAPACITY, subscribers);
        let (pool, mut events) = (Pool::new(), Vec::new());
        pool.fill(&mut events, 2 * CAPACITY);
        for event in events.drain(..) {
            let _ = publisher.try_publish(event);
        }
        Self {
            publisher,
            receivers,
            pool,
            events,
        }
    }

    fn batch(&mut self) -> f64 {
        self.pool.fill(&mut self.events, BATCH);
        cpu_ns(|| {
            for event in self.events.drain(..) {
                let _ = black_box(self.publisher.try_publish(event));
            }
        })
    }
}

impl<P: Peer> Case for Full<P> {
    fn round(&mut self) -> Vec<f64> {
        self.batch();
        let ns: f64 = (0..BATCHES).map(|_| self.batch()).sum();
        vec![ns / (BATCHES * BATCH) as f64]
    }
}
