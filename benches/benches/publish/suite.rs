//! Who runs in which workload, and the interleaved rounds.

use crate::shapes::{Blocking, Peer, PublishBlocking, ReceiveAsync, ReceiveBlocking, Spinning};
use crate::workloads::{
    allocations, async_receive, fan_out, full, latency, many_to_one, one_thread, two_threads,
    unheard,
};
use relay_bench::stats::Summary;

/// What a workload is, in the words of the table.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// What each column measures, with its unit.
    pub(crate) columns: &'static [&'static str],
    /// Events that one round times, warm-up included, where one thread does all and there is one column: only there
    /// instructions are counted.
    pub(crate) events_per_round: Option<usize>,
}

/// One peer in one workload, ready to run again and again.
pub(crate) trait Case {
    /// One round: a figure for each column.
    fn round(&mut self) -> Vec<f64>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Relay,
    Rival {
        /// Whether a receiver can sleep until something arrives. Who only polls saves what waking costs.
        wakes: bool,
    },
    /// Not a peer: what nobody can go below.
    Floor,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

pub(crate) struct Entry {
    pub(crate) peer: Name,
    /// Opened when its workload begins, so only one workload's queues are in memory.
    open: fn() -> Box<dyn Case>,
}

pub(crate) struct Workload {
    pub(crate) spec: &'static Spec,
    pub(crate) entries: Vec<Entry>,
}

/// A workload, measured.
pub(crate) struct Measured {
    pub(crate) spec: &'static Spec,
    /// What was measured: those of the workload, unless instructions were counted.
    pub(crate) columns: &'static [&'static str],
    /// A summary for each column.
    pub(crate) peers: Vec<(Name, Vec<Summary>)>,
}

#[derive(Default)]
pub(crate) struct Suite {
    pub(crate) workloads: Vec<Workload>,
}

// === impl Workload ===

impl Workload {
    /// Runs every peer once a round; who begins changes from round to round.
    pub(crate) fn run(&self, rounds: u32) -> Measured {
        let mut cases: Vec<_> = self.entries.iter().map(|entry| (entry.open)()).collect();
        let mut figures = vec![vec![Vec::new(); self.spec.columns.len()]; cases.len()];
        for round in 0..rounds as usize {
            for turn in 0..cases.len() {
                let index = (round + turn) % cases.len();
                for (column, figure) in cases[index].round().into_iter().enumerate() {
                    figures[index][column].push(figure);
                }
            }
        }
        let summaries = figures.iter().map(|columns| {
            let summary = |figures: &Vec<f64>| Summary::of(figures).unwrap();
            columns.iter().map(summary).collect()
        });
        let names = self.entries.iter().map(|entry| entry.peer);
        Measured {
            spec: self.spec,
            columns: self.spec.columns,
            peers: names.zip(summaries).collect(),
        }
    }
}

// === impl Suite ===

impl Suite {
    pub(crate) fn relay(&mut self, name: &'static str) -> Enrol<'_> {
        self.enrol(name, Kind::Relay)
    }

    pub(crate) fn rival(&mut self, name: &'static str) -> Enrol<'_> {
        self.enrol(name, Kind::Rival { wakes: true })
    }

    /// A rival whose receivers can only poll.
    pub(crate) fn polling_rival(&mut self, name: &'static str) -> Enrol<'_> {
        self.enrol(name, Kind::Rival { wakes: false })
    }

    pub(crate) fn floor(&mut self, name: &'static str) -> Enrol<'_> {
        self.enrol(name, Kind::Floor)
    }

    fn enrol(&mut self, name: &'static str, kind: Kind) -> Enrol<'_> {
        Enrol {
            suite: self,
            peer: Name { name, kind },
        }
    }

    /// Keeps one peer of one workload, named `workload/peer`.
    pub(crate) fn keep_case(&mut self, case: &str) {
        for workload in &mut self.workloads {
            let id = workload.spec.id;
            let asked = |entry: &Entry| format!("{id}/{}", entry.peer.name) == case;
            workload.entries.retain(asked);
        }
        self.workloads.retain(|one| !one.entries.is_empty());
    }

    /// Leaves out what was not asked for, and brings the rest into order; empty lists ask for everything.
    pub(crate) fn keep(&mut self, workloads: &[String], peers: &[String]) {
        let asked = |id: &str| {
            workloads.is_empty()
                || workloads.iter().any(|asked| {
                    let rest = id.strip_prefix(asked.as_str());
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
                })
        };
        self.workloads.retain(|workload| asked(workload.spec.id));
        for workload in &mut self.workloads {
            workload.entries.retain(|entry| {
                peers.is_empty() || peers.iter().any(|peer| entry.peer.name.contains(peer))
            });
        }
        self.workloads.retain(|one| !one.entries.is_empty());
        self.workloads.sort_by_key(|one| one.spec.id);
    }
}

/// Puts one peer into the workloads that it can do.
pub(crate) struct Enrol<'a> {
    suite: &'a mut Suite,
    peer: Name,
}

// === impl Enrol ===

impl Enrol<'_> {
    fn add(self, spec: &'static Spec, open: fn() -> Box<dyn Case>) -> Self {
        let entry = Entry {
            peer: self.peer,
            open,
        };
        let workloads = &mut self.suite.workloads;
        match workloads.iter_mut().find(|one| one.spec.id == spec.id) {
            Some(workload) => workload.entries.push(entry),
            None => workloads.push(Workload {
                spec,
                entries: vec![entry],
            }),
        }
        self
    }

    /// Publishing to nobody.
    pub(crate) fn unheard<P: Peer>(self) -> Self {
        self.add(&unheard::SPEC, || Box::new(unheard::Unheard::<P>::new()))
    }

    /// A hundred receivers in batches.
    pub(crate) fn one_of_hundred<P: Peer>(self) -> Self {
        self.add(&fan_out::ONE_STUCK, || {
            Box::new(fan_out::Batches::<P>::new(100))
        })
    }

    /// One publisher and one receiver, on one thread and on two.
    pub(crate) fn one_to_one<P: Peer>(self) -> Self {
        self.one_thread::<P>()
            .add(&two_threads::SPINNING, || {
                Box::new(two_threads::TwoThreads::<P, Spinning>::new())
            })
            .add(&allocations::ONE, || {
                Box::new(allocations::Allocations::<P>::new(1))
            })
    }

    /// One publisher and one receiver, on one thread.
    pub(crate) fn one_thread<P: Peer>(self) -> Self {
        self.add(&one_thread::MOVED, || {
            Box::new(one_thread::OneThread::<P, false>::new())
        })
        .add(&one_thread::CLONED, || {
            Box::new(one_thread::OneThread::<P, true>::new())
        })
    }

    /// The same on two threads that sleep, with many events and with one at a time.
    pub(crate) fn blocking<P: Peer>(self) -> Self
    where
        P::Publisher: PublishBlocking<P::Event>,
        P::Receiver: ReceiveBlocking<P::Event>,
    {
        self.add(&two_threads::BLOCKING, || {
            Box::new(two_threads::TwoThreads::<P, Blocking>::new())
        })
        .add(&latency::SPEC, || Box::new(latency::PingPong::<P>::new()))
    }

    /// Four publishers.
    pub(crate) fn many_to_one<P: Peer<Publisher: Clone>>(self) -> Self {
        self.add(&many_to_one::SPINNING, || {
            Box::new(many_to_one::ManyToOne::<P, Spinning>::new())
        })
    }

    /// Four publishers that sleep while there is no room.
    pub(crate) fn many_to_one_blocking<P: Peer<Publisher: Clone>>(self) -> Self
    where
        P::Publisher: PublishBlocking<P::Event>,
        P::Receiver: ReceiveBlocking<P::Event>,
    {
        self.add(&many_to_one::BLOCKING, || {
            Box::new(many_to_one::ManyToOne::<P, Blocking>::new())
        })
    }

    /// Receiving in a task.
    pub(crate) fn asynchronous<P: Peer>(self) -> Self
    where
        P::Receiver: ReceiveAsync<P::Event>,
    {
        self.add(&async_receive::READY, || {
            Box::new(async_receive::Ready::<P>::new())
        })
        .add(&async_receive::WAITING, || {
            Box::new(async_receive::Waiting::<P>::new())
        })
    }

    /// Many receivers.
    pub(crate) fn fan_out<P: Peer>(self) -> Self {
        self.add(&fan_out::TWO_THREADS, || {
            Box::new(fan_out::TwoThreads::<P>::new(4))
        })
        .add(&fan_out::BATCHES_64, || {
            Box::new(fan_out::Batches::<P>::new(64))
        })
        .add(&fan_out::BATCHES_512, || {
            Box::new(fan_out::Batches::<P>::new(512))
        })
        .add(&allocations::MANY, || {
            Box::new(allocations::Allocations::<P>::new(64))
        })
    }

    /// Publishing when no receiver has room.
    pub(crate) fn full<P: Peer>(self) -> Self {
        self.add(&full::ONE, || Box::new(full::Full::<P>::new(1)))
            .add(&full::EIGHT, || Box::new(full::Full::<P>::new(8)))
    }
}
