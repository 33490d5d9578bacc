//! What one writes without a bus: a list of channels, read on every publish, replaced on subscribe.

use super::channel::{Channel, SendShared};
use super::{crossbeam::Crossbeam, flume::Flume, kanal::Kanal};
use crate::measure::Spin;
use crate::ready::Sample;
use crate::shapes::{Peer, Publish};
use crate::suite::Suite;
use arc_swap::ArcSwap;
use std::marker::PhantomData;
use std::sync::Arc;

pub(super) fn enrol(suite: &mut Suite) {
    suite.rival("naive list").unheard::<Naive<Flume>>();
    suite
        .rival("naive list of flume")
        .fan_out::<Naive<Flume>>()
        .full::<Naive<Flume>>();
    suite
        .rival("naive list of crossbeam-channel")
        .fan_out::<Naive<Crossbeam>>()
        .full::<Naive<Crossbeam>>();
    suite
        .rival("naive list of kanal")
        .fan_out::<Naive<Kanal>>()
        .full::<Naive<Kanal>>();
}

struct Naive<C>(PhantomData<C>);

struct List<S>(Arc<ArcSwap<Vec<S>>>);

impl<C: Channel> Peer for Naive<C> {
    type Event = Sample;
    type Publisher = List<C::Sender>;
    type Receiver = C::Receiver;

    fn open(capacity: usize, receivers: usize) -> (Self::Publisher, Vec<Self::Receiver>) {
        let (senders, receivers) = (0..receivers).map(|_| C::channel(capacity)).unzip();
        (List(Arc::new(ArcSwap::from_pointee(senders))), receivers)
    }
}

impl<S: SendShared + 'static> List<S> {
    /// Gives each sender the event: a clone, but for the last.
    fn send(&self, event: Sample, send: impl Fn(&S, Sample)) {
        let senders = self.0.load();
        if let Some((last, others)) = senders.split_last() {
            for sender in others {
                send(sender, event.clone());
            }
            send(last, event);
        }
    }
}

impl<S: SendShared + 'static> Publish<Sample> for List<S> {
    /// Who has no room loses the event.
    fn try_publish(&mut self, event: Sample) -> Result<(), Sample> {
        self.send(event, |sender, event| drop(sender.try_send(event)));
        Ok(())
    }

    fn publish_ref(&mut self, event: &Sample) {
        for sender in self.0.load().iter() {
            drop(sender.try_send(event.clone()));
        }
    }

    /// Waits for each in turn.
    fn publish_spinning(&mut self, event: Sample) {
        self.send(event, |sender, event| {
            let mut next = Some(event);
            let mut spin = Spin::default();
            while let Some(event) = next.take() {
                if let Err(event) = sender.try_send(event) {
                    next = Some(event);
                    spin.once();
                }
            }
        });
    }
}
