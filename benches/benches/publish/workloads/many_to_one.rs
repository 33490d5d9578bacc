//! W5: four producers, one consumer, on as many threads.

use super::CAPACITY;
use crate::measure::{Job, wall_ns};
use crate::ready::Pool;
use crate::shapes::{Peer, Wait, open_one};
use crate::suite::{Case, Spec};
use std::marker::PhantomData;

pub(crate) const SPINNING: Spec = Spec {
    id: "W5-spin",
    title: "four producers, one consumer, five threads that try in a loop; wall time",
    columns: &["ns/event"],
    events_per_round: None,
};

pub(crate) const BLOCKING: Spec = Spec {
    id: "W5-block",
    title: "four producers, one consumer, five threads that sleep; wall time",
    columns: &["ns/event"],
    events_per_round: None,
};

const PRODUCERS: usize = 4;
const EVENTS_EACH: usize = 16_384;

pub(crate) struct ManyToOne<P: Peer, W> {
    publishers: Vec<(P::Publisher, Vec<P::Event>)>,
    receiver: P::Receiver,
    pool: Pool<P::Event>,
    sink: Vec<P::Event>,
    wait: PhantomData<W>,
}

impl<P: Peer<Publisher: Clone>, W: Wait<P>> ManyToOne<P, W> {
    pub(crate) fn new() -> Self {
        let (publisher, receiver) = open_one::<P>(CAPACITY);
        let one = |_| (publisher.clone(), Vec::with_capacity(EVENTS_EACH));
        Self {
            publishers: (0..PRODUCERS).map(one).collect(),
            receiver,
            pool: Pool::new(),
            sink: Vec::with_capacity(PRODUCERS * EVENTS_EACH),
            wait: PhantomData,
        }
    }
}

impl<P: Peer, W: Wait<P>> Case for ManyToOne<P, W> {
    fn round(&mut self) -> Vec<f64> {
        const ALL: usize = PRODUCERS * EVENTS_EACH;
        let (receiver, sink) = (&mut self.receiver, &mut self.sink);
        let mut jobs = vec![Job::anywhere(|| W::receive(receiver, sink, ALL))];
        for (publisher, events) in &mut self.publishers {
            self.pool.fill(events, EVENTS_EACH);
            jobs.push(Job::anywhere(move || {
                for event in events.drain(..) {
                    W::publish(publisher, event);
                }
            }));
        }
        let ns = wall_ns(jobs);
        self.sink.clear();
        vec![ns / ALL as f64]
    }
}
