//! W3 and W4: one producer, many receivers, each of which sees every event.

use super::{BATCH, CAPACITY};
use crate::measure::{Job, Spin, cpu_ns, wall_ns};
use crate::ready::Pool;
use crate::shapes::{Peer, Publish, Receive};
use crate::suite::{Case, Spec};

pub(crate) const TWO_THREADS: Spec = Spec {
    id: "W3",
    title: "one producer, 4 subscribers read in place on another thread; wall time",
    columns: &["ns/event"],
    events_per_round: None,
};

pub(crate) const BATCHES_64: Spec = Spec {
    id: "W4",
    title: "one producer, 64 subscribers, batches of 512 on one thread, read in place",
    columns: &["publish ns/event", "drain ns/event/subscriber"],
    events_per_round: None,
};

pub(crate) const BATCHES_512: Spec = Spec {
    id: "W4-512",
    title: "one producer, 512 subscribers, batches of 512 on one thread, read in place",
    columns: &["publish ns/event", "drain ns/event/subscriber"],
    events_per_round: None,
};

pub(crate) const ONE_STUCK: Spec = Spec {
    id: "W8",
    title: "one producer, 100 sheddable subscribers of which one may be stuck, batches of 512 on one thread",
    columns: &["publish ns/event", "drain ns/event/subscriber"],
    events_per_round: None,
};

const EVENTS: usize = 32_768;

pub(crate) struct TwoThreads<P: Peer> {
    publisher: P::Publisher,
    receivers: Vec<P::Receiver>,
    pool: Pool<P::Event>,
    events: Vec<P::Event>,
}

impl<P: Peer> TwoThreads<P> {
    pub(crate) fn new(subscribers: usize) -> Self {
        let (publisher, receivers) = P::open(CAPACITY, subscribers);
        Self {
            publisher,
            receivers,
            pool: Pool::new(),
            events: Vec::with_capacity(EVENTS),
        }
    }
}

impl<P: Peer> Case for TwoThreads<P> {
    fn round(&mut self) -> Vec<f64> {
        self.pool.fill(&mut self.events, EVENTS);
        let (publisher, events) = (&mut self.publisher, &mut self.events);
        let receivers = &mut self.receivers;
        let ns = wall_ns(vec![
            Job::on(0, || {
                for event in events.drain(..) {
                    publisher.publish_spinning(event);
                }
            }),
            Job::on(1, || {
                let mut missing = EVENTS * receivers.len();
                let mut spin = Spin::default();
                while missing > 0 {
                    let seen: usize = receivers.iter_mut().map(Receive::visit).sum();
                    missing -= seen;
                    if seen == 0 {
                        spin.once();
                    } else {
                        spin = Spin::default();
                    }
                }
            }),
        ]);
        vec![ns / EVENTS as f64]
    }
}

pub(crate) struct Batches<P: Peer> {
    publisher: P::Publisher,
    receivers: Vec<P::Receiver>,
    pool: Pool<P::Event>,
    events: Vec<P::Event>,
}

impl<P: Peer> Batches<P> {
    pub(crate) fn new(subscribers: usize) -> Self {
        let (publisher, receivers) = P::open(CAPACITY, subscribers);
        Self {
            publisher,
            receivers,
            pool: Pool::new(),
            events: Vec::with_capacity(BATCH),
        }
    }

    /// CPU nanoseconds of publishing a batch, and of reading it everywhere.
    fn batch(&mut self) -> (f64, f64) {
        self.pool.fill(&mut self.events, BATCH);
        let publish_ns = cpu_ns(|| {
            for event in self.events.drain(..) {
                assert!(self.publisher.try_publish(event).is_ok());
            }
        });
        let mut seen = 0;
        let drain_ns = cpu_ns(|| seen = self.receivers.iter_mut().map(Receive::visit).sum());
        assert_eq!(seen, BATCH * self.receivers.len());
        (publish_ns, drain_ns)
    }
}

impl<P: Peer> Case for Batches<P> {
    fn round(&mut self) -> Vec<f64> {
        self.batch();
        let (publish_ns, drain_ns) = self.batch();
        let events = BATCH as f64;
        vec![
            publish_ns / events,
            drain_ns / events / self.receivers.len() as f64,
        ]
    }
}
