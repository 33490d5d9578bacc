//! lat: one event at a time between two threads that sleep: what waking costs.

use super::CAPACITY;
use crate::measure::{Job, wall_ns};
use crate::ready::Ready;
use crate::shapes::{Peer, PublishBlocking, ReceiveBlocking, open_one};
use crate::suite::{Case, Spec};
use relay_bench::stats::Summary;
use std::time::Instant;

pub(crate) const SPEC: Spec = Spec {
    id: "lat",
    title: "blocking ping-pong between two threads, one way; wall time",
    columns: &["p50 ns", "p90 ns"],
    events_per_round: None,
};

const ROUND_TRIPS: usize = 1000;

pub(crate) struct PingPong<P: Peer> {
    ping: (P::Publisher, P::Receiver),
    pong: (P::Publisher, P::Receiver),
}

impl<P: Peer> PingPong<P> {
    pub(crate) fn new() -> Self {
        Self {
            ping: open_one::<P>(CAPACITY),
            pong: open_one::<P>(CAPACITY),
        }
    }
}

impl<P: Peer> Case for PingPong<P>
where
    P::Publisher: PublishBlocking<P::Event>,
    P::Receiver: ReceiveBlocking<P::Event>,
{
    fn round(&mut self) -> Vec<f64> {
        let mut one_way_ns = Vec::with_capacity(ROUND_TRIPS);
        let (ask, hear) = (&mut self.ping.0, &mut self.ping.1);
        let (answer, listen) = (&mut self.pong.0, &mut self.pong.1);
        wall_ns(vec![
            Job::on(0, || {
                let mut event = P::Event::ready();
                let mut last = Instant::now();
                for _ in 0..ROUND_TRIPS {
                    ask.publish_blocking(event);
                    event = listen.receive_blocking();
                    let now = Instant::now();
                    one_way_ns.push((now - last).as_nanos() as f64 / 2.0);
                    last = now;
                }
            }),
            Job::on(1, || {
                for _ in 0..ROUND_TRIPS {
                    answer.publish_blocking(hear.receive_blocking());
                }
            }),
        ]);
        let summary = Summary::of(&one_way_ns).unwrap();
        vec![summary.median, summary.p90]
    }
}
