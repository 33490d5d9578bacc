//! What brings events in.

use crate::ingest::Ingest;
use crate::stop::Stop;
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

    /// Gets ready, for example binds its socket; the engine starts only if every adapter did.
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
