//! What brings events in.

use crate::breaker::default_breaker;
use crate::ingest::Ingest;
use crate::pool::Pool;
use crate::stop::Stop;
use relay_control::{BackoffConfig, BreakerConfig, StartLimitConfig};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A boxed future: what the traits of this crate return, so that they can be used as trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Brings events in from outside: admits them at the gate, publishes them on the external bus, and tells the sender
/// what became of them.
///
/// ```
/// use relay_engine::{Adapter, AdapterContext, AdapterError, BoxFuture};
/// use relay_event::{Event, Priority};
///
/// /// Publishes one event a second until it is told to stop.
/// struct Heartbeat;
///
/// impl Adapter for Heartbeat {
///     fn kind(&self) -> &'static str {
///         "heartbeat"
///     }
///
///     fn run(self: Box<Self>, cx: AdapterContext) -> BoxFuture<'static, Result<(), AdapterError>> {
///         Box::pin(async move {
///             while !cx.stop.is_stopped() {
///                 let arrival = cx.ingest.arrive();
///                 match cx.ingest.admit(512, Priority::Normal) {
///                     Ok(permit) => {
///                         let event = Event::builder("heartbeat").charge(permit).build();
///                         let event = event.map_err(|e| AdapterError::with_source("cannot build a heartbeat", e))?;
///                         match cx.ingest.publish(event) {
///                             Ok(()) => arrival.accept(),
///                             Err(refusal) => arrival.refuse(refusal.reason),
///                         }
///                     }
///                     Err(refusal) => arrival.refuse(refusal.reason),
///                 }
///                 cx.stop.sleep(std::time::Duration::from_secs(1)).await;
///             }
///             Ok(())
///         })
///     }
/// }
/// ```
pub trait Adapter: Send + 'static {
    /// What sort it is, such as `http`.
    fn kind(&self) -> &'static str;

    /// Gets ready, for example binds its socket. The engine starts only if every adapter did, but for those that are
    /// [optional](AdapterOptions::optional): they are started again until it works.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from working at all, in words for the person who starts the program.
    fn start<'a>(&'a mut self, cx: &'a AdapterContext) -> BoxFuture<'a, Result<(), AdapterError>> {
        let _ = cx;
        Box::pin(async { Ok(()) })
    }

    /// Runs until told to stop; what is under way may be finished within [`AdapterContext::drain`].
    ///
    /// # Errors
    ///
    /// Whatever ends it before that.
    fn run(self: Box<Self>, cx: AdapterContext) -> BoxFuture<'static, Result<(), AdapterError>>;

    /// Another one of the same configuration, not started, to take over when [`run`](Self::run) ends with an error or a
    /// panic. It is asked for once this one has started, and goes on with the same [pool](Self::pool). Without one (the
    /// default) it stays gone, and its health says so.
    fn successor(&self) -> Option<Box<dyn Adapter>> {
        None
    }

    /// Its workers, if their number can be changed while it runs. Asked for once it has started.
    fn pool(&self) -> Option<Arc<dyn Pool>> {
        None
    }
}

/// What the engine does when an adapter fails.
///
/// An adapter whose [`run`](Adapter::run) ended with an error or a panic, and which has a
/// [successor](Adapter::successor), is started again after a back-off, and no more often than the start limit allows.
#[derive(Debug, Clone)]
#[must_use]
pub struct AdapterOptions {
    pub(crate) optional: bool,
    pub(crate) backoff: BackoffConfig,
    pub(crate) start_limit: StartLimitConfig,
    pub(crate) breaker: BreakerConfig,
}

impl Default for AdapterOptions {
    /// Required; started again after 1 s, 2 s, 4 s … 60 s, ten times a minute at most; the breaker of
    /// [`default_breaker`].
    fn default() -> Self {
        Self {
            optional: false,
            backoff: BackoffConfig::default(),
            start_limit: StartLimitConfig::default(),
            breaker: default_breaker(),
        }
    }
}

impl AdapterOptions {
    /// Whether the engine starts without it: then a start that fails is tried again in the background, with back-off and
    /// behind a breaker, and the others run meanwhile.
    pub fn optional(mut self, optional: bool) -> Self {
        self.optional = optional;
        self
    }

    /// How long to wait before it is started again.
    pub fn backoff(mut self, backoff: BackoffConfig) -> Self {
        self.backoff = backoff;
        self
    }

    /// How often it may be started again after it ran. When the limit is reached it waits until the next start is
    /// allowed; it is never given up.
    pub fn start_limit(mut self, limit: StartLimitConfig) -> Self {
        self.start_limit = limit;
        self
    }

    /// When to stop trying to start it for a while.
    pub fn breaker(mut self, breaker: BreakerConfig) -> Self {
        self.breaker = breaker;
        self
    }
}

/// What an adapter is given.
#[derive(Debug, Clone)]
pub struct AdapterContext {
    /// Its id.
    pub id: Arc<str>,
    /// The way in.
    pub ingest: Ingest,
    /// Says when to stop.
    pub stop: Stop,
    /// How long work under way may go on after that.
    pub drain: Duration,
}

/// An adapter cannot start or go on.
#[derive(Debug)]
pub struct AdapterError {
    text: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl AdapterError {
    /// In words.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            source: None,
        }
    }

    /// In words, with what caused it.
    pub fn with_source(
        text: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            text: text.into(),
            source: Some(source.into()),
        }
    }
}

impl fmt::Display for AdapterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for AdapterError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
