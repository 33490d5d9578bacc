//! What moving the bound of a subscription does to memory, step by step.
//!
//! `cargo run --release -p relay-event --example resize`. Bytes are those that the allocator has handed out: what a process
//! keeps resident beyond them is the allocator's affair.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use relay_event::{Bus, Event, SubscribeOptions, Subscription};

const SMALL: usize = 1024;
const LARGE: usize = 65_536;

/// Events that carry nothing, so that what is seen is the queue and the events themselves.
fn publish(bus: &Bus, count: usize) {
    for _ in 0..count {
        bus.try_publish(Event::builder("step").build().unwrap())
            .unwrap();
    }
}

fn take(subscription: &mut Subscription, count: usize) {
    for _ in 0..count {
        assert!(subscription.try_recv().is_some());
    }
}

fn main() {
    let bus = Bus::new("resize");
    let mut held = 0;
    println!("| step | bound, events | queued | bytes held | change |\n|---|---|---|---|---|");
    let mut subscription = None;
    let mut step = |name: &str, bound: usize, act: &mut dyn FnMut(&mut Option<Subscription>)| {
        let change = allocation_counter::measure(|| act(&mut subscription)).bytes_current;
        held += change;
        let queued = subscription.as_ref().unwrap().stats().queued_events;
        println!("| {name} | {bound} | {queued} | {held} | {change:+} |");
    };
    step("subscribed", SMALL, &mut |subscription| {
        let options = SubscribeOptions::new("reader")
            .limit_events(SMALL)
            .limit_bytes(u64::MAX);
        *subscription = Some(bus.subscribe(options).unwrap());
    });
    let resize = |events: usize| {
        move |subscription: &mut Option<Subscription>| {
            subscription
                .as_ref()
                .unwrap()
                .set_limits(Some(events), None);
        }
    };
    step("filled", SMALL, &mut |_| publish(&bus, SMALL));
    step("grown while full", LARGE, &mut resize(LARGE));
    step("filled", LARGE, &mut |_| publish(&bus, LARGE - SMALL));
    step("shrunk while full", SMALL, &mut resize(SMALL));
    step("drained", SMALL, &mut |subscription| {
        take(subscription.as_mut().unwrap(), LARGE);
    });
    step("one event more", SMALL, &mut |subscription| {
        publish(&bus, 1);
        take(subscription.as_mut().unwrap(), 1);
    });
    step("grown while empty", LARGE, &mut resize(LARGE));
    step("shrunk while empty", SMALL, &mut resize(SMALL));
}
