//! Feeding one emitter: collect a batch, send it, try again with back-off behind a breaker, keep the account.

use crate::breaker::{CircuitBreaker, Permit};
use crate::emitter::{EmitError, Emitted, Emitter, EmitterOptions};
use crate::health::{Health, HealthRegistry};
use crate::sketch::Sketch;
use crate::slots::{EmitterPool, Slot, Slots};
use crate::stop::Stop;
use relay_control::{Backoff, Outcome as Called};
use relay_event::{
    Batch, Code, Component, DropReason, ErrorBus, ErrorEvent, Outcome, Severity, Signal,
    Subscription,
};
use relay_forensics::PanicGuard;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// What an attempt under way gets when the time to drain is over.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// What a running emitter counts.
#[derive(Debug)]
pub(crate) struct EmitCounts {
    pub(crate) batches: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// Set while attempts fail: an episode is reported once, however long it lasts.
    pub(crate) failing: AtomicBool,
    duration: metrics::Histogram,
    /// The same, to be read back.
    pub(crate) durations: Sketch,
}

impl EmitCounts {
    /// Looks the histogram up once; without an installed recorder it records nothing.
    pub(crate) fn new(id: &str) -> Self {
        let duration =
            metrics::histogram!("relay_emit_duration_seconds", "emitter" => id.to_string());
        Self {
            batches: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            duration,
            durations: Sketch::default(),
        }
    }
}

/// Everything that sending a batch needs, shared by the batches under way.
pub(crate) struct Sender {
    pub(crate) emitter: Arc<dyn Emitter>,
    pub(crate) component: Component,
    /// The most attempts of a batch.
    pub(crate) attempts: Option<u32>,
    /// Cloned for each batch: one that fails does not make the others wait longer.
    pub(crate) backoff: Backoff,
    pub(crate) breaker: Option<Arc<CircuitBreaker>>,
    pub(crate) pool: Arc<EmitterPool>,
    pub(crate) errors: ErrorBus,
    pub(crate) health: HealthRegistry,
    pub(crate) counts: Arc<EmitCounts>,
    /// Fired when the time to drain is over.
    pub(crate) give_up: Stop,
    pub(crate) guard: PanicGuard,
}

/// Feeds the emitter until its bus is closed and everything queued is settled, or the time to drain is over.
pub(crate) async fn run(
    sender: Arc<Sender>,
    mut subscription: Subscription,
    options: EmitterOptions,
) {
    let linger = options.linger;
    let mut slots = Slots::new(Arc::clone(&sender.pool), options);
    let mut sending = Sending::new();
    let name = sender.component.to_string();
    loop {
        let ready = async {
            let mut slot = next_slot(&mut slots, &mut sending).await;
            // While nothing may be tried, what waits is better off in the queue, whose policy it is to hold or to shed.
            if let Some(breaker) = &sender.breaker {
                breaker.not_open().await;
            }
            let received = subscription.recv_batch(&mut slot.batch).await;
            received.then_some(slot)
        };
        let next = tokio::select! {
            next = ready => next,
            () = sender.give_up.stopped() => None,
        };
        let Some(Slot { number, mut batch }) = next else {
            break;
        };
        collect(&mut subscription, &mut batch, linger).await;
        let guarded = sender.guard.wrap(&name, send(Arc::clone(&sender), batch));
        sending.spawn(async move { (number, guarded.await.ok()) });
    }
    finish(&mut sending, &sender.give_up).await;
    if let Err(error) = sender.emitter.close().await {
        sender.report(Severity::Error, &error);
    }
    let stopped = ErrorEvent::new(Code::EmitterStop, Severity::Info, sender.component.clone());
    sender.errors.publish(stopped);
}

/// Batches under way, by the number of their slot. After a panic, which the guard has reported, there is no batch any
/// more: its events were counted as abandoned while unwinding.
type Sending = JoinSet<(usize, Option<Batch>)>;

/// A slot that is free; waits for a batch to come back when all are under way that may be, or for there to be more.
async fn next_slot(slots: &mut Slots, sending: &mut Sending) -> Slot {
    loop {
        while let Some(done) = sending.try_join_next() {
            come_back(slots, done);
        }
        if let Some(slot) = slots.take() {
            return slot;
        }
        tokio::select! {
            Some(done) = sending.join_next() => come_back(slots, done),
            () = slots.grown() => {}
        }
    }
}

fn come_back(slots: &mut Slots, done: Result<(usize, Option<Batch>), JoinError>) {
    // Only what is aborted at the end does not come back.
    if let Ok((number, batch)) = done {
        slots.put_back(number, batch);
    }
}

/// Waits for the batches under way. When the time to drain is over they get a last moment and are then cut off, which
/// counts their events as abandoned; nothing of them is left when this returns.
async fn finish(sending: &mut Sending, give_up: &Stop) {
    let last_moment = async {
        give_up.stopped().await;
        tokio::time::sleep(LAST_MOMENT).await;
    };
    tokio::select! {
        () = async { while sending.join_next().await.is_some() {} } => {}
        () = last_moment => sending.shutdown().await,
    }
}

/// Lets an incomplete batch grow: fewer, larger batches cost less, and a receiver that sleeps is not woken per event.
async fn collect(subscription: &mut Subscription, batch: &mut Batch, linger: Duration) {
    if !linger.is_zero() && !batch.is_full() {
        tokio::time::sleep(linger).await;
        subscription.fill(batch);
    }
}

async fn send(sender: Arc<Sender>, mut batch: Batch) -> Batch {
    let _busy = sender.pool.work();
    let mut backoff = sender.backoff.clone();
    loop {
        let Some(permit) = sender.may_try().await else {
            sender.drop_rest(&mut batch, DropReason::Abandoned);
            return batch;
        };
        let started = Instant::now();
        let events = batch.events().len();
        let result = sender.emitter.emit(batch.events()).await;
        let took = started.elapsed();
        sender.counts.batches.fetch_add(1, Relaxed);
        sender.counts.duration.record(took);
        sender.counts.durations.record(took);
        // The health that the breaker sets comes after that of the attempt.
        let outcome = outcome_of(&result, took);
        let wait = sender.settle(&mut batch, result);
        if let (Some(permit), Some(outcome)) = (permit, outcome) {
            permit.record(outcome);
        }
        let left = batch.events().len();
        sender.pool.count(events - left, left);
        if left == 0 {
            return batch;
        }
        let delay = backoff.fail(fastrand::f64());
        let attempts = backoff.failures();
        if sender.attempts.is_some_and(|most| attempts >= most) {
            sender.drop_rest(&mut batch, DropReason::Exhausted);
            return batch;
        }
        // The breaker counts its own time from the failure on, while this sleeps: no wait comes on top of the other.
        let delay = wait.unwrap_or_default().max(delay);
        if !sender.give_up.sleep(delay).await {
            sender.drop_rest(&mut batch, DropReason::Abandoned);
            return batch;
        }
    }
}

/// What an attempt says about the target. That it rejects a batch says nothing: it is there, but the batch is no proof
/// that it takes others.
fn outcome_of(result: &Result<Emitted, EmitError>, took: Duration) -> Option<Called> {
    match result {
        Ok(_) => Some(Called::Success(took)),
        Err(error) if error.is_retry() => Some(Called::Failure),
        Err(_) => None,
    }
}

impl Sender {
    /// Waits until the breaker lets an attempt pass; `None` when the time to drain is over before that.
    async fn may_try(&self) -> Option<Option<Permit<'_>>> {
        let Some(breaker) = &self.breaker else {
            return Some(None);
        };
        tokio::select! {
            biased;
            permit = breaker.acquire() => Some(Some(permit)),
            () = self.give_up.stopped() => None,
        }
    }

    /// Books the result of one attempt; returns the wait that the target asked for.
    fn settle(&self, batch: &mut Batch, result: Result<Emitted, EmitError>) -> Option<Duration> {
        match result {
            Ok(Emitted::All) => {
                self.recovered();
                batch.delivered();
                None
            }
            Ok(Emitted::Each(outcomes)) => {
                self.recovered();
                let rejected = outcomes
                    .iter()
                    .filter(|outcome| **outcome == Outcome::Rejected)
                    .count();
                if rejected > 0 {
                    self.report_dropped(rejected, DropReason::Rejected);
                }
                batch.settle(&outcomes);
                None
            }
            Err(error) => {
                self.counts.failures.fetch_add(1, Relaxed);
                self.failed(&error);
                if !error.is_retry() {
                    self.drop_rest(batch, DropReason::Rejected);
                }
                error.retry_after()
            }
        }
    }

    fn failed(&self, error: &EmitError) {
        if !self.counts.failing.swap(true, Relaxed) {
            self.report(Severity::Warning, error);
            self.health
                .set(&self.component, Health::Degraded(error.to_string()));
        }
    }

    fn recovered(&self) {
        if self.counts.failing.swap(false, Relaxed) {
            let event = ErrorEvent::new(Code::EmitterStart, Severity::Info, self.component.clone());
            self.errors
                .publish(event.signal(Signal::Recovered).detail("delivers again"));
            self.health.set(&self.component, Health::Healthy);
        }
    }

    fn report(&self, severity: Severity, error: &EmitError) {
        let event = ErrorEvent::new(Code::EmitterFail, severity, self.component.clone());
        self.errors.publish(
            event
                .recoverable(error.is_retry())
                .detail(error.to_string()),
        );
    }

    fn drop_rest(&self, batch: &mut Batch, reason: DropReason) {
        self.report_dropped(batch.events().len(), reason);
        batch.dropped(reason);
    }

    fn report_dropped(&self, events: usize, reason: DropReason) {
        let event = ErrorEvent::new(Code::EventDropped, Severity::Error, self.component.clone())
            .with("events", events as u64)
            .with("reason", reason.as_str());
        self.errors.publish(event);
    }
}
