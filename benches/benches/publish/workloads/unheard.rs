//! W0: what publishing costs while nobody listens.

use super::BATCHES;
use crate::measure::cpu_ns;
use crate::ready::Pool;
use crate::shapes::{Peer, Publish};
use crate::suite::{Case, Spec};
use std::hint::black_box;

pub(crate) const SPEC: Spec = Spec {
    id: "W0",
    title: "publish, no subscriber; a moved event is dropped, which counts",
    columns: &["ns/event moved", "by reference"],
    events_per_round: Some(2 * (1 + BATCHES) * BATCH),
};

/// Nothing is queued, so a batch may be long: the clock costs as much as a hundred of these publishes.
const BATCH: usize = 4096;

pub(crate) struct Unheard<P: Peer> {
    publisher: P::Publisher,
    pool: Pool<P::Event>,
    events: Vec<P::Event>,
}

impl<P: Peer> Unheard<P> {
    pub(crate) fn new() -> Self {
        Self {
            publisher: P::open(super::CAPACITY, 0).0,
            pool: Pool::new(),
            events: Vec::new(),
        }
    }

    fn moved(&mut self) -> f64 {
        self.pool.fill(&mut self.events, BATCH);
        cpu_ns(|| {
            for event in self.events.drain(..) {
                // A rival that gives the event back has published to nobody all the same.
                let _ = black_box(self.publisher.try_publish(event));
            }
        })
    }

    fn by_reference(&mut self) -> f64 {
        self.pool.fill(&mut self.events, BATCH);
        cpu_ns(|| {
            for event in &self.events {
                self.publisher.publish_ref(black_box(event));
            }
        })
    }
}

impl<P: Peer> Case for Unheard<P> {
    fn round(&mut self) -> Vec<f64> {
        let count = (BATCHES * BATCH) as f64;
        self.moved();
        let moved: f64 = (0..BATCHES).map(|_| self.moved()).sum();
        self.by_reference();
        let by_reference: f64 = (0..BATCHES).map(|_| self.by_reference()).sum();
        vec![moved / count, by_reference / count]
    }
}
