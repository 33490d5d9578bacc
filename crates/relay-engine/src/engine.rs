//! The engine while it runs, and its end: parts are shut down in order.

use crate::actuate::Sizer;
use crate::builder::EngineBuilder;
use crate::congestion::DEFENCE_EVENTS;
use crate::paced::PacedPublisher;
use crate::parts::Parts;
use crate::pulse::Mode;
use crate::sentry::ByteClock;
use crate::state::EngineState;
use crate::stop::Stopper;
use crate::telemetry;
use crate::tuning::{Settings, Tuning};
use relay_control::{BufferConfig, InvalidConfig};
use relay_event::{Bus, Code, Component, ErrorBus, ErrorEvent, Gate, Severity, Signal};
use relay_forensics::{PreviousRun, Recorder};
use relay_sense::Detection;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::task::JoinSet;

/// What emitters get for closing when the time to drain is over.
const EMITTER_GRACE: Duration = Duration::from_secs(1);

/// A running engine. Dropping it without [`shutdown`](Self::shutdown) stops everything without draining. Either way the
/// black box says that the end was intended, unless it is dropped by a panic.
///
/// See the [crate page](crate) for an example.
#[derive(Debug)]
pub struct Engine {
    pub(crate) parts: Arc<Parts>,
    pub(crate) stop_adapters: Stopper,
    pub(crate) give_up: Stopper,
    pub(crate) adapters: JoinSet<()>,
    pub(crate) emitters: JoinSet<()>,
    pub(crate) pulse: Option<JoinHandle<()>>,
    pub(crate) reclaimer: Option<JoinHandle<()>>,
    pub(crate) clock: Option<ByteClock>,
    pub(crate) handlers: Vec<JoinHandle<()>>,
    pub(crate) wanted: Arc<Wanted>,
    /// The recording has its last word.
    pub(crate) is_over: bool,
}

/// A shutdown that the engine itself asks for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    emergency: AtomicBool,
    notify: tokio::sync::Notify,
}

impl Wanted {
    pub(crate) fn ask(&self, emergency: bool) {
        self.emergency.fetch_or(emergency, Relaxed);
        self.notify.notify_one();
    }
}

/// Why an engine asks to be shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownRequest {
    /// Memory stays in emergency: to exit now, with what is queued delivered, is better than to be killed.
    Emergency,
    /// A critical error that cannot pass by itself was reported.
    Fatal,
}

/// Looks at a running engine from elsewhere; also after it was shut down.
#[derive(Debug, Clone)]
pub struct Observer(Arc<Parts>);

// === impl Engine ===

impl Engine {
    /// An engine with a default for every part.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Looks at it from elsewhere.
    pub fn observer(&self) -> Observer {
        Observer(Arc::clone(&self.parts))
    }

    /// The bus of domain events: adapters publish, emitters consume.
    pub fn external(&self) -> &Bus {
        &self.parts.external
    }

    /// The bus of system and control events: small, and never sheddable.
    pub fn internal(&self) -> &Bus {
        &self.parts.internal
    }

    /// The error bus.
    pub fn errors(&self) -> &ErrorBus {
        &self.parts.errors
    }

    /// The gate: an engine without adapters is a guard around a service.
    pub fn gate(&self) -> &Gate {
        &self.parts.gate
    }

    /// A publisher of its own for a sender inside the process that sends one event each `interval` at most, and less often
    /// while the engine asks for less.
    pub fn paced(&self, interval: Duration) -> PacedPublisher {
        let pace = Arc::clone(&self.parts.pace);
        PacedPublisher::new(self.parts.external.clone(), pace, interval)
    }

    /// The black box: what happened, and the last looks of the pulse.
    pub fn recorder(&self) -> &Recorder {
        &self.parts.blackbox.recorder
    }

    /// How the run before this one ended, when its recording was found; without the records, which are in the file that
    /// it names.
    pub fn previous_exit(&self) -> Option<&PreviousRun> {
        self.parts.blackbox.previous.as_ref()
    }

    /// Everything about it.
    pub fn state(&self) -> EngineState {
        self.parts.state()
    }

    /// Waits until the engine itself asks to be shut down; it never does so on its own.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing: a request that was made stays.
    pub async fn shutdown_requested(&self) -> ShutdownRequest {
        self.wanted.notify.notified().await;
        self.wanted.notify.notify_one();
        if self.wanted.emergency.load(Relaxed) {
            ShutdownRequest::Emergency
        } else {
            ShutdownRequest::Fatal
        }
    }

    /// Shuts down in order: the gate closes, adapters finish, the bus closes, emitters drain, and what is not
    /// delivered when `deadline` is over is counted as abandoned. Returns the final state. The black box then says that the
    /// run ended as intended.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a shutdown that is cancelled leaves an engine that accepts nothing.
    pub async fn shutdown(mut self, deadline: Duration) -> EngineState {
        let began = tokio::time::Instant::now();
        let end = began + deadline;
        let parts = Arc::clone(&self.parts);
        let event = ErrorEvent::new(Code::Shutdown, Severity::Info, Component::Engine);
        parts.errors.publish(
            event
                .signal(Signal::Degraded)
                .with("deadline_seconds", deadline.as_secs_f64()),
        );
        parts.blackbox.drain_started(deadline);
        parts.gate.close();
        self.stop_adapters.stop();
        let _ = tokio::time::timeout_at(end, join_all(&mut self.adapters)).await;
        self.adapters.abort_all();
        parts.external.close();
        if tokio::time::timeout_at(end, join_all(&mut self.emitters))
            .await
            .is_err()
        {
            self.give_up.stop();
            let _ = tokio::time::timeout(EMITTER_GRACE, join_all(&mut self.emitters)).await;
            self.emitters.shutdown().await;
        }
        parts.internal.close();
        self.end_threads();
        telemetry::operation("shutdown", began.elapsed() <= deadline, began.elapsed());
        parts.state()
    }

    fn end_threads(&mut self) {
        self.clock = None;
        self.parts.view.stop();
        self.parts.sentry.waker().wake();
        if let Some(pulse) = self.pulse.take() {
            let _ = pulse.join();
        }
        self.parts.desk.stop();
        if let Some(reclaimer) = self.reclaimer.take() {
            let _ = reclaimer.join();
        }
        self.parts.errors.close();
        for handler in self.handlers.drain(..) {
            let _ = handler.join();
        }
        if !self.is_over {
            self.is_over = true;
            self.parts.blackbox.finish();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end_threads();
    }
}

// === impl Observer ===

impl Observer {
    /// Everything about the engine now.
    pub fn state(&self) -> EngineState {
        self.0.state()
    }

    /// What was detected at the start.
    pub fn detection(&self) -> &Detection {
        &self.0.detection
    }

    /// The error bus.
    pub fn errors(&self) -> &ErrorBus {
        &self.0.errors
    }

    /// The black box.
    pub fn recorder(&self) -> &Recorder {
        &self.0.blackbox.recorder
    }

    /// As [`Engine::previous_exit`].
    pub fn previous_exit(&self) -> Option<&PreviousRun> {
        self.0.blackbox.previous.as_ref()
    }

    /// Gives a running engine other numbers: from its next tick on the pulse works by them. The laws begin anew, so
    /// what they had learnt (drain, cost factor) is learnt again within seconds, beginning with the cautious defaults.
    ///
    /// # Errors
    ///
    /// When a number is out of its range; then nothing changes.
    pub fn retune(&self, tuning: &Tuning) -> Result<(), InvalidConfig> {
        let settings = Settings::try_new(tuning)?;
        if self.0.mode == Mode::Enforce {
            self.0.gate.set_max_queue_delay(tuning.max_queue_delay);
        }
        self.0.mailbox.put(settings);
        self.0.sentry.waker().wake();
        Ok(())
    }

    /// Opens the breaker of a component, such as `emitter:out`, until [`reset_breaker`](Self::reset_breaker): what is behind
    /// it is not called. Returns whether it has one.
    pub fn open_breaker(&self, component: &str) -> bool {
        let breaker = self.0.breaker_of(component);
        breaker.map(|breaker| breaker.force_open()).is_some()
    }

    /// Closes the breaker of a component, also one that was opened by hand, and forgets what had failed. Returns whether
    /// it has one.
    pub fn reset_breaker(&self, component: &str) -> bool {
        let breaker = self.0.breaker_of(component);
        breaker.map(|breaker| breaker.reset()).is_some()
    }

    /// Moves the number of workers of a pool, such as `adapter:http`, within its bounds. Returns whether there is such a
    /// pool. The engine itself may move it again at its next look.
    pub fn set_workers(&self, pool: &str, workers: usize) -> bool {
        let pools = self.0.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let found = pools.iter().find(|known| known.id() == pool);
        found.map(|pool| pool.set_workers(workers)).is_some()
    }

    /// Moves the bounds of an emitter's queue while it runs. Without `bytes` a reliable queue is bounded by the ledger
    /// alone, and a sheddable one by its share of it. Nothing queued is lost. Returns whether there is such an emitter.
    /// In [`Mode::Off`] the bounds stay where they are.
    pub fn set_queue_limits(&self, emitter: &str, events: usize, bytes: Option<u64>) -> bool {
        let sizer = Sizer::fixed(events, DEFENCE_EVENTS);
        self.0.set_queue(emitter, sizer, bytes)
    }

    /// As [`set_queue_limits`](Self::set_queue_limits), from `least` events that may always wait, also while memory is
    /// critical, to the `most` that usually may.
    pub fn set_queue_bounds(
        &self,
        emitter: &str,
        (least, most): (usize, usize),
        bytes: Option<u64>,
    ) -> bool {
        self.0.set_queue(emitter, Sizer::fixed(most, least), bytes)
    }

    /// The same for a queue whose size moves, see [`EmitterOptions::elastic_queue`](crate::EmitterOptions::elastic_queue).
    /// One that has been configured like this before keeps the size that it has by now.
    ///
    /// # Errors
    ///
    /// When a number is out of its range; then nothing changes.
    pub fn set_queue_size(
        &self,
        emitter: &str,
        size: BufferConfig,
        bytes: Option<u64>,
    ) -> Result<bool, InvalidConfig> {
        Ok(self.0.set_queue(emitter, Sizer::elastic(size)?, bytes))
    }
}

async fn join_all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}
