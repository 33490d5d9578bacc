//! A guard around threads and tasks: a panic is reported once, with its place, and goes no further.
//!
//! **Problem.** A task that panics is silently gone: the runtime keeps the message for whoever
//! joins it, and often nobody does. A thread prints to a stream that nobody reads.
//!
//! **What it does.** The outermost function of each thread or task runs inside the guard. A panic
//! ends that function; the guard hands a [`Panicked`] to its reporter, exactly once, and to whoever
//! waits for the result. Each panic counts: one in the destructor of a future after one in its body
//! is reported as a second.
//!
//! **What it cannot do.** With `panic = "abort"`, for a panic that leaves a destructor while
//! another one unwinds, and in foreign code, the process ends before anything can be caught.

use std::{
    any::Any,
    backtrace::Backtrace,
    fmt, mem,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use crate::panic_hook::{self, PanicLocation};

/// Longest message that is kept; a panic can be handed a text of any length.
const MESSAGE_MAX_BYTES: usize = 4096;

/// A panic that was caught: who, what, where.
///
/// It displays as one line, without the backtrace.
#[derive(Debug)]
pub struct Panicked {
    /// The name that was given to the thread or task.
    pub component: Arc<str>,
    /// The panic's message, at most 4 KiB of it, or a note that the payload was not a text.
    pub message: String,
    /// Where it began; `None` when a payload was passed on with
    /// [`resume_unwind`](std::panic::resume_unwind).
    pub location: Option<PanicLocation>,
    /// The stack; `None` as for `location`, or while a CPU profile is being taken.
    pub backtrace: Option<Backtrace>,
    /// The how manieth panic of this guard it is, from 1.
    pub ordinal: u64,
}

/// Wraps threads and futures, and reports their panics. Clones share reporter and count.
///
/// The first use installs a process-wide panic hook, which captures place and stack inside guarded
/// code and then always calls the hook that was there before.
///
/// ```
/// use relay_forensics::PanicGuard;
/// use std::{sync::mpsc, thread};
///
/// let (reports, seen) = mpsc::channel();
/// let guard = PanicGuard::new(move |panicked| {
///     let _ = reports.send(panicked.to_string());
/// });
/// let lengths: Vec<usize> = Vec::new();
/// let worker = thread::spawn(guard.wrap_thread("worker", move || {
///     *lengths.iter().max().expect("one length at least")
/// }));
/// let panicked = worker.join().expect("the guard has caught it").unwrap_err();
/// assert_eq!(panicked.message, "one length at least");
/// assert_eq!(seen.recv()?, panicked.to_string());
/// assert_eq!(guard.panics(), 1);
/// # Ok::<(), mpsc::RecvError>(())
/// ```
#[derive(Clone)]
pub struct PanicGuard {
    shared: Arc<Shared>,
}

/// A future whose panics are caught; see [`PanicGuard::wrap`].
#[must_use = "futures do nothing unless polled"]
pub struct Guarded<F: Future> {
    guard: PanicGuard,
    component: Arc<str>,
    future: Option<Pin<Box<F>>>,
}

struct Shared {
    reporter: Box<dyn Fn(&Panicked) + Send + Sync>,
    panics: AtomicU64,
}

// === impl PanicGuard ===

impl PanicGuard {
    /// A guard that hands each panic to `reporter`, on the thread where it happened.
    ///
    /// A panic of the reporter itself is swallowed: it has nowhere to go.
    pub fn new(reporter: impl Fn(&Panicked) + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                reporter: Box::new(reporter),
                panics: AtomicU64::new(0),
            }),
        }
    }

    /// Wraps the main function of a thread.
    ///
    /// The closure that comes back answers `Err` in the place of a panic. The values that `body`
    /// has captured are dropped inside the guard; what it returns is dropped by whoever gets it.
    pub fn wrap_thread<T, B>(
        &self,
        component: &str,
        body: B,
    ) -> impl FnOnce() -> Result<T, Box<Panicked>> + use<T, B>
    where
        B: FnOnce() -> T,
    {
        let guard = self.clone();
        let component = Arc::from(component);
        move || guard.catch(&component, body)
    }

    /// Wraps the main future of a task, for whichever runtime.
    ///
    /// After a panic the inner future is dropped and never polled again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the wrapped future drops the inner one, as ever; a panic of its destructor is
    /// reported and goes no further.
    ///
    /// ```
    /// use relay_forensics::PanicGuard;
    /// use std::{pin::pin, task::{Context, Poll, Waker}};
    ///
    /// let guard = PanicGuard::new(|panicked| eprintln!("{panicked}"));
    /// let mut task = pin!(guard.wrap("reader", async { panic!("end of the world") }));
    /// let Poll::Ready(result) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
    ///     unreachable!();
    /// };
    /// let result: Result<(), _> = result;
    /// assert_eq!(result.unwrap_err().message, "end of the world");
    /// ```
    pub fn wrap<F: Future>(&self, component: &str, future: F) -> Guarded<F> {
        Guarded {
            guard: self.clone(),
            component: Arc::from(component),
            future: Some(Box::pin(future)),
        }
    }

    /// How many panics this guard has caught.
    pub fn panics(&self) -> u64 {
        self.shared.panics.load(Ordering::Relaxed)
    }

    fn catch<T>(&self, component: &Arc<str>, body: impl FnOnce() -> T) -> Result<T, Box<Panicked>> {
        let _scope = panic_hook::Scope::enter();
        // Nothing that `body` has touched is used after a panic, only dropped.
        panic::catch_unwind(AssertUnwindSafe(body))
            .map_err(|payload| Box::new(self.report(component, payload)))
    }

    fn report(&self, component: &Arc<str>, payload: Box<dyn Any + Send>) -> Panicked {
        let capture = panic_hook::take();
        let message = message_of(payload.as_ref());
        dispose(payload);
        let (location, backtrace) = capture.map_or((None, None), |c| (c.location, c.backtrace));
        let panicked = Panicked {
            component: Arc::clone(component),
            message,
            location,
            backtrace,
            ordinal: self.shared.panics.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let report = || (self.shared.reporter)(&panicked);
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(report)) {
            dispose(payload);
        }
        panicked
    }
}

impl fmt::Debug for PanicGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PanicGuard")
            .field("panics", &self.panics())
            .finish_non_exhaustive()
    }
}

// === impl Guarded ===

impl<F: Future> Guarded<F> {
    fn poll_inner(&mut self, context: &mut Context<'_>) -> Poll<Result<F::Output, Box<Panicked>>> {
        let future = self.future.as_mut().expect("polled after completion");
        self.guard
            .catch(&self.component, || future.as_mut().poll(context))
            .map_or_else(|panicked| Poll::Ready(Err(panicked)), |poll| poll.map(Ok))
    }

    fn drop_inner(&mut self) -> Result<(), Box<Panicked>> {
        let future = self.future.take();
        self.guard.catch(&self.component, || drop(future))
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, Box<Panicked>>;

    /// # Panics
    ///
    /// When polled again after it was ready, as futures may.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_inner(context)
            .map(|result| result.and_then(|output| self.drop_inner().map(|()| output)))
    }
}

impl<F: Future> Drop for Guarded<F> {
    fn drop(&mut self) {
        if self.future.is_some() {
            // Reported; there is nobody left to hand it to.
            let _ = self.drop_inner();
        }
    }
}

impl<F: Future> fmt::Debug for Guarded<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("component", &self.component)
            .finish_non_exhaustive()
    }
}

// === impl Panicked ===

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked", self.component)?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Panicked {}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(a payload that is not a text)");
    text[..text.floor_char_boundary(MESSAGE_MAX_BYTES)].to_owned()
}

/// Drops a payload whose own destructor may panic, whose payload may again. One that insists is
/// leaked rather than followed down.
pub(crate) fn dispose(payload: Box<dyn Any + Send>) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(payload);
    }
}

#[cfg(test)]
mod tests;
