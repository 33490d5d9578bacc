//! The error bus: bounded, lossy, never blocks, never recurses.
//!
//! Each subscriber has a fixed ring of its own (32 by default). When it is full the newest event is dropped *for that
//! subscriber* and counted; dropping never reports anything, so there is nothing to recurse. Publishing allocates
//! nothing and takes no lock, which is what lets a control loop and a panic hook publish. Control does not depend on
//! this bus: it informs people and handlers.

use crate::code::Code;
use crate::component::Component;
use crate::report::{ErrorEvent, Severity, Signal};
use arc_swap::ArcSwap;
use atomic_waker::AtomicWaker;
use crossbeam_queue::ArrayQueue;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{
    AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Events that wait for one subscriber, unless configured otherwise.
const DEFAULT_BUFFER: usize = 32;

/// The most subscribers.
const MAX_SUBSCRIBERS: usize = 256;

/// The bus. Cloning gives another handle.
///
/// ```
/// use relay_event::{Code, Component, ErrorBus, ErrorEvent, ErrorFilter, Severity};
///
/// let errors = ErrorBus::new();
/// let mut warnings = errors.subscribe(ErrorFilter::all().at_least(Severity::Warning)).unwrap();
/// errors.publish(ErrorEvent::new(Code::AdapterStart, Severity::Info, Component::adapter("http")));
/// errors.publish(ErrorEvent::new(Code::AdapterFail, Severity::Error, Component::adapter("http")));
/// assert_eq!(warnings.try_recv().unwrap().code, Code::AdapterFail);
/// assert_eq!(errors.count(Code::AdapterStart), 1);
/// ```
#[derive(Clone)]
pub struct ErrorBus(Arc<Inner>);

struct Inner {
    mailboxes: ArcSwap<Vec<Arc<Mailbox>>>,
    buffer: usize,
    enabled: bool,
    closed: AtomicBool,
    dropped: AtomicU64,
    counts: [AtomicU64; Code::ALL.len()],
    folds: Option<Folding>,
}

struct Mailbox {
    filter: ErrorFilter,
    queue: ArrayQueue<ErrorEvent>,
    dropped: AtomicU64,
    waker: AtomicWaker,
}

/// Handles error events, one at a time, away from whoever published them.
pub trait ErrorHandler: Send + 'static {
    /// Handles one event. A handler that panics loses that event and stays; one that is slow loses the oldest of
    /// its own events, and disturbs nobody.
    fn handle(&mut self, event: &ErrorEvent);
}

impl<F: FnMut(&ErrorEvent) + Send + 'static> ErrorHandler for F {
    fn handle(&mut self, event: &ErrorEvent) {
        self(event);
    }
}

/// Which error events a subscriber wants; everything that is set must match.
#[derive(Debug, Clone, Default)]
pub struct ErrorFilter {
    code: Option<Code>,
    at_least: Option<Severity>,
    signal: Option<Signal>,
    component: Option<Component>,
}

impl ErrorFilter {
    /// Every event.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only this code.
    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Only this severity and worse.
    #[must_use]
    pub fn at_least(mut self, severity: Severity) -> Self {
        self.at_least = Some(severity);
        self
    }

    /// Only this signal.
    #[must_use]
    pub fn signal(mut self, signal: Signal) -> Self {
        self.signal = Some(signal);
        self
    }

    /// Only this component.
    #[must_use]
    pub fn component(mut self, component: Component) -> Self {
        self.component = Some(component);
        self
    }

    /// Whether this filter wants `event`.
    pub fn matches(&self, event: &ErrorEvent) -> bool {
        self.code.is_none_or(|code| code == event.code)
            && self
                .at_least
                .is_none_or(|severity| event.severity >= severity)
            && self.signal.is_none_or(|signal| signal == event.signal)
            && self
                .component
                .as_ref()
                .is_none_or(|component| *component == event.component)
    }
}

/// How many events of one code pass within a window before repeats are folded: transitions that follow each other
/// closely are all seen, a flood is not.
const FOLD_BURST: u64 = 8;

/// Repeats of one code beyond the burst are counted, and the first event of the next window stands for them.
struct Folding {
    window: Duration,
    cells: [FoldCell; Code::ALL.len()],
}

#[derive(Default)]
struct FoldCell {
    window_ms: AtomicU64,
    passed: AtomicU64,
    held_back: AtomicU64,
}

impl Folding {
    /// How many events this one stands for; `None` when it is folded into a later one.
    fn pass(&self, code: Code, time: SystemTime) -> Option<u32> {
        let cell = &self.cells[code as usize];
        let now_ms = time
            .duration_since(UNIX_EPOCH)
            .map_or(1, |since| since.as_millis().max(1) as u64);
        let start_ms = cell.window_ms.load(Relaxed);
        // A clock that jumped back opens a window: better one event more than none for hours.
        let over = now_ms < start_ms || now_ms - start_ms >= self.window.as_millis() as u64;
        if over
            && cell
                .window_ms
                .compare_exchange(start_ms, now_ms, Relaxed, Relaxed)
                .is_ok()
        {
            cell.passed.store(1, Relaxed);
            let held_back = cell.held_back.swap(0, Relaxed);
            return Some(u32::try_from(held_back + 1).unwrap_or(u32::MAX));
        }
        if cell.passed.fetch_add(1, Relaxed) < FOLD_BURST {
            return Some(1);
        }
        cell.held_back.fetch_add(1, Relaxed);
        None
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

    /// A bus with `buffer` events a subscriber (1 to 65,536, clamped); with a `fold` window, more than eight events
    /// of one code within it become one event with a count.
    pub fn with(buffer: usize, fold: Option<Duration>) -> Self {
        Self::build(buffer.clamp(1, 65_536), fold, true)
    }

    /// A bus that takes everything and tells nobody: for an engine that should not report.
    pub fn disabled() -> Self {
        Self::build(1, None, false)
    }

    fn build(buffer: usize, fold: Option<Duration>, enabled: bool) -> Self {
        let folds = fold.map(|window| Folding {
            window,
            cells: std::array::from_fn(|_| FoldCell::default()),
        });
        Self(Arc::new(Inner {
            mailboxes: ArcSwap::default(),
            buffer,
            enabled,
            closed: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            folds,
        }))
    }

    /// Publishes: counts the code once, and puts the event into the ring of each subscriber that wants it. Never
    /// waits and never allocates.
    pub fn publish(&self, mut event: ErrorEvent) {
        if !self.0.enabled || self.0.closed.load(Relaxed) {
            return;
        }
        self.0.counts[event.code as usize].fetch_add(1, Relaxed);
        if let Some(folds) = &self.0.folds {
            match folds.pass(event.code, event.time) {
                Some(count) => event.count = count,
                None => return,
            }
        }
        for mailbox in self
            .0
            .mailboxes
            .load()
            .iter()
            .filter(|mailbox| mailbox.filter.matches(&event))
        {
            match mailbox.queue.push(event.clone()) {
                Ok(()) => mailbox.waker.wake(),
                Err(_full) => {
                    mailbox.dropped.fetch_add(1, Relaxed);
                    self.0.dropped.fetch_add(1, Relaxed);
                }
            }
        }
    }

    /// Adds a subscriber; `None` when the bus is closed, disabled, or has 256 subscribers.
    pub fn subscribe(&self, filter: ErrorFilter) -> Option<ErrorSubscription> {
        let mailbox = Arc::new(Mailbox {
            filter,
            queue: ArrayQueue::new(self.0.buffer),
            dropped: AtomicU64::new(0),
            waker: AtomicWaker::new(),
        });
        let mut added = false;
        if self.0.enabled {
            self.0.mailboxes.rcu(|mailboxes| {
                let mut mailboxes = Vec::clone(mailboxes);
                added = mailboxes.len() < MAX_SUBSCRIBERS;
                if added {
                    mailboxes.push(Arc::clone(&mailbox));
                }
                mailboxes
            });
        }
        let subscription = ErrorSubscription {
            mailbox,
            bus: Arc::downgrade(&self.0),
        };
        (added && !self.0.closed.load(Acquire)).then_some(subscription)
    }

    /// Ends the bus: subscribers get what they have and then the end.
    pub fn close(&self) {
        self.0.closed.store(true, Release);
        for mailbox in self.0.mailboxes.load().iter() {
            mailbox.waker.wake();
        }
    }

    /// How often `code` was published, folded or not.
    pub fn count(&self, code: Code) -> u64 {
        self.0.counts[code as usize].load(Relaxed)
    }

    /// Events that some subscriber lost, over all subscribers.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// How many subscribers there are.
    pub fn subscriber_count(&self) -> usize {
        self.0.mailboxes.load().len()
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

/// The receiving end of an [`ErrorBus`]; dropping it unsubscribes.
pub struct ErrorSubscription {
    mailbox: Arc<Mailbox>,
    bus: Weak<Inner>,
}

impl ErrorSubscription {
    /// The next event; `None` when there is none now.
    pub fn try_recv(&mut self) -> Option<ErrorEvent> {
        self.mailbox.queue.pop()
    }

    /// The next event; `None` when the bus is closed or gone and everything was received.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing: an event is taken only in the poll that returns it.
    pub async fn recv(&mut self) -> Option<ErrorEvent> {
        poll_fn(|cx| {
            if let Some(event) = self.mailbox.queue.pop() {
                return Poll::Ready(Some(event));
            }
            self.mailbox.waker.register(cx.waker());
            let ended = self
                .bus
                .upgrade()
                .is_none_or(|bus| bus.closed.load(Acquire));
            // Look again after registering: a push in between has woken nobody.
            match self.mailbox.queue.pop() {
                Some(event) => Poll::Ready(Some(event)),
                None if ended => Poll::Ready(None),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Events that this subscriber lost because its ring was full.
    pub fn dropped(&self) -> u64 {
        self.mailbox.dropped.load(Relaxed)
    }
}

impl Drop for ErrorSubscription {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            let keep = |mailbox: &&Arc<Mailbox>| !Arc::ptr_eq(mailbox, &self.mailbox);
            bus.mailboxes
                .rcu(|mailboxes| mailboxes.iter().filter(keep).cloned().collect::<Vec<_>>());
        }
    }
}

impl fmt::Debug for ErrorSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorSubscription")
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}
