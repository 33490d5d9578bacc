//! An event pipeline that stays alive inside a memory limit.
//!
//! The engine joins four independent crates: the bus and its byte ledger ([`relay_event`]), what the kernel says
//! ([`relay_sense`]), the laws that decide ([`relay_control`]) and the recorder ([`relay_forensics`]). One thread,
//! the pulse, samples memory 20 times a second and turns the knobs of the data path: the size of the ledger, the
//! admitted rate, the lowest admitted priority, the overflow of sheddable subscriptions. Adapters bring events in
//! through the gate; emitters take them out.
//!
//! ```text
//! adapter ──▶ gate ──▶ external bus ──▶ emitter          error bus ──▶ log, handlers
//!               ▲          │ drain
//!               └── pulse ◀┴── memory, limit
//! ```
//!
//! # Example
//!
//! ```
//! use relay_engine::{BoxFuture, EmitError, Emitted, Emitter, EmitterOptions, Engine};
//! use relay_event::{Event, Priority};
//! use std::time::Duration;
//!
//! struct Print;
//!
//! impl Emitter for Print {
//!     fn kind(&self) -> &'static str {
//!         "print"
//!     }
//!
//!     fn emit<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<Emitted, EmitError>> {
//!         Box::pin(async move {
//!             events.iter().for_each(|event| println!("{}", event.topic()));
//!             Ok(Emitted::All)
//!         })
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let engine = Engine::builder().with_emitter("print", Print, EmitterOptions::default()).start().await?;
//! // The gate says no when memory is short; what it admits is accounted until the event's last drop.
//! let permit = engine.gate().admit(512, Priority::Normal)?;
//! engine.external().try_publish(Event::builder("order.created").charge(permit).build()?)?;
//! let account = engine.shutdown(Duration::from_secs(5)).await;
//! assert_eq!(account.subscriptions[0].1.delivered, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When not to use it
//!
//! If you only need a bounded bus, the laws, or the limit of the container, take that one crate.

#![forbid(unsafe_code)]

/// The example of the README, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod actuate;
mod adapter;
mod blackbox;
mod breaker;
mod builder;
mod congestion;
mod delivery;
mod elastic;
mod emitter;
mod engine;
mod error;
mod handler;
mod health;
mod ingest;
mod join;
mod knobs;
mod levels;
mod paced;
mod parts;
mod pool;
mod pulse;
mod reclaimer;
mod report;
mod sentry;
mod share;
mod sketch;
mod slots;
mod stall;
mod start;
mod state;
mod stop;
mod supervise;
mod telemetry;
mod trigger;
mod tuning;
mod vigil;
mod wire;
mod workers;

use std::sync::{Mutex, MutexGuard, TryLockError};

pub use actuate::GovernorHistory;
pub use adapter::{Adapter, AdapterContext, AdapterError, AdapterOptions, BoxFuture};
pub use blackbox::{BlackboxConfig, CrashFolder};
pub use breaker::{BreakerStatus, default_breaker};
pub use builder::EngineBuilder;
pub use elastic::{PoolBounds, WORKERS_MAX};
pub use emitter::{EmitError, Emitted, Emitter, EmitterOptions, RetryPolicy};
pub use engine::{Engine, Observer, ShutdownRequest};
pub use error::BuildError;
pub use handler::LogHandler;
pub use health::Health;
pub use ingest::{Arrival, Ingest, IngestStats, Refusal, RefusalReason};
pub use join::RedEarlyDrop;
pub use paced::PacedPublisher;
pub use pool::{Pool, PoolReading};
pub use pulse::{Mode, Observation};
pub use stall::StallConfig;
pub use state::{
    BusState, EmitterState, EngineState, GateState, LedgerState, PaceState, PoolState, QueueState,
};
pub use stop::Stop;
pub use telemetry::Telemetry;
pub use tuning::Tuning;
pub use workers::{Worker, Workers};

/// Locks if nobody else has it at this moment, also after a panic: what these mutexes guard is valid at every step. For the
/// pulse, which waits for nobody, and starts again when it has panicked.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// An error with everything that caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
