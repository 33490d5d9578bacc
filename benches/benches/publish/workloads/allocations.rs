//! allocs: heap allocations of publishing a ready event and of receiving it, once the queues are warm.

use super::{BATCH, CAPACITY};
use crate::ready::Pool;
use crate::shapes::{Peer, Publish, Receive};
use crate::suite::{Case, Spec};
use allocation_counter::measure;

pub(crate) const ONE: Spec = Spec {
    id: "allocs-1",
    title: "heap allocations per event, 1 subscriber",
    columns: &["publish", "receive"],
    events_per_round: None,
};

pub(crate) const MANY: Spec = Spec {
    id: "allocs-64",
    title: "heap allocations per event, 64 subscribers",
    columns: &["publish", "receive, all together"],
    events_per_round: None,
};

pub(crate) struct Allocations<P: Peer> {
    publisher: P::Publisher,
    receivers: Vec<P::Receiver>,
    pool: Pool<P::Event>,
    events: Vec<P::Event>,
}

impl<P: Peer> Allocations<P> {
    pub(crate) fn new(subscribers: usize) -> Self {
        let (publisher, receivers) = P::open(CAPACITY, subscribers);
        Self {
            publisher,
            receivers,
            pool: Pool::new(),
            events: Vec::with_capacity(BATCH),
        }
    }

    fn batch(&mut self) -> Vec<f64> {
        self.pool.fill(&mut self.events, BATCH);
        let publish = measure(|| {
            for event in self.events.drain(..) {
                assert!(self.publisher.try_publish(event).is_ok());
            }
        });
        let mut seen = 0;
        let receive = measure(|| seen = self.receivers.iter_mut().map(Receive::visit).sum());
        assert_eq!(seen, BATCH * self.receivers.len());
        let each = |count: u64| count as f64 / BATCH as f64;
        vec![each(publish.count_total), each(receive.count_total)]
    }
}

impl<P: Peer> Case for Allocations<P> {
    fn round(&mut self) -> Vec<f64> {
        // Twice the capacity goes through first: rings that grow have grown.
        for _ in 0..2 * CAPACITY / BATCH {
            self.batch();
        }
        self.batch()
    }
}
