//! One adapter from its start to its end: started until it works, run, and replaced when it fails.
//!
//! ```text
//!            failed: back-off, breaker                     error or panic: back-off, start limit
//!          ┌────────────────────────┐                   ┌──────────────────────────────────────┐
//!          ▼                        │                   ▼                                      │
//!        start ─────────────────────┴── works ──▶ run ──┴─ told to stop ──▶ gone    successor ─┘
//! ```
//!
//! An episode is told once: the first start that fails, then what the breaker does, then that it has started.

use crate::adapter::{Adapter, AdapterContext, AdapterError, AdapterOptions};
use crate::breaker::CircuitBreaker;
use crate::health::Health;
use crate::parts::Parts;
use relay_control::{Backoff, InvalidConfig, Outcome, StartLimit};
use relay_event::{Code, Component, ErrorEvent, Severity};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What keeps one adapter alive.
#[derive(Debug)]
pub(crate) struct Supervisor {
    parts: Arc<Parts>,
    component: Component,
    cx: AdapterContext,
    breaker: Arc<CircuitBreaker>,
    backoff: Backoff,
    start_limit: StartLimit,
    epoch: Instant,
}

// === impl Supervisor ===

impl Supervisor {
    /// # Errors
    ///
    /// When a value of the options is out of its range.
    pub(crate) fn try_new(
        parts: &Arc<Parts>,
        cx: AdapterContext,
        options: AdapterOptions,
    ) -> Result<Self, InvalidConfig> {
        let component = Component::adapter(cx.id.clone());
        let breaker = parts.breaker(component.clone(), options.breaker)?;
        Ok(Self {
            parts: Arc::clone(parts),
            component,
            cx,
            breaker,
            backoff: Backoff::try_new(options.backoff)?,
            start_limit: StartLimit::try_new(options.start_limit)?,
            epoch: Instant::now(),
        })
    }

    /// Starts it once.
    pub(crate) async fn start(&self, adapter: &mut dyn Adapter) -> Result<(), AdapterError> {
        let permit = self.breaker.acquire().await;
        let began = Instant::now();
        let name = self.component.to_string();
        let started = self.parts.guard.wrap(&name, adapter.start(&self.cx)).await;
        let started =
            started.unwrap_or_else(|panicked| Err(AdapterError::new(panicked.to_string())));
        permit.record(match &started {
            Ok(()) => Outcome::Success(began.elapsed()),
            Err(_) => Outcome::Failure,
        });
        if started.is_ok()
            && let Some(pool) = adapter.pool()
        {
            self.parts.add_pool(pool);
        }
        started
    }

    /// A start failed: told, and the health says so.
    pub(crate) fn start_failed(&self, error: &AdapterError) {
        self.parts
            .report_failure(Code::AdapterFail, &self.component, error);
        let text = format!("cannot start, tried again: {}", crate::chain(error));
        self.parts.health.set(&self.component, Health::Failed(text));
    }

    /// It is about to run: told, and the health says so.
    pub(crate) fn has_started(&self, adapter: &dyn Adapter) {
        let (parts, component) = (&self.parts, &self.component);
        parts.health.set(component, Health::Healthy);
        parts.report_lifecycle(Code::AdapterStart, component, adapter.kind());
    }

    /// Runs it, once it has started, until it is told to stop or there is no other to take its place.
    pub(crate) async fn run(mut self, mut adapter: Box<dyn Adapter>, is_started: bool) {
        let mut delay = (!is_started).then(|| self.backoff.fail(fastrand::f64()));
        loop {
            if let Some(delay) = delay {
                if !self.until_started(&mut *adapter, delay).await {
                    return;
                }
                self.has_started(&*adapter);
            }
            let successor = adapter.successor();
            let began = Instant::now();
            if self.run_once(adapter).await || self.cx.stop.is_stopped() {
                return;
            }
            let Some(next) = successor else {
                return;
            };
            adapter = next;
            self.backoff.run(began.elapsed());
            delay = Some(self.delay());
        }
    }

    /// Tries until it has started, after `delay` for the first time; `false` when it was told to stop before that. What
    /// failed before was told, so failures are not.
    async fn until_started(&mut self, adapter: &mut dyn Adapter, mut delay: Duration) -> bool {
        let stop = self.cx.stop.clone();
        loop {
            if !stop.sleep(delay).await {
                return false;
            }
            let started = tokio::select! {
                started = self.start(adapter) => started,
                () = stop.stopped() => return false,
            };
            if started.is_ok() {
                return true;
            }
            delay = self.backoff.fail(fastrand::f64());
        }
    }

    /// Runs it to its end; whether it ended as it should.
    async fn run_once(&self, adapter: Box<dyn Adapter>) -> bool {
        let (parts, component) = (&self.parts, &self.component);
        let cx = self.cx.clone();
        let text = match parts
            .guard
            .wrap(&component.to_string(), adapter.run(cx))
            .await
        {
            Ok(Ok(())) => {
                parts.report_lifecycle(Code::AdapterStop, component, "stopped");
                return true;
            }
            Ok(Err(error)) => {
                parts.report_failure(Code::AdapterFail, component, &error);
                crate::chain(&error)
            }
            Err(panicked) => panicked.to_string(),
        };
        parts.health.set(component, Health::Failed(text));
        false
    }

    /// How long to wait before it is started again: the longer of back-off and start limit.
    fn delay(&mut self) -> Duration {
        let delay = self.backoff.fail(fastrand::f64());
        let Err(reached) = self.start_limit.try_start(self.epoch.elapsed() + delay) else {
            return delay;
        };
        let event = ErrorEvent::new(Code::AdapterFail, Severity::Error, self.component.clone());
        let text = format!("started too often: {reached}");
        self.parts.errors.publish(event.detail(text.as_str()));
        self.parts.health.set(&self.component, Health::Failed(text));
        let delay = delay + reached.retry_after;
        // By then it is allowed, and counts.
        let _ = self.start_limit.try_start(self.epoch.elapsed() + delay);
        delay
    }
}
