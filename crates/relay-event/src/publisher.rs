//! Handles for those who publish much: one of several, or the only one.

#![allow(unsafe_code)]

use crate::bus::{Inner, Publish, Published, Unpublished};
use crate::error::{PublishError, TryPublishError};
use crate::event::Event;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// How many events to a deserted bus a handle counts by itself before it tells the bus: a bound on how old the bus's
/// count can be, and the reason why publishing to nobody costs no atomic operation.
const UNHEARD_BATCH: u64 = 256;

/// A publishing handle of one thread. Cloning makes one for another thread.
///
/// What it publishes while the bus has no subscription at all is counted in [`Bus::published`](crate::Bus::published)
/// with a delay of at most 256 events, and when the handle is dropped.
pub struct Publisher {
    bus: Arc<Inner>,
    unheard: Cell<u64>,
}

impl Publisher {
    pub(crate) fn new(bus: Arc<Inner>) -> Self {
        Self {
            bus,
            unheard: Cell::new(0),
        }
    }

    /// As [`Bus::try_publish`](crate::Bus::try_publish).
    ///
    /// # Errors
    ///
    /// The event comes back, delivered to nobody, when a reliable subscription has no room or the bus is closed.
    #[inline]
    pub fn try_publish(&self, event: Event) -> Result<Published, TryPublishError> {
        if self.bus.is_deserted() {
            return Ok(self.count_unheard());
        }
        self.bus.try_publish(event).map_err(Unpublished::into_error)
    }

    /// As [`try_publish`](Self::try_publish), for an event that the caller keeps: it is cloned only if somebody listens.
    ///
    /// # Errors
    ///
    /// When a reliable subscription has no room or the bus is closed.
    #[inline]
    pub fn try_publish_ref(&self, event: &Event) -> Result<Published, TryPublishError> {
        if self.bus.is_deserted() {
            return Ok(self.count_unheard());
        }
        self.try_publish(event.clone())
    }

    /// As [`Bus::publish`](crate::Bus::publish), with the same cancel safety.
    pub fn publish(&self, event: Event) -> Publish {
        Publish::new(Arc::clone(&self.bus), event)
    }

    /// Publishes from the front of `events` until it is empty or one cannot be published, which stays in front with those
    /// behind it. Returns how many were published; the lock is taken once for each 64.
    pub fn try_publish_batch(&self, events: &mut VecDeque<Event>) -> usize {
        self.bus.try_publish_batch(events, || self.bus.side.lock())
    }

    #[inline]
    fn count_unheard(&self) -> Published {
        let unheard = self.unheard.get() + 1;
        self.unheard.set(unheard);
        if unheard >= UNHEARD_BATCH {
            self.tell();
        }
        Published { subscriptions: 0 }
    }

    #[cold]
    fn tell(&self) {
        self.bus.count_deserted(self.unheard.take());
    }
}

impl Clone for Publisher {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.bus))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.tell();
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

/// The publishing handle that pays for no lock. There is one at a time; see [`Bus::exclusive`](crate::Bus::exclusive).
pub struct ExclusivePublisher {
    shared: Publisher,
    /// Entering is for one thread at a time: the handle may be sent, not shared.
    _not_sync: PhantomData<Cell<()>>,
}

impl ExclusivePublisher {
    pub(crate) fn new(bus: Arc<Inner>) -> Option<Self> {
        bus.side.own().then(|| Self {
            shared: Publisher::new(bus),
            _not_sync: PhantomData,
        })
    }

    /// As [`Bus::try_publish`](crate::Bus::try_publish).
    ///
    /// # Errors
    ///
    /// The event comes back, delivered to nobody, when a reliable subscription has no room or the bus is closed.
    #[inline]
    pub fn try_publish(&mut self, event: Event) -> Result<Published, TryPublishError> {
        let bus = &self.shared.bus;
        if bus.is_deserted() {
            return Ok(self.shared.count_unheard());
        }
        // SAFETY: this handle is the owner as long as it lives, and is used by one thread at a time.
        bus.publish_through(event, || unsafe { bus.side.enter() })
            .map_err(Unpublished::into_error)
    }

    /// As [`Publisher::try_publish_ref`].
    ///
    /// # Errors
    ///
    /// When a reliable subscription has no room or the bus is closed.
    #[inline]
    pub fn try_publish_ref(&mut self, event: &Event) -> Result<Published, TryPublishError> {
        if self.shared.bus.is_deserted() {
            return Ok(self.shared.count_unheard());
        }
        self.try_publish(event.clone())
    }

    /// As [`Publisher::try_publish_batch`].
    pub fn try_publish_batch(&mut self, events: &mut VecDeque<Event>) -> usize {
        let bus = &self.shared.bus;
        // SAFETY: as in `try_publish`.
        bus.try_publish_batch(events, || unsafe { bus.side.enter() })
    }

    /// Publishes as soon as every matching reliable subscription has room.
    ///
    /// # Errors
    ///
    /// When the bus is closed before that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready publishes nothing; the event is dropped with it.
    pub async fn publish(&mut self, event: Event) -> Result<Published, PublishError> {
        match self.try_publish(event) {
            Ok(published) => Ok(published),
            Err(error) => self.shared.publish(error.into_event()).await,
        }
    }
}

impl Drop for ExclusivePublisher {
    fn drop(&mut self) {
        self.shared.bus.side.disown();
    }
}

impl fmt::Debug for ExclusivePublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExclusivePublisher").finish_non_exhaustive()
    }
}
