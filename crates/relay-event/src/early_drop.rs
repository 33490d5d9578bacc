//! Dropping a little before a queue is full, so that it does not have to drop everything when it is.

use crate::priority::Priority;

/// A policy that a sheddable subscription asks for each event, such as random early detection.
///
/// Called on the publishing path: it must not block, and should not allocate. A policy that panics is taken to have
/// said "take it".
pub trait EarlyDrop: Send + Sync {
    /// Whether to drop an event of this `priority` while the queue is filled to `occupancy` (0 empty, 1 full, the
    /// larger of events and bytes).
    fn drops(&self, occupancy: f64, priority: Priority) -> bool;

    /// How likely it would be to drop such an event, for people who look on; `None` where that is no single number.
    fn probability(&self, occupancy: f64, priority: Priority) -> Option<f64> {
        let _ = (occupancy, priority);
        None
    }
}

impl<F: Fn(f64, Priority) -> bool + Send + Sync> EarlyDrop for F {
    fn drops(&self, occupancy: f64, priority: Priority) -> bool {
        self(occupancy, priority)
    }
}
