//! The error bus: bounded, lossy, never blocks, never recurses.
//!
//! All subscribers share one ring of fixed records, allocated when the bus is made: twice the buffer (32 by default),
//! and at least 64. Each has its own cursor and may lag at most `buffer` events.
//!
//! - **What is lost.** As long as one subscriber keeps up, another that lags further loses its *oldest* events. When all
//!   are full, the *newest* event is refused: a storm that nobody reads costs next to nothing, and the events that began
//!   it are kept. Both count as dropped for each subscriber that missed the event.
//! - **What is published** is the same for every subscriber: filters are applied where events are received, so that
//!   `delivered + skipped + dropped + waiting` of a subscriber is what was published since it subscribed, exactly. An
//!   event that was folded into a later one was not published by itself.
//! - **What it costs.** A publisher counts, claims a ticket and writes one record, however many subscribers there are.
//!   It allocates nothing, takes no lock and waits for nobody; an event whose record is in use by somebody a whole lap
//!   away is lost, and counted. That is what lets a control loop and a panic hook publish. Only waking subscribers that
//!   are parked costs something for each of them.
//! - **No recursion.** Dropping reports nothing.
//!
//! Control does not depend on this bus: it informs people and handlers.

mod broadcast;
mod counts;
mod filter;
mod folding;
#[cfg(all(test, relay_loom))]
mod models;
mod parking;
mod ring;
mod slot;
mod subscription;

pub use filter::ErrorFilter;
pub use subscription::ErrorSubscription;

use crate::code::Code;
use crate::report::{ErrorEvent, Severity, Signal};
use crate::sync::{Mutex, lock};
use broadcast::Broadcast;
use counts::Counts;
use folding::Folding;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use subscription::Place;

/// Events that one subscriber may lag behind, unless configured otherwise.
const DEFAULT_BUFFER: usize = 32;

/// The largest buffer.
const MAX_BUFFER: usize = 65_536;

/// The most subscribers.
const MAX_SUBSCRIBERS: usize = 256;

/// The bus. Cloning gives another handle; when the last one is dropped, the bus is closed.
///
/// ```
/// use relay_event::{Code, Component, ErrorBus, ErrorEvent, ErrorFilter, Severity};
///
/// let errors = ErrorBus::new();
/// let mut warnings = errors.subscribe(ErrorFilter::all().at_least(Severity::Warning)).unwrap();
/// errors.publish(ErrorEvent::new(Code::AdapterStart, Severity::Info, Component::adapter("http")));
/// errors.publish(ErrorEvent::new(Code::AdapterFail, Severity::Error, Component::adapter("http")));
/// assert_eq!(warnings.try_recv().unwrap().code, Code::AdapterFail);
/// assert_eq!((warnings.delivered(), warnings.skipped()), (1, 1));
/// assert_eq!(errors.count(Code::AdapterStart), 1);
/// ```
pub struct ErrorBus(Arc<Inner>);

struct Inner {
    broadcast: Broadcast<ErrorEvent>,
    counts: Counts,
    folds: Option<Folding>,
    tap: OnceLock<Box<dyn ErrorTap>>,
    /// As many as `places`, for publishers, which take no lock.
    subscribers: AtomicUsize,
    handles: AtomicUsize,
    buffer: usize,
    places: Mutex<Places>,
}

/// Who subscribes; locked to come and go and to be counted, never to publish or to receive.
#[derive(Default)]
struct Places {
    taken: Vec<Arc<Place>>,
    /// What those dropped who left.
    dropped_before: u64,
}

/// Handles error events, one at a time, away from whoever published them.
pub trait ErrorHandler: Send + 'static {
    /// Handles one event. A handler that panics loses that event and stays; one that is slow loses events that it had no
    /// room for (the oldest, or the newest when no subscriber has any), and disturbs nobody.
    fn handle(&mut self, event: &ErrorEvent);
}

impl<F: FnMut(&ErrorEvent) + Send + 'static> ErrorHandler for F {
    fn handle(&mut self, event: &ErrorEvent) {
        self(event);
    }
}

/// Sees every event where it is published, before anything can be folded or lost: for a flight recorder, whose last
/// records count most when there is no later.
pub trait ErrorTap: Send + Sync + 'static {
    /// Sees one event, on the thread that publishes it: a control loop, or one that panics. So it must not wait, allocate
    /// or publish.
    fn see(&self, event: &ErrorEvent);
}

impl<F: Fn(&ErrorEvent) + Send + Sync + 'static> ErrorTap for F {
    fn see(&self, event: &ErrorEvent) {
        self(event);
    }
}

// === impl ErrorBus ===

impl Default for ErrorBus {
    fn default() -> Self {
        Self::new()
    }
}

impl ErrorBus {
    /// A bus with 32 events a subscriber, without folding.
    pub fn new() -> Self {
        Self::with(DEFAULT_BUFFER, None)
    }

    /// A bus whose subscribers may each lag `buffer` events (1 to 65,536, clamped); with a `fold` window, more than eight
    /// events of one code within it become one event with a count.
    ///
    /// Takes all its memory at once: 2 × `buffer` records (at least 64, rounded up to a power of two) of about 350 bytes,
    /// and 60 KiB for counters and wakers, however many subscribe.
    pub fn with(buffer: usize, fold: Option<Duration>) -> Self {
        let buffer = buffer.clamp(1, MAX_BUFFER);
        Self::build(buffer, fold, MAX_SUBSCRIBERS)
    }

    /// A bus that takes everything and tells nobody: for an engine that should not report.
    pub fn disabled() -> Self {
        let bus = Self::build(1, None, 0);
        bus.close();
        bus
    }

    fn build(buffer: usize, fold: Option<Duration>, seats: usize) -> Self {
        Self(Arc::new(Inner {
            broadcast: Broadcast::new(buffer, seats),
            counts: Counts::new(),
            folds: fold.map(Folding::new),
            tap: OnceLock::new(),
            subscribers: AtomicUsize::new(0),
            handles: AtomicUsize::new(1),
            buffer,
            places: Mutex::default(),
        }))
    }

    /// Publishes: counts the code once, and puts the event into the ring when anybody subscribes. Never waits and never
    /// allocates; it may release the text of the event that it overwrites.
    pub fn publish(&self, mut event: ErrorEvent) {
        let inner = &*self.0;
        if let Some(tap) = inner.tap.get() {
            tap.see(&event);
        }
        if inner.broadcast.is_closed() {
            return;
        }
        inner.counts.add(&event);
        if inner.subscribers.load(Relaxed) == 0 {
            return;
        }
        if let Some(folds) = &inner.folds {
            match folds.pass(event.code, event.time) {
                Some(count) => event.count = count,
                None => return,
            }
        }
        match inner.broadcast.turn() {
            Some(turn) => turn.put(event),
            None => inner.counts.add_refused(),
        }
    }

    /// Lets `tap` see what is published from now on, also while the bus is disabled or closed; `false` when there is a tap
    /// already, which stays.
    ///
    /// ```
    /// use relay_event::{Code, Component, ErrorBus, ErrorEvent, Severity};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    ///
    /// let errors = ErrorBus::new();
    /// let seen = Arc::new(AtomicU64::new(0));
    /// let count = Arc::clone(&seen);
    /// assert!(errors.tap(move |_: &ErrorEvent| {
    ///     count.fetch_add(1, Relaxed);
    /// }));
    /// errors.publish(ErrorEvent::new(Code::Shutdown, Severity::Info, Component::Engine));
    /// assert_eq!(seen.load(Relaxed), 1);
    /// ```
    pub fn tap(&self, tap: impl ErrorTap) -> bool {
        self.0.tap.set(Box::new(tap)).is_ok()
    }

    /// Adds a subscriber to what is published from now on; `None` when the bus is closed, disabled, or has 256.
    pub fn subscribe(&self, filter: ErrorFilter) -> Option<ErrorSubscription> {
        let inner = &self.0;
        let mut places = lock(&inner.places);
        if inner.broadcast.is_closed() {
            return None;
        }
        let is_free = |index: &usize| places.taken.iter().all(|place| place.seat.index != *index);
        let index = (0..MAX_SUBSCRIBERS).find(is_free)?;
        // Before the seat notes where it begins: from there on publishers must not find nobody here.
        inner.subscribers.store(places.taken.len() + 1, Relaxed);
        let place = Arc::new(Place {
            seat: inner.broadcast.sit(index),
            refused_before: inner.counts.refused(),
        });
        places.taken.push(Arc::clone(&place));
        Some(ErrorSubscription::new(Arc::clone(inner), place, filter))
    }

    /// Ends the bus: subscribers get what they have and then the end. An event published at the same time may come too
    /// late for them.
    pub fn close(&self) {
        self.0.broadcast.close();
    }

    /// How often `code` was published, folded or not.
    pub fn count(&self, code: Code) -> u64 {
        self.0.counts.of(code)
    }

    /// How often `code` was published with this severity and signal, folded or not.
    pub fn count_of(&self, code: Code, severity: Severity, signal: Signal) -> u64 {
        self.0.counts.of_kind(code, severity, signal)
    }

    /// Events that some subscriber lost, over all subscribers that are and were.
    pub fn dropped(&self) -> u64 {
        let places = lock(&self.0.places);
        let now = places.taken.iter().map(|place| self.0.dropped_by(place));
        places.dropped_before + now.sum::<u64>()
    }

    /// How many subscribers there are.
    pub fn subscriber_count(&self) -> usize {
        self.0.subscribers.load(Relaxed)
    }
}

impl Clone for ErrorBus {
    fn clone(&self) -> Self {
        self.0.handles.fetch_add(1, Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for ErrorBus {
    fn drop(&mut self) {
        if self.0.handles.fetch_sub(1, AcqRel) == 1 {
            self.close();
        }
    }
}

impl fmt::Debug for ErrorBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorBus")
            .field("buffer", &self.0.buffer)
            .field("subscribers", &self.subscriber_count())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    fn dropped_by(&self, place: &Place) -> u64 {
        let refused = self.counts.refused().saturating_sub(place.refused_before);
        self.broadcast.account(&place.seat).lost + refused
    }

    fn unsubscribe(&self, place: &Arc<Place>) {
        let mut places = lock(&self.places);
        places.taken.retain(|other| !Arc::ptr_eq(other, place));
        places.dropped_before += self.dropped_by(place);
        self.subscribers.store(places.taken.len(), Relaxed);
        // Under the lock: nobody else has this seat yet.
        self.broadcast.rise(&place.seat);
    }
}
