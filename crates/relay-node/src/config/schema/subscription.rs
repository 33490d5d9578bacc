//! `[emitters.<id>]`: what an emitter subscribes to, and how it is queued.

use std::time::Duration;

use super::actuators::{QUEUE_MAX, Queue};
use crate::config::kind::list::Patterns;
use crate::config::kind::number::within;
use crate::config::kind::{Auto, AutoOr, Choice, NoneOr};
use crate::config::reader::Section;
use crate::units::ByteSize;

/// The subscription of an emitter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscription {
    /// Globs; empty matches every topic.
    pub topics: Vec<String>,
    /// Globs; empty matches every source.
    pub sources: Vec<String>,
    /// What happens when the queue is full.
    pub delivery: Delivery,
    /// Most events queued.
    pub queue_events: usize,
    /// Events that may be queued at first, where that moves with the load.
    pub queue_start: Option<usize>,
    /// Events that may be queued at least, also while memory is critical.
    pub queue_min: usize,
    /// Most bytes queued; `Auto` leaves them to the ledger.
    pub queue_bytes: Auto<ByteSize>,
    /// Most events handed over at once.
    pub batch_events: usize,
    /// Most bytes handed over at once.
    pub batch_bytes: ByteSize,
    /// How long a batch that is not full waits for more.
    pub linger: Duration,
}

/// What a full queue means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Senders are refused.
    Reliable,
    /// Events are dropped and counted.
    Sheddable(Overflow),
}

/// Which event a full sheddable queue drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The one that just came.
    DropNewest,
    /// The one that waited longest.
    DropOldest,
}

const DELIVERIES: Choice<bool> = Choice(&[("reliable", false), ("sheddable", true)]);
const OVERFLOWS: Choice<Overflow> = Choice(&[
    ("drop-newest", Overflow::DropNewest),
    ("drop-oldest", Overflow::DropOldest),
]);

const BYTE: ByteSize = ByteSize::from_bytes(1);
const TIB: ByteSize = ByteSize::from_mib(1 << 20);
/// What a batch holds unless the queue is smaller.
const BATCH: ByteSize = ByteSize::from_kib(256);

impl Subscription {
    pub(super) fn read(s: &mut Section<'_, '_>, queue: &Queue) -> Self {
        let topics = s.read(
            "topics",
            &Patterns,
            vec!["*".to_owned()],
            "topics to take, as globs",
        );
        let sources = s.read(
            "sources",
            &Patterns,
            Vec::new(),
            "sources to take; empty takes all",
        );
        let delivery = Delivery::read(s);
        let queue_events = s.read(
            "queue_events",
            &within(1, QUEUE_MAX),
            queue.max,
            "most events queued",
        );
        let queue_start = s.read(
            "queue_start",
            &NoneOr(within(1, QUEUE_MAX)),
            queue.start.map(|start| start.min(queue_events)),
            "events queued at first, and then as many as the load wants; none: always queue_events",
        );
        let queue_min = s.read(
            "queue_min",
            &within(1, QUEUE_MAX),
            queue.min.min(queue_start.unwrap_or(queue_events)),
            "events that may always be queued",
        );
        let queue_bytes = s.read(
            "queue_bytes",
            &AutoOr(within(BYTE, TIB)),
            Auto::Auto,
            "most bytes queued; auto leaves them to the ledger",
        );
        // The defaults of a batch follow a small queue, so that one number suffices to make one.
        let batch_bytes_default = queue_bytes.fixed().map_or(BATCH, |queue| queue.min(BATCH));
        Self {
            topics,
            sources,
            delivery,
            queue_events,
            queue_start,
            queue_min,
            queue_bytes,
            batch_events: s.read(
                "batch_events",
                &within(1, 65_536),
                queue_events.min(512),
                "events a batch",
            ),
            batch_bytes: s.read(
                "batch_bytes",
                &within(BYTE, ByteSize::from_mib(64)),
                batch_bytes_default,
                "bytes a batch",
            ),
            linger: s.read(
                "linger",
                &within(Duration::from_micros(1), Duration::from_mins(1)),
                Duration::from_millis(5),
                "how long a batch waits for more",
            ),
        }
    }
}

impl Delivery {
    fn read(s: &mut Section<'_, '_>) -> Self {
        let doc = "reliable refuses senders when full, sheddable drops";
        if s.read("delivery", &DELIVERIES, false, doc) {
            let doc = "which event a full queue drops";
            Self::Sheddable(s.read("overflow", &OVERFLOWS, Overflow::DropNewest, doc))
        } else {
            s.refuse(
                "overflow",
                "only with delivery = \"sheddable\"; a reliable queue drops nothing",
            );
            Self::Reliable
        }
    }
}
