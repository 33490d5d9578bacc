//! Publishes events without end through one bus, with readers of every kind, bounds that move, and subscriptions that come
//! and go; fails when an account does not close or memory grows. `cargo xtask soak` builds and runs it.
//!
//! Usage: `soak EVENTS`

use relay_event::{
    Bus, ByteBudget, Delivery, Event, Overflow, Priority, SubscribeOptions, Subscription, block_on,
};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// How much more may be resident at the end than after the first tenth: what allocators keep back for eight threads varies
/// by as much, and a leak of one pointer an event is more after three million.
const GROWTH_MAX_KIB: u64 = 16 << 10;

/// The part of its events that the first publisher publishes with the exclusive handle, one in so many: beside others it is
/// slow, and what matters is that it comes and goes.
const EXCLUSIVE_PART: u64 = 200;

/// Publishers, of which the first begins with the exclusive handle.
const PUBLISHERS: u64 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let events: u64 = std::env::args()
        .nth(1)
        .ok_or("usage: soak EVENTS")?
        .parse()?;
    let bus = Bus::new("soak");
    let budget = ByteBudget::new(64 << 20);
    let published = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let kinds = [
        Delivery::Reliable,
        Delivery::Reliable,
        Delivery::sheddable(Overflow::DropNewest),
        Delivery::sheddable(Overflow::DropOldest),
    ];
    let mut readers = Vec::new();
    for kind in kinds {
        let options = SubscribeOptions::new("reader")
            .delivery(kind)
            .limit_events(1024);
        let subscription = bus.subscribe(options)?;
        readers.push(thread::spawn(move || read(subscription)));
    }
    let churn = {
        let (bus, done) = (bus.clone(), Arc::clone(&done));
        thread::spawn(move || come_and_go(&bus, &done))
    };
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let (bus, budget, published) = (bus.clone(), budget.clone(), Arc::clone(&published));
            let share = events / PUBLISHERS;
            thread::spawn(move || publish(&bus, &budget, share, publisher == 0, &published))
        })
        .collect();
    let resident_kib = watch(&published, events / PUBLISHERS * PUBLISHERS)?;
    for publisher in publishers {
        publisher.join().map_err(|_| "a publisher panicked")?;
    }
    done.store(true, Relaxed);
    churn.join().map_err(|_| "the churn panicked")?;
    bus.close();
    for reader in readers {
        let stats = reader.join().map_err(|_| "a reader panicked")?;
        if !stats.is_closed() || (stats.reliable && stats.delivered != stats.offered) {
            return Err(format!("an account does not close: {stats:?}").into());
        }
    }
    if budget.used_bytes() != 0 {
        return Err(format!("{} bytes are still charged", budget.used_bytes()).into());
    }
    let [early, late] = resident_kib;
    if late > early + GROWTH_MAX_KIB {
        return Err(format!("memory grew from {early} to {late} KiB").into());
    }
    report(&format!(
        "{} events published; every account closed; resident {early} KiB after a tenth, {late} KiB at the end",
        bus.published()
    ));
    Ok(())
}

fn publish(bus: &Bus, budget: &ByteBudget, events: u64, exclusive: bool, published: &AtomicU64) {
    let mut exclusive = exclusive.then(|| bus.exclusive()).flatten();
    let shared = bus.publisher();
    let event = || {
        let reservation = budget.reserve(512, Priority::Control).ok()?;
        let event = Event::builder("soak")
            .payload(&b"payload"[..])
            .charge(reservation);
        event.build().ok()
    };
    // A few hundred events go round: what is measured is the bus, and the ledger sees them come and go.
    let mut ready: Vec<Event> = Vec::new();
    for number in 0..events {
        if number.is_multiple_of(1 << 16) {
            ready = (0..256).filter_map(|_| event()).collect();
        }
        if number >= events / EXCLUSIVE_PART {
            exclusive = None;
        }
        let event = ready[number as usize % ready.len()].clone();
        let sent = match &mut exclusive {
            Some(exclusive) => block_on(exclusive.publish(event)).is_ok(),
            None => block_on(shared.publish(event)).is_ok(),
        };
        assert!(sent, "the bus is open");
        if number % 1024 == 1023 {
            published.fetch_add(1024, Relaxed);
        }
    }
    published.fetch_add(events % 1024, Relaxed);
}

fn read(mut subscription: Subscription) -> relay_event::SubscriptionStats {
    let mut seen = 0_usize;
    while let Some(event) = subscription.recv_blocking() {
        drop(event);
        seen += 1 + subscription.read(256).len();
        if seen.is_multiple_of(4099) {
            subscription.set_limits(Some(64 + seen % 4096), None);
        }
    }
    subscription.stats()
}

fn come_and_go(bus: &Bus, done: &AtomicBool) {
    while !done.load(Relaxed) {
        let overflow = Delivery::sheddable(Overflow::DropNewest);
        let options = SubscribeOptions::new("visitor")
            .delivery(overflow)
            .limit_events(64);
        if let Ok(mut visitor) = bus.subscribe(options) {
            thread::sleep(Duration::from_millis(3));
            drop(visitor.try_recv());
        }
    }
}

/// Tells how it goes until all are published; what is resident after a tenth and at the end, in KiB.
fn watch(published: &AtomicU64, events: u64) -> Result<[u64; 2], Box<dyn Error>> {
    let start = Instant::now();
    let (mut early, mut told) = (None, Instant::now());
    loop {
        let now = published.load(Relaxed);
        if early.is_none() && now >= events / 10 {
            early = Some(resident_kib()?);
        }
        if now >= events {
            let late = resident_kib()?;
            return Ok([early.unwrap_or(late), late]);
        }
        if told.elapsed() >= Duration::from_secs(20) {
            told = Instant::now();
            let ns = start.elapsed().as_nanos() as f64 / now.max(1) as f64;
            report(&format!(
                "{now} events, {ns:.0} ns each, resident {} KiB",
                resident_kib()?
            ));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no VmRSS in /proc/self/status")?.parse()?)
}

#[expect(
    clippy::print_stdout,
    reason = "it reports to the person who started it"
)]
fn report(line: &str) {
    println!("{line}");
}
