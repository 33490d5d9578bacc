//! Small pieces that fit one leaf to another.

use relay_control::Red;
use relay_event::{EarlyDrop, Priority};

/// Random early detection as the early-drop policy of a subscription: the ramp over the present occupancy.
#[derive(Debug, Clone)]
pub struct RedEarlyDrop(pub Red);

impl EarlyDrop for RedEarlyDrop {
    fn drops(&self, occupancy: f64, priority: Priority) -> bool {
        self.0
            .should_drop_for(occupancy, priority as usize, fastrand::f64())
    }

    fn probability(&self, occupancy: f64, priority: Priority) -> Option<f64> {
        Some(self.0.probability_for(occupancy, priority as usize))
    }
}
