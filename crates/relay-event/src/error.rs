//! What can go wrong; a refused event comes back to whoever published it.

use crate::budget::BudgetError;
use crate::event::Event;
use crate::topic::TopicError;
use std::fmt;
use std::sync::Arc;

/// An event could not be built.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventError {
    /// The topic is not one.
    Topic(TopicError),
    /// The id is empty, too long, or holds a control character.
    Id {
        /// The most bytes an id may have.
        max_bytes: usize,
    },
    /// There are more headers than allowed.
    TooManyHeaders {
        /// How many there are.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A header's name or value is too long.
    HeaderTooLong {
        /// The beginning of its name.
        name: String,
        /// The most bytes of a name or value.
        max_bytes: usize,
    },
    /// It is larger than its reservation, and the ledger has no room for the difference.
    Budget(BudgetError),
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(error) => error.fmt(f),
            Self::Id { max_bytes } => {
                write!(
                    f,
                    "event id must have 1 to {max_bytes} bytes and no control characters"
                )
            }
            Self::TooManyHeaders { count, max } => {
                write!(f, "event has {count} headers, at most {max} are allowed")
            }
            Self::HeaderTooLong { name, max_bytes } => {
                write!(
                    f,
                    "header {name:?} has a name or value of more than {max_bytes} bytes"
                )
            }
            Self::Budget(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EventError {}

impl From<TopicError> for EventError {
    fn from(error: TopicError) -> Self {
        Self::Topic(error)
    }
}

impl From<BudgetError> for EventError {
    fn from(error: BudgetError) -> Self {
        Self::Budget(error)
    }
}

/// [`Bus::try_publish`](crate::Bus::try_publish) delivered the event to nobody; here it is back.
#[derive(Clone)]
#[non_exhaustive]
pub enum TryPublishError {
    /// A reliable subscription has no room.
    Full {
        /// The event.
        event: Event,
        /// The name of the subscription.
        subscription: Arc<str>,
    },
    /// The bus is closed.
    Closed(Event),
}

impl TryPublishError {
    /// The event that was not published.
    pub fn into_event(self) -> Event {
        match self {
            Self::Full { event, .. } | Self::Closed(event) => event,
        }
    }

    /// Whether waiting may help.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

impl fmt::Debug for TryPublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TryPublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full {
                event,
                subscription,
            } => {
                write!(
                    f,
                    "event {} was not published: subscription {subscription:?} is full",
                    event.id()
                )
            }
            Self::Closed(event) => write!(
                f,
                "event {} was not published: the bus is closed",
                event.id()
            ),
        }
    }
}

impl std::error::Error for TryPublishError {}

/// [`Bus::publish`](crate::Bus::publish) found the bus closed; here is the event.
#[derive(Clone)]
pub struct PublishError(pub Event);

impl fmt::Debug for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "event {} was not published: the bus is closed",
            self.0.id()
        )
    }
}

impl std::error::Error for PublishError {}

/// There is no new subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The bus is closed.
    Closed,
    /// There are as many subscriptions as the bus allows.
    TooMany {
        /// How many that is.
        max: usize,
    },
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("cannot subscribe: the bus is closed"),
            Self::TooMany { max } => write!(
                f,
                "cannot subscribe: the bus already has {max} subscriptions"
            ),
        }
    }
}

impl std::error::Error for SubscribeError {}
