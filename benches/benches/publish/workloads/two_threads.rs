//! W2: one producer and one consumer on two CPUs, as fast as they can.

use super::CAPACITY;
use crate::measure::{Job, wall_ns};
use crate::ready::Pool;
use crate::shapes::{Peer, Wait, open_one};
use crate::suite::{Case, Spec};
use std::marker::PhantomData;

pub(crate) const SPINNING: Spec = Spec {
    id: "W2-spin",
    title: "one producer, one consumer, two threads that try in a loop; wall time",
    columns: &["ns/event"],
    events_per_round: None,
};

pub(crate) const BLOCKING: Spec = Spec {
    id: "W2-block",
    title: "one producer, one consumer, two threads that sleep; wall time",
    columns: &["ns/event"],
    events_per_round: None,
};

/// Some milliseconds: long beside starting two threads.
const EVENTS: usize = 65_536;

pub(crate) struct TwoThreads<P: Peer, W> {
    publisher: P::Publisher,
    receiver: P::Receiver,
    pool: Pool<P::Event>,
    events: Vec<P::Event>,
    sink: Vec<P::Event>,
    wait: PhantomData<W>,
}

impl<P: Peer, W: Wait<P>> TwoThreads<P, W> {
    pub(crate) fn new() -> Self {
        let (publisher, receiver) = open_one::<P>(CAPACITY);
        Self {
            publisher,
            receiver,
            pool: Pool::new(),
            events: Vec::with_capacity(EVENTS),
            sink: Vec::with_capacity(EVENTS),
            wait: PhantomData,
        }
    }
}

impl<P: Peer, W: Wait<P>> Case for TwoThreads<P, W> {
    fn round(&mut self) -> Vec<f64> {
        self.pool.fill(&mut self.events, EVENTS);
        let (publisher, events) = (&mut self.publisher, &mut self.events);
        let (receiver, sink) = (&mut self.receiver, &mut self.sink);
        let ns = wall_ns(vec![
            Job::on(0, || {
                for event in events.drain(..) {
                    W::publish(publisher, event);
                }
            }),
            Job::on(1, || W::receive(receiver, sink, EVENTS)),
        ]);
        self.sink.clear();
        vec![ns / EVENTS as f64]
    }
}
