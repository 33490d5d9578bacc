//! Publish once, to every matching subscription, all or nothing over the reliable ones.
//!
//! A publish holds the bus's publishing lock for two short steps: look whether every reliable subscription has room,
//! then hand the event to all. Only publishers fill queues, so what the first step saw holds in the second.
//! Receivers, subscribe, unsubscribe, resize and close never take that lock, and nobody waits while holding it.

use crate::error::{PublishError, SubscribeError, TryPublishError};
use crate::event::Event;
use crate::filter::Filter;
use crate::queue::{Queue, Shedding};
use crate::subscription::{Delivery, SubscribeOptions, Subscription, SubscriptionId};
use crate::tally::{DropReason, SubscriptionStats};
use crate::wait::lock;
use arc_swap::ArcSwap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// The most subscriptions of one bus.
const MAX_SUBSCRIPTIONS: usize = 4096;

/// A bounded bus. Cloning gives another handle to the same bus.
///
/// See the [crate page](crate) for an example.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

pub(crate) struct Inner {
    name: Arc<str>,
    routes: ArcSwap<Vec<Arc<Route>>>,
    publishing: Mutex<()>,
    next_id: AtomicU64,
    closed: AtomicBool,
    shedding: AtomicBool,
    published: AtomicU64,
    unheard: AtomicU64,
}

pub(crate) struct Route {
    filter: Filter,
    queue: Arc<Queue>,
}

/// What a publish did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// To how many subscriptions the event was offered; with none it counts as `no_subscriber`.
    pub subscriptions: usize,
}

// === impl Bus ===

impl Bus {
    /// A bus without subscriptions.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            routes: ArcSwap::default(),
            publishing: Mutex::new(()),
            next_id: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            shedding: AtomicBool::new(false),
            published: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Publishes without waiting.
    ///
    /// # Errors
    ///
    /// The event comes back, delivered to nobody, when a reliable subscription has no room or the bus is closed.
    pub fn try_publish(&self, event: Event) -> Result<Published, TryPublishError> {
        self.0.try_publish(event).map_err(|refused| refused.error)
    }

    /// Publishes as soon as every matching reliable subscription has room. Those who wait for the same subscription
    /// are woken first come first served.
    ///
    /// The future fails with [`PublishError`] when the bus is closed before that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready publishes nothing; the event is dropped with it.
    pub fn publish(&self, event: Event) -> Publish {
        Publish {
            bus: Arc::clone(&self.0),
            event: Some(event),
            waiting: None,
        }
    }

    /// Adds a subscription; it sees what is published from now on.
    ///
    /// # Errors
    ///
    /// When the bus is closed or has 4096 subscriptions.
    pub fn subscribe(&self, options: SubscribeOptions) -> Result<Subscription, SubscribeError> {
        let shedding = match options.delivery {
            Delivery::Reliable => None,
            Delivery::Sheddable {
                overflow,
                early_drop,
            } => Some(Shedding {
                overflow,
                early_drop,
            }),
        };
        let id = self.0.next_id.fetch_add(1, Relaxed);
        let queue = Arc::new(Queue::new(
            options.name,
            id,
            shedding,
            options.limit_events,
            options.limit_bytes,
        ));
        let route = Arc::new(Route {
            filter: options.filter,
            queue: Arc::clone(&queue),
        });
        self.0.add(&route)?;
        Ok(Subscription::new(queue, Arc::downgrade(&self.0)))
    }

    /// Ends a subscription from outside: its receiver sees the end, what was queued counts as
    /// [`DropReason::Unsubscribed`]. Returns whether it existed; ending it twice does nothing.
    pub fn unsubscribe(&self, id: SubscriptionId) -> bool {
        let queue = self.0.remove(id.0);
        if let Some(queue) = &queue {
            queue.abandon(DropReason::Unsubscribed);
        }
        queue.is_some()
    }

    /// Accepts nothing more. Receivers get what is queued and then the end; waiting publishers get their events back.
    pub fn close(&self) {
        self.0.closed.store(true, Relaxed);
        // Whoever is publishing now has finished before the queues are closed, so no event is half published.
        let _publishing = lock(&self.0.publishing);
        for route in self.0.routes.load().iter() {
            route.queue.close();
        }
    }

    /// Whether the bus was closed.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Relaxed)
    }

    /// While set, sheddable subscriptions take nothing new; what they have queued is still delivered.
    pub fn set_shedding(&self, shedding: bool) {
        self.0.shedding.store(shedding, Relaxed);
    }

    /// Whether sheddable subscriptions are shed.
    pub fn is_shedding(&self) -> bool {
        self.0.shedding.load(Relaxed)
    }

    /// Events that were published.
    pub fn published(&self) -> u64 {
        self.0.published.load(Relaxed)
    }

    /// Published events that no subscription wanted: dropped, with the reason `no_subscriber`.
    pub fn no_subscriber(&self) -> u64 {
        self.0.unheard.load(Relaxed)
    }

    /// How many subscriptions there are.
    pub fn subscription_count(&self) -> usize {
        self.0.routes.load().len()
    }

    /// The account of every subscription.
    pub fn stats(&self) -> Vec<SubscriptionStats> {
        self.0
            .routes
            .load()
            .iter()
            .map(|route| route.queue.stats())
            .collect()
    }

    /// What the reliable subscriptions have delivered since the call before: read by one control loop, which gets
    /// it without allocating or waiting for a lock.
    pub fn progress(&self) -> Progress {
        let routes = self.0.routes.load();
        let reliable = routes.iter().filter(|route| route.queue.shedding.is_none());
        // With a backlog somewhere, the slowest of those that have one is what the bus can drain.
        reliable
            .map(|route| route.queue.take_progress())
            .reduce(|a, b| match (a.backlog, b.backlog) {
                (true, false) => a,
                (false, true) => b,
                _ if a.delivered_bytes <= b.delivered_bytes => a,
                _ => b,
            })
            .unwrap_or_default()
    }
}

/// What the slowest reliable subscription of a bus has done since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Accounted bytes it has delivered.
    pub delivered_bytes: u64,
    /// Whether it had something queued all the time: only then does the figure say how fast it can be.
    pub backlog: bool,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

// === impl Inner ===

/// A refused publish, with the queue to wait for; none when the bus is closed.
struct Refused {
    error: TryPublishError,
    full: Option<Arc<Queue>>,
}

impl Inner {
    fn try_publish(&self, event: Event) -> Result<Published, Refused> {
        let _publishing = lock(&self.publishing);
        if self.closed.load(Relaxed) {
            return Err(Refused {
                error: TryPublishError::Closed(event),
                full: None,
            });
        }
        let routes = self.routes.load();
        let size_bytes = event.size_bytes();
        let matching = || routes.iter().filter(|route| route.filter.matches(&event));
        if let Some(full) = matching()
            .find(|route| route.queue.shedding.is_none() && !route.queue.has_room(size_bytes))
        {
            let full = Arc::clone(&full.queue);
            let subscription = Arc::clone(&full.name);
            return Err(Refused {
                error: TryPublishError::Full {
                    event,
                    subscription,
                },
                full: Some(full),
            });
        }
        let mut subscriptions = 0;
        for route in matching() {
            subscriptions += 1;
            match &route.queue.shedding {
                None => route.queue.put(event.clone()),
                Some(how) => route
                    .queue
                    .offer(event.clone(), how, self.shedding.load(Relaxed)),
            }
        }
        self.published.fetch_add(1, Relaxed);
        if subscriptions == 0 {
            self.unheard.fetch_add(1, Relaxed);
        }
        Ok(Published { subscriptions })
    }

    fn add(&self, route: &Arc<Route>) -> Result<(), SubscribeError> {
        let mut too_many = false;
        self.routes.rcu(|routes| {
            let mut routes = Vec::clone(routes);
            too_many = routes.len() >= MAX_SUBSCRIPTIONS;
            if !too_many {
                routes.push(Arc::clone(route));
            }
            routes
        });
        if too_many {
            return Err(SubscribeError::TooMany {
                max: MAX_SUBSCRIPTIONS,
            });
        }
        if self.closed.load(Relaxed) {
            self.remove(route.queue.id);
            return Err(SubscribeError::Closed);
        }
        Ok(())
    }

    pub(crate) fn remove(&self, id: u64) -> Option<Arc<Queue>> {
        let mut removed = None;
        self.routes.rcu(|routes| {
            let (gone, stay): (Vec<_>, Vec<_>) = routes
                .iter()
                .cloned()
                .partition(|route| route.queue.id == id);
            removed = gone.into_iter().next();
            stay
        });
        removed.map(|route| Arc::clone(&route.queue))
    }
}

/// The future of [`Bus::publish`].
#[must_use = "nothing is published until it is awaited"]
pub struct Publish {
    bus: Arc<Inner>,
    event: Option<Event>,
    waiting: Option<(Arc<Queue>, u64)>,
}

impl Publish {
    /// Gives up its place, if it has one, and lets the next one look when there may be room.
    fn leave(&mut self) {
        if let Some((queue, key)) = self.waiting.take() {
            queue.room.leave(key);
            if queue.has_room(1) {
                queue.room.wake_first();
            }
        }
    }

    /// Whether it is its turn: always when it does not wait yet.
    fn is_first(&self, cx: &Context<'_>) -> bool {
        self.waiting
            .as_ref()
            .is_none_or(|(queue, key)| queue.room.is_first(*key, cx.waker()))
    }
}

impl Future for Publish {
    type Output = Result<Published, PublishError>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            if !this.is_first(cx) {
                return Poll::Pending;
            }
            let event = this.event.take().expect("polled after it was ready");
            let refused = match this.bus.try_publish(event) {
                Ok(published) => {
                    this.leave();
                    return Poll::Ready(Ok(published));
                }
                Err(refused) => refused,
            };
            let event = refused.error.into_event();
            let Some(queue) = refused.full else {
                this.leave();
                return Poll::Ready(Err(PublishError(event)));
            };
            this.event = Some(event);
            if this
                .waiting
                .as_ref()
                .is_some_and(|(joined, _)| Arc::ptr_eq(joined, &queue))
            {
                return Poll::Pending;
            }
            // Having joined, look again: room that was made in between has woken nobody.
            this.leave();
            let key = queue.room.join(cx.waker());
            this.waiting = Some((queue, key));
        }
    }
}

impl Drop for Publish {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}
