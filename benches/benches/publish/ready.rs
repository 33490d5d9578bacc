//! Events that are made before the clock starts.

use bytes::Bytes;
use relay_event::Event;
use std::hint::black_box;
use std::sync::Arc;

/// What the rivals carry: 128 bytes behind a reference count, as relay's event and its payload are.
pub(crate) type Sample = Arc<[u8; 128]>;

/// An event that can be made beforehand, and looked at when it arrives.
pub(crate) trait Ready: Clone + Send + Sync + 'static {
    fn ready() -> Self;

    /// Follows the event to its content, as every reader would.
    fn look(&self);
}

impl Ready for Sample {
    fn ready() -> Self {
        Arc::new([7; 128])
    }

    fn look(&self) {
        black_box(&**self);
    }
}

impl Ready for Event {
    fn ready() -> Self {
        Event::builder("order.created")
            .source("/shop")
            .payload(Bytes::from_static(&[7; 128]))
            .build()
            .unwrap()
    }

    fn look(&self) {
        black_box(self.payload());
    }
}

/// Clones of 64 different events in turn: one event for all would make two threads fight for one reference count,
/// which no service does; a fresh one each would measure the allocator.
#[derive(Debug)]
pub(crate) struct Pool<E> {
    originals: Vec<E>,
}

impl<E: Ready> Pool<E> {
    pub(crate) fn new() -> Self {
        Self {
            originals: (0..64).map(|_| E::ready()).collect(),
        }
    }

    /// Fills `events` up to `count`.
    pub(crate) fn fill(&self, events: &mut Vec<E>, count: usize) {
        let missing = count.saturating_sub(events.len());
        events.extend(self.originals.iter().cycle().take(missing).cloned());
    }
}
