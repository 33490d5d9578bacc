//! Random early detection in a live bus: what is dropped, measured against the curve.
#![allow(clippy::unwrap_used, reason = "a test")]

use relay_control::{Red, RedConfig};
use relay_engine::RedEarlyDrop;
use relay_event::{
    Bus, Delivery, DropReason, Event, Overflow, Priority, SubscribeOptions, Subscription,
};
use std::sync::Arc;

const LIMIT: u64 = 1000;

struct Sheddable {
    bus: Bus,
    subscription: Subscription,
}

impl Sheddable {
    fn new(curve: RedConfig, overflow: Overflow) -> Self {
        let bus = Bus::new("external");
        let early_drop = RedEarlyDrop::new(Red::try_new(curve).unwrap());
        let options = SubscribeOptions::new("samples")
            .limit_events(LIMIT as usize)
            .delivery(Delivery::Sheddable {
                overflow,
                early_drop: Some(Arc::new(early_drop)),
            });
        let subscription = bus.subscribe(options).unwrap();
        Self { bus, subscription }
    }

    fn publish(&self, priority: Priority) {
        let event = Event::builder("sample").priority(priority).build().unwrap();
        self.bus.try_publish(event).unwrap();
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.subscription.stats().dropped(reason)
    }

    /// Publishes `events` while the queue holds `queued`, and says what share of them was dropped early.
    fn early_share(&mut self, queued: u64, events: u64, priority: Priority) -> f64 {
        while self.subscription.stats().queued_events < queued as usize {
            // Control is never dropped early, so that it fills the queue to any level.
            self.publish(Priority::Control);
        }
        let before = self.dropped(DropReason::Early);
        for _ in 0..events {
            self.publish(priority);
            if self.subscription.stats().queued_events > queued as usize {
                drop(self.subscription.try_recv().unwrap());
            }
        }
        (self.dropped(DropReason::Early) - before) as f64 / events as f64
    }
}

/// AJ10, AJ19, P06: nothing up to 60 %, then the ramp, to within a twentieth of it over 60,000 events at each fill: at the
/// least likely drop that is nearly five standard deviations.
#[test]
fn what_is_dropped_early_is_what_the_curve_says() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let mut queue = Sheddable::new(RedConfig::classic(), overflow);
        for (queued, law) in [
            (300, 0.0),
            (600, 0.0),
            (650, 0.0375),
            (700, 0.075),
            (800, 0.15),
            (900, 0.225),
            (999, 0.299_25),
        ] {
            let share = queue.early_share(queued, 60_000, Priority::Normal);
            assert!(
                (share - law).abs() <= law / 20.0,
                "{share} at {queued}, by the law {law}"
            );
        }
    }
}

#[test]
fn weights_make_the_less_important_go_first() {
    let curve = RedConfig {
        class_weights: [2.0, 1.0, 0.5, 0.0],
        ..RedConfig::classic()
    };
    let red = Red::try_new(curve.clone()).unwrap();
    let mut queue = Sheddable::new(curve, Overflow::DropNewest);
    for priority in Priority::ALL {
        let law = red.probability_for(0.8, priority as usize);
        let share = queue.early_share(800, 20_000, priority);
        assert!(
            (share - law).abs() <= law / 20.0,
            "{share} of {priority}, by the law {law}"
        );
    }
}

/// Even distances: with 15 % never more than 13 events between two drops, where dice would leave gaps of 50 and more.
#[test]
fn drops_come_at_even_distances() {
    let mut queue = Sheddable::new(RedConfig::classic(), Overflow::DropNewest);
    queue.early_share(800, 1, Priority::Normal);
    for _ in 0..1000 {
        let share = queue.early_share(800, 14, Priority::Normal);
        assert!(share > 0.0, "fourteen in a row were taken");
    }
}

/// P09: the curve is asked first, the bound decides about what it lets through, and each has a count of its own.
#[test]
fn the_curve_comes_before_the_bound_and_is_counted_apart() {
    let events = 20_000;
    for (overflow, reason) in [
        (Overflow::DropNewest, DropReason::Full),
        (Overflow::DropOldest, DropReason::Oldest),
    ] {
        let mut queue = Sheddable::new(RedConfig::classic(), overflow);
        let early = queue.early_share(LIMIT, events, Priority::Normal);
        assert!((early - 0.30).abs() < 0.015, "{early}");
        let by_bound = queue.dropped(reason) as f64 / events as f64;
        assert!(
            (early + by_bound - 1.0).abs() < 1e-9,
            "{early} and {by_bound}"
        );
        assert!(queue.subscription.stats().is_closed());
    }
}
