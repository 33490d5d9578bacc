//! The circuit breaker around what an engine calls: each attempt of an emitter, each start of an adapter.
//!
//! The law is [`relay_control::Breaker`]. Here it gets a clock, a lock, and somebody who waits: whoever may not call now
//! sleeps until a trial is possible, and each change of state is told once.
//!
//! **While it is open** nothing is tried, and nothing more is taken out of the queue in front: a reliable one fills up and
//! turns senders away, a sheddable one sheds by its own policy. Batches that were under way when it opened stay in
//! flight, in memory that was set aside at start.
//!
//! **With back-off.** Both wait from the failure on, so the longer of the two counts and not their sum.

use crate::health::{Health, HealthRegistry};
use relay_control::{
    Breaker, BreakerConfig, BreakerPermit, BreakerRefusal, BreakerState, InvalidConfig, Outcome,
    Transition, Trip,
};
use relay_event::{Code, Component, ErrorBus, ErrorEvent, Severity, Signal};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The breaker that an engine puts around emitters and starts of adapters by default.
///
/// As [`BreakerConfig::default`], but open for 1 s at first and for 10 s at most, as long as the longest wait between two
/// attempts: a target that came back should not be left alone for a minute. And slow calls do not open it: what a slow
/// target still takes is what keeps memory flat, and admission follows it.
///
/// ```
/// use relay_engine::{EmitterOptions, default_breaker};
/// use relay_control::BreakerConfig;
///
/// let breaker = BreakerConfig { consecutive: Some(3), ..default_breaker() };
/// let options = EmitterOptions::default().breaker(Some(breaker));
/// # let _ = options;
/// ```
pub fn default_breaker() -> BreakerConfig {
    BreakerConfig {
        slow_rate: None,
        open_for: Duration::from_secs(1),
        open_max: Duration::from_secs(10),
        ..BreakerConfig::default()
    }
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerStatus {
    /// Its state.
    pub state: BreakerState,
    /// How long it stays open, now or the next time.
    pub open_for: Duration,
}

/// One breaker, shared by those who call and those who look.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    component: Component,
    errors: ErrorBus,
    health: HealthRegistry,
    epoch: Instant,
    law: Mutex<Breaker>,
    /// Rung when somebody who was refused may ask again before the time that was named.
    changed: Notify,
}

/// The right to make one call. Dropped without an outcome it says nothing, and gives its place back.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    breaker: &'a CircuitBreaker,
    permit: Option<BreakerPermit>,
}

// === impl CircuitBreaker ===

impl CircuitBreaker {
    /// # Errors
    ///
    /// When a value is out of its range.
    pub(crate) fn try_new(
        config: BreakerConfig,
        component: Component,
        errors: ErrorBus,
        health: HealthRegistry,
    ) -> Result<Arc<Self>, InvalidConfig> {
        Ok(Arc::new(Self {
            component,
            errors,
            health,
            epoch: Instant::now(),
            law: Mutex::new(Breaker::try_new(config)?),
            changed: Notify::new(),
        }))
    }

    pub(crate) fn component(&self) -> &Component {
        &self.component
    }

    /// Waits until a call may be made.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing: a permit is taken only in the poll that returns it.
    pub(crate) async fn acquire(&self) -> Permit<'_> {
        let permit = self.wait(Breaker::try_acquire).await;
        Permit {
            breaker: self,
            permit: Some(permit),
        }
    }

    /// Waits while it is open, without taking a place.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing.
    pub(crate) async fn not_open(&self) {
        self.wait(|law, now| match law.step(now) {
            BreakerState::Open => law.try_acquire(now).map(drop),
            BreakerState::Closed | BreakerState::HalfOpen => Ok(()),
        })
        .await;
    }

    /// How it stands now.
    pub(crate) fn status(&self) -> BreakerStatus {
        self.turn(|law, now| BreakerStatus {
            state: law.step(now),
            open_for: law.open_for(),
        })
    }

    /// Opens it until it is reset.
    pub(crate) fn force_open(&self) {
        self.turn(Breaker::force_open);
    }

    /// Closes it, and forgets what was.
    pub(crate) fn reset(&self) {
        self.turn(Breaker::reset);
        self.changed.notify_waiters();
    }

    async fn wait<T>(
        &self,
        mut ask: impl FnMut(&mut Breaker, Duration) -> Result<T, BreakerRefusal>,
    ) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on a ring is heard: what changes between asking and waiting must not be missed.
            changed.as_mut().enable();
            match self.turn(&mut ask) {
                Ok(answer) => return answer,
                Err(refusal) => match refusal.retry_after {
                    Some(wait) => {
                        let _ = tokio::time::timeout(wait, changed).await;
                    }
                    None => changed.await,
                },
            }
        }
    }

    /// Does something with the law, and tells what became of its state: in order, as the lock is held, and publishing
    /// waits for nobody.
    fn turn<T>(&self, step: impl FnOnce(&mut Breaker, Duration) -> T) -> T {
        let mut law = self.law.lock().unwrap_or_else(PoisonError::into_inner);
        let result = step(&mut law, self.epoch.elapsed());
        while let Some(transition) = law.take_transition() {
            self.tell(&transition, law.open_for());
        }
        result
    }

    fn tell(&self, transition: &Transition, open_for: Duration) {
        let event = |code, severity, signal| {
            ErrorEvent::new(code, severity, self.component.clone()).signal(signal)
        };
        let event = match transition.to {
            BreakerState::Open => {
                let trip = transition.trip.unwrap_or(Trip::Forced);
                // That a trial failed is no news: the first opening said that it is down.
                let severity = match trip {
                    Trip::Trial => Severity::Warning,
                    _ => Severity::Critical,
                };
                let what = match trip {
                    Trip::Forced => "circuit breaker forced open".to_owned(),
                    trip => format!("circuit breaker open ({trip})"),
                };
                self.health.set(&self.component, Health::Failed(what));
                event(Code::BreakerOpen, severity, Signal::BreakerOpen)
                    // Only who forced it can end that; else a trial comes by itself.
                    .recoverable(trip != Trip::Forced)
                    .with("failures", u64::from(transition.failures))
                    .with("trip", trip.as_str())
                    .with("open_seconds", open_for.as_secs_f64())
            }
            BreakerState::HalfOpen => event(Code::BreakerHalf, Severity::Info, Signal::BreakerHalf),
            BreakerState::Closed => {
                self.health.set(&self.component, Health::Healthy);
                event(Code::BreakerClose, Severity::Info, Signal::BreakerClose)
            }
        };
        self.errors.publish(event);
    }
}

// === impl Permit ===

impl Permit<'_> {
    /// The call ended.
    pub(crate) fn record(mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            self.breaker
                .turn(|law, now| law.record(permit, outcome, now));
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // First the place is free, then others hear of it.
        drop(self.permit.take());
        self.breaker.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
