#![allow(clippy::unwrap_used)]

use super::*;
use relay_event::{
    Bus, Delivery, ErrorFilter, ErrorSubscription, Event, Overflow, SubscribeOptions, Subscription,
};

struct World {
    bus: Bus,
    queue: Subscription,
    watch: Watch,
    errors: ErrorBus,
    told: ErrorSubscription,
    now: Instant,
}

impl World {
    fn new(delivery: Delivery) -> Self {
        let bus = Bus::new("external");
        let options = SubscribeOptions::new("q")
            .delivery(delivery)
            .limit_events(10);
        let queue = bus.subscribe(options).unwrap();
        let errors = ErrorBus::new();
        Self {
            watch: Watch::new(bus.name(), queue.monitor()),
            told: errors.subscribe(ErrorFilter::all()).unwrap(),
            bus,
            queue,
            errors,
            now: Instant::now(),
        }
    }

    fn publish(&self, events: usize) -> usize {
        let event = Event::builder("t").build().unwrap();
        (0..events)
            .filter(|_| self.bus.try_publish(event.clone()).is_ok())
            .count()
    }

    /// Looks after so many milliseconds; what was told.
    fn look(&mut self, after_ms: u64) -> Vec<(Code, Signal)> {
        self.now += Duration::from_millis(after_ms);
        self.watch.look(&tick(self.now), &self.errors);
        std::iter::from_fn(|| self.told.try_recv())
            .map(|event| {
                assert_eq!(event.component.to_string(), "bus:external:sub:0");
                (event.code, event.signal)
            })
            .collect()
    }
}

fn tick(now: Instant) -> Tick {
    Tick {
        number: 1,
        now,
        since: Duration::ZERO,
    }
}

#[test]
fn saturation_is_told_at_the_edges_with_hysteresis() {
    let mut world = World::new(Delivery::Reliable);
    world.publish(8);
    assert_eq!(world.look(50), [], "80 % is not more than 80 %");
    world.publish(1);
    assert_eq!(world.look(50), [(Code::BufferSaturated, Signal::Throttle)]);
    assert_eq!(world.look(50), [], "once an episode");
    world.queue.read(3);
    assert_eq!(world.look(50), [], "60 % is not below 60 %");
    world.queue.read(1);
    assert_eq!(world.look(50), [(Code::BufferSaturated, Signal::Recovered)]);
}

#[test]
fn back_pressure_is_an_episode_with_a_warning_and_an_end() {
    let mut world = World::new(Delivery::Reliable);
    assert_eq!(world.publish(11), 10);
    let begins = [
        (Code::BufferSaturated, Signal::Throttle),
        (Code::BackPressure, Signal::Throttle),
    ];
    assert_eq!(world.look(50), begins);
    assert_eq!(
        world.look(900),
        [],
        "nobody was turned away since, but it is not calm yet"
    );
    world.publish(1);
    assert_eq!(world.look(200), [(Code::PublishBlock, Signal::Throttle)]);
    world.publish(1);
    assert_eq!(world.look(50), [], "warned once");
    assert_eq!(world.look(999), []);
    assert_eq!(world.look(1), [(Code::BackPressure, Signal::Recovered)]);
}

#[test]
fn a_publisher_that_waits_is_back_pressure_too() {
    let mut world = World::new(Delivery::Reliable);
    world.publish(10);
    world.look(50);
    let event = Event::builder("t").build().unwrap();
    let mut waiting = Box::pin(world.bus.publish(event));
    let waker = std::task::Waker::noop();
    let polled = waiting
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker));
    assert!(polled.is_pending());
    assert_eq!(world.look(50), [(Code::BackPressure, Signal::Throttle)]);
    assert_eq!(world.look(1001), [(Code::PublishBlock, Signal::Throttle)]);
}

#[test]
fn drops_are_told_by_kind_once_a_second_with_their_number() {
    for (overflow, code) in [
        (Overflow::DropNewest, Code::DropFull),
        (Overflow::DropOldest, Code::DropSlow),
    ] {
        let mut world = World::new(Delivery::sheddable(overflow));
        world.publish(12);
        let told = world.look(50);
        assert_eq!(
            told,
            [
                (Code::BufferSaturated, Signal::Throttle),
                (code, Signal::Shed)
            ]
        );
        world.publish(3);
        assert_eq!(world.look(500), [], "at most once a second");
        assert_eq!(world.look(500), [(code, Signal::Shed)]);
        assert_eq!(world.look(5000), [], "nothing new");
        assert_eq!(world.errors.count(code), 2);
    }
}

#[test]
fn early_drops_have_a_code_of_their_own() {
    let early = |occupancy: f64, _| occupancy >= 0.5;
    let mut world = World::new(Delivery::Sheddable {
        overflow: Overflow::DropNewest,
        early_drop: Some(Arc::new(early)),
    });
    world.publish(8);
    assert_eq!(world.look(50), [(Code::DropRed, Signal::Shed)]);
}

#[test]
fn a_look_allocates_nothing() {
    let mut world = World::new(Delivery::Reliable);
    world.publish(11);
    let (watch, errors, now) = (&mut world.watch, &world.errors, world.now);
    errors.publish(ErrorEvent::new(
        Code::Panic,
        Severity::Error,
        Component::Engine,
    ));
    let allocations = allocation_counter::measure(|| watch.look(&tick(now), errors)).count_total;
    assert_eq!(allocations, 0);
}
