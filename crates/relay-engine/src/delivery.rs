//! Feeding one emitter: collect a batch, send it, try again with back-off, keep the account.

use crate::emitter::{EmitError, Emitted, Emitter, EmitterOptions, RetryPolicy};
use crate::health::{Health, HealthRegistry};
use crate::stop::Stop;
use relay_event::{
    Batch, Code, Component, DropReason, ErrorBus, ErrorEvent, Outcome, Severity, Signal,
    Subscription,
};
use relay_forensics::{PanicGuard, Panicked};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};

/// What an attempt under way gets when the time to drain is over.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// What a running emitter counts.
#[derive(Debug)]
pub(crate) struct EmitCounts {
    pub(crate) batches: AtomicU64,
    pub(crate) failures: AtomicU64,
    duration: metrics::Histogram,
}

impl EmitCounts {
    /// Looks the histogram up once; without an installed recorder it records nothing.
    pub(crate) fn new(id: &str) -> Self {
        let duration =
            metrics::histogram!("relay_emit_duration_seconds", "emitter" => id.to_string());
        Self {
            batches: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            duration,
        }
    }
}

/// Everything that sending a batch needs, shared by the batches under way.
pub(crate) struct Sender {
    pub(crate) emitter: Arc<dyn Emitter>,
    pub(crate) component: Component,
    pub(crate) retry: RetryPolicy,
    pub(crate) errors: ErrorBus,
    pub(crate) health: HealthRegistry,
    pub(crate) counts: Arc<EmitCounts>,
    /// Set while attempts fail: an episode is reported once, however long it lasts.
    pub(crate) failing: AtomicBool,
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
    let mut spare: Vec<Batch> = (0..sender.emitter.concurrency().max(1))
        .map(|_| Batch::with_capacity(options.batch_events, options.batch_bytes))
        .collect();
    let mut sending = Sending::new();
    let name = sender.component.to_string();
    loop {
        let ready = async {
            let mut batch = next_spare(&mut spare, &mut sending, &options).await?;
            subscription.recv_batch(&mut batch).await.then_some(batch)
        };
        let next = tokio::select! {
            next = ready => next,
            () = sender.give_up.stopped() => None,
        };
        let Some(mut batch) = next else {
            break;
        };
        collect(&mut subscription, &mut batch, options.linger).await;
        let guarded = sender.guard.wrap(&name, send(Arc::clone(&sender), batch));
        sending.spawn(guarded);
    }
    finish(&mut sending, &sender.give_up).await;
    if let Err(error) = sender.emitter.close().await {
        sender.report(Severity::Error, &error);
    }
    let stopped = ErrorEvent::new(Code::EmitterStop, Severity::Info, sender.component.clone());
    sender.errors.publish(stopped);
}

/// Batches under way; one whose attempt panicked does not come back.
type Sending = JoinSet<Result<Batch, Box<Panicked>>>;

/// A batch that is not under way; waits for one to come back when all are.
async fn next_spare(
    spare: &mut Vec<Batch>,
    sending: &mut Sending,
    options: &EmitterOptions,
) -> Option<Batch> {
    while let Some(done) = sending.try_join_next() {
        spare.push(come_back(done, options));
    }
    if spare.is_empty()
        && let Some(done) = sending.join_next().await
    {
        spare.push(come_back(done, options));
    }
    spare.pop()
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

/// The batch of a send that ended. After a panic, which the guard has reported, its events were counted as abandoned
/// while unwinding, and a new one takes its place.
fn come_back(
    done: Result<Result<Batch, Box<Panicked>>, JoinError>,
    options: &EmitterOptions,
) -> Batch {
    done.ok()
        .and_then(Result::ok)
        .unwrap_or_else(|| Batch::with_capacity(options.batch_events, options.batch_bytes))
}

/// Lets an incomplete batch grow: fewer, larger batches cost less, and a receiver that sleeps is not woken per event.
async fn collect(subscription: &mut Subscription, batch: &mut Batch, linger: Duration) {
    if !linger.is_zero() && !batch.is_full() {
        tokio::time::sleep(linger).await;
        subscription.fill(batch);
    }
}

async fn send(sender: Arc<Sender>, mut batch: Batch) -> Batch {
    let mut attempt = 0;
    loop {
        let started = tokio::time::Instant::now();
        let result = sender.emitter.emit(batch.events()).await;
        sender.counts.batches.fetch_add(1, Relaxed);
        sender.counts.duration.record(started.elapsed());
        let wait = sender.settle(&mut batch, result);
        if batch.events().is_empty() {
            return batch;
        }
        attempt += 1;
        if sender
            .retry
            .attempts
            .is_some_and(|attempts| attempt >= attempts)
        {
            sender.drop_rest(&mut batch, DropReason::Exhausted);
            return batch;
        }
        let backoff = sender.retry.wait(attempt - 1, fastrand::f64());
        if !sender
            .give_up
            .sleep(wait.unwrap_or_default().max(backoff))
            .await
        {
            sender.drop_rest(&mut batch, DropReason::Abandoned);
            return batch;
        }
    }
}

impl Sender {
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
        if !self.failing.swap(true, Relaxed) {
            self.report(Severity::Warning, error);
            self.health
                .set(&self.component, Health::Degraded(error.to_string()));
        }
    }

    fn recovered(&self) {
        if self.failing.swap(false, Relaxed) {
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
