//! Small pieces that fit one leaf to another.

use crate::try_lock;
use relay_control::{DropSpread, Red};
use relay_event::{EarlyDrop, Priority};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Random early detection as the early-drop policy of a subscription: the ramp over the present occupancy, its drops at
/// even distances.
///
/// Present, not averaged: an average needs a time, and publishing reads no clock. What an average would smooth, the queue
/// smooths already, and nothing is ever dropped below the threshold.
///
/// ```
/// use relay_control::{Red, RedConfig};
/// use relay_engine::RedEarlyDrop;
/// use relay_event::{Delivery, Overflow, SubscribeOptions};
/// use std::sync::Arc;
///
/// let curve = RedConfig { class_weights: [2.0, 1.0, 0.5, 0.0], ..RedConfig::classic() };
/// let options = SubscribeOptions::new("samples").delivery(Delivery::Sheddable {
///     overflow: Overflow::DropNewest,
///     early_drop: Some(Arc::new(RedEarlyDrop::new(Red::try_new(curve)?))),
/// });
/// # let _ = options;
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug)]
pub struct RedEarlyDrop {
    red: Red,
    spread: Mutex<DropSpread>,
    /// Whether `spread` has nothing to forget.
    is_calm: AtomicBool,
}

impl RedEarlyDrop {
    /// Drops by this curve.
    pub fn new(red: Red) -> Self {
        Self {
            red,
            spread: Mutex::default(),
            is_calm: AtomicBool::new(true),
        }
    }
}

impl EarlyDrop for RedEarlyDrop {
    fn drops(&self, occupancy: f64, priority: Priority) -> bool {
        let class = priority as usize;
        let is_calm = self.red.probability(occupancy) <= 0.0;
        if is_calm && self.is_calm.load(Relaxed) {
            return false;
        }
        let chance = fastrand::f64();
        // A bus asks under its own lock. Only a policy that several buses share can be busy here, and none of them waits.
        let Some(mut spread) = try_lock(&self.spread) else {
            return self.red.should_drop_for(occupancy, class, chance);
        };
        self.is_calm.store(is_calm, Relaxed);
        if is_calm {
            *spread = DropSpread::default();
            return false;
        }
        spread.drops(self.red.probability_for(occupancy, class), class, chance)
    }

    fn probability(&self, occupancy: f64, priority: Priority) -> Option<f64> {
        Some(self.red.probability_for(occupancy, priority as usize))
    }
}
