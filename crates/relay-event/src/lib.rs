//! Events, topics, bounded buses, the byte ledger and the admission gate.
//!
//! A service that queues work inside a memory limit needs three things that ordinary channels do not give: a bound
//! in **bytes** over everything that is queued, a way to **refuse before reading**, and queues whose bounds **change
//! while producers run**. This crate is those three and nothing else: it reads no kernel file, knows no control law,
//! starts no thread and needs no async runtime (wakers are the standard library's).
//!
//! ```text
//! gate.admit(bytes, priority) ──▶ Permit ──▶ Event ──▶ bus.publish ──▶ each subscription's queue ──▶ receiver
//!      │ refused                   (reservation follows the event; its last drop returns the bytes)
//!      └── Rejection { reason, retry_after }
//! ```
//!
//! # Example
//!
//! ```
//! use relay_event::{Bus, ByteBudget, Event, Filter, Gate, Priority, SubscribeOptions};
//!
//! let budget = ByteBudget::new(1 << 20);
//! let gate = Gate::new(budget.clone());
//! let bus = Bus::new("orders");
//! let mut subscription = bus.subscribe(SubscribeOptions::new("billing").filter(Filter::topics(["order.*"])?))?;
//!
//! let permit = gate.admit(512, Priority::Normal)?;
//! let event = Event::builder("order.created")
//!     .source("/shop")
//!     .payload("{\"total\": 12}")
//!     .charge(permit)
//!     .build()?;
//! bus.try_publish(event)?;
//!
//! let event = subscription.try_recv().expect("it was just published");
//! assert_eq!(event.topic().as_str(), "order.created");
//! assert!(budget.used_bytes() > 0);
//! drop(event);
//! assert_eq!(budget.used_bytes(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When not to use it
//!
//! For hand-off between two tasks that needs neither a byte bound nor fan-out, a plain bounded channel is simpler.
//! For durable queues, put a log behind a subscription; this crate holds what it queues in memory only.
//!
//! # Features
//!
//! `json` adds [`codec`]: the `CloudEvents` 1.0 JSON form of an event, and a raw form.

mod batch;
mod bell;
mod biased;
mod budget;
mod bus;
mod clock;
mod code;
#[cfg(feature = "json")]
pub mod codec;
mod component;
mod counted;
mod early_drop;
mod error;
mod error_bus;
mod event;
mod fence;
mod filter;
mod gate;
mod group;
mod id;
mod light_lock;
mod log;
mod place;
mod priority;
mod publisher;
mod queue;
mod reader;
mod report;
mod ring;
mod routes;
mod seat;
mod shared;
mod shares;
mod side;
mod subscription;
mod sync;
mod tally;
mod text;
mod tokens;
mod topic;
mod wait;
mod wait_times;

pub use batch::{Batch, Outcome};
pub use budget::{BudgetError, ByteBudget, Reservation};
pub use bus::{Bus, Progress, Publish, Published};
pub use code::{Code, UnknownCode};
pub use component::{Component, ParseComponentError};
pub use early_drop::EarlyDrop;
pub use error::{EventError, PublishError, SubscribeError, TryPublishError};
pub use error_bus::{ErrorBus, ErrorFilter, ErrorHandler, ErrorSubscription, ErrorTap};
pub use event::{Event, EventBuilder, Headers};
pub use filter::{Filter, Pattern, PatternError};
pub use gate::{Gate, Permit, Reason, Rejection};
pub use id::EventId;
pub use priority::{ParsePriorityError, Priority};
pub use publisher::{ExclusivePublisher, Publisher};
pub use report::{ErrorEvent, Fields, ParseSeverityError, Severity, Signal, Trace, Value};
pub use subscription::{
    Delivery, Overflow, Read, SubscribeOptions, Subscription, SubscriptionId, SubscriptionMonitor,
};
pub use tally::{DropReason, QueuePressure, SubscriptionStats};
pub use topic::{Topic, TopicError};
pub use wait::block_on;
pub use wait_times::WaitTimes;
