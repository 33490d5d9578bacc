//! One `with_…` for each part of an engine, each part with a working default.

use crate::adapter::{Adapter, AdapterOptions};
use crate::blackbox::BlackboxConfig;
use crate::emitter::{Emitter, EmitterOptions};
use crate::engine::Engine;
use crate::error::BuildError;
use crate::handler::LogHandler;
use crate::pool::Pool;
use crate::pulse::Mode;
use crate::stall::StallConfig;
use crate::tuning::Tuning;
use relay_control::{ArbiterConfig, ControlConfig, PoolConfig, ThrottleConfig};
use relay_event::{ErrorBus, ErrorHandler};
use relay_sense::{Delegated, Detection, Root};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The parts of an engine before it starts. Made by [`Engine::builder`].
#[must_use = "nothing runs until start"]
pub struct EngineBuilder {
    pub(crate) root: Root,
    pub(crate) memory_limit_bytes: Option<u64>,
    pub(crate) detection: Option<Detection>,
    pub(crate) tuning: Tuning,
    pub(crate) stall: StallConfig,
    pub(crate) pool: PoolConfig,
    pub(crate) pools: Vec<Arc<dyn Pool>>,
    pub(crate) pressure_watch: Delegated,
    pub(crate) blackbox: BlackboxConfig,
    pub(crate) mode: Mode,
    pub(crate) source_fairness: bool,
    pub(crate) drain: Duration,
    pub(crate) errors: ErrorBus,
    pub(crate) handlers: Vec<Box<dyn ErrorHandler>>,
    pub(crate) shutdown_on_fatal: bool,
    pub(crate) adapters: Vec<(Arc<str>, Box<dyn Adapter>, AdapterOptions)>,
    pub(crate) emitters: Vec<(Arc<str>, Box<dyn Emitter>, EmitterOptions)>,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            root: Root::system(),
            memory_limit_bytes: None,
            detection: None,
            tuning: Tuning::default(),
            stall: StallConfig::default(),
            pool: PoolConfig::default(),
            pools: Vec::new(),
            pressure_watch: Delegated::NotOffered,
            blackbox: BlackboxConfig::default(),
            mode: Mode::Enforce,
            source_fairness: true,
            drain: Duration::from_secs(10),
            errors: ErrorBus::with(32, Some(Duration::from_secs(1))),
            handlers: vec![Box::new(LogHandler)],
            shutdown_on_fatal: false,
            adapters: Vec::new(),
            emitters: Vec::new(),
        }
    }
}

impl EngineBuilder {
    /// Where `/proc` and `/sys` are; the system's own by default.
    pub fn with_root(mut self, root: Root) -> Self {
        self.root = root;
        self
    }

    /// A limit in bytes beside those that are detected: the smallest one counts.
    pub fn with_memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit_bytes = Some(bytes);
        self
    }

    /// A softer limit below it: the levels up to critical are measured against the smaller one.
    pub fn with_soft_limit(mut self, bytes: u64) -> Self {
        self.tuning.soft_limit_bytes = Some(bytes);
        self
    }

    /// The laws and their numbers.
    pub fn with_control(mut self, control: ControlConfig) -> Self {
        self.tuning.control = control;
        self
    }

    /// How the slow actuators are moved: queues, pools, publishers, defensive mode.
    pub fn with_arbiter(mut self, arbiter: ArbiterConfig) -> Self {
        self.tuning.arbiter = arbiter;
        self
    }

    /// How publishers that can wait are slowed down, see [`Engine::paced`].
    pub fn with_throttle(mut self, throttle: ThrottleConfig) -> Self {
        self.tuning.throttle = throttle;
        self
    }

    /// How busy the workers of a pool should be. How many there may be says each pool itself.
    pub fn with_pool_sizing(mut self, pool: PoolConfig) -> Self {
        self.pool = pool;
        self
    }

    /// A pool whose size the engine may move, besides those that its adapters and emitters bring.
    pub fn with_pool(mut self, pool: Arc<dyn Pool>) -> Self {
        self.pools.push(pool);
        self
    }

    /// Whether decisions are carried out.
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Opt out of graceful degradation: with `false` decisions are made and recorded, but nothing is turned.
    pub fn with_graceful_degradation(self, on: bool) -> Self {
        self.with_mode(if on { Mode::Enforce } else { Mode::Observe })
    }

    /// Whether, while not everything can be admitted, a source is limited to its share of what is
    /// ([`Gate::set_source_fairness`](relay_event::Gate::set_source_fairness)); on by default, enforced with the rest.
    pub fn with_source_fairness(mut self, on: bool) -> Self {
        self.source_fairness = on;
        self
    }

    /// How often to sample and decide; 50 ms by default, clamped to 1 ms … 10 s.
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.tuning.interval = interval;
        self
    }

    /// The same while memory is calm and nothing moves; 1 s by default, never less than the interval. Whatever begins to
    /// move ends the rest.
    pub fn with_idle_interval(mut self, interval: Duration) -> Self {
        self.tuning.idle_interval = interval;
        self
    }

    /// How the time that tasks wait for memory is watched; once a second by default.
    pub fn with_stall_monitor(mut self, config: StallConfig) -> Self {
        self.stall = config;
        self
    }

    /// What the service manager offers to tell of stalls ([`Trigger::delegated`](relay_sense::Trigger::delegated)): the
    /// engine then looks at once. Without an offer it registers a trigger of its own where the kernel lets it; with the
    /// stall monitor off it listens to nobody.
    pub fn with_pressure_watch(mut self, offered: Delegated) -> Self {
        self.pressure_watch = offered;
        self
    }

    /// Where and how the engine records what happens; into memory by default.
    pub fn with_blackbox(mut self, config: BlackboxConfig) -> Self {
        self.blackbox = config;
        self
    }

    /// What was detected already, so that it need not be detected again; with it also limits that come from the
    /// environment of the process.
    pub fn with_detection(mut self, detection: Detection) -> Self {
        self.detection = Some(detection);
        self
    }

    /// The longest that an accepted event may wait in queues, at the measured drain; 5 s by default.
    pub fn with_max_queue_delay(mut self, delay: Option<Duration>) -> Self {
        self.tuning.max_queue_delay = delay;
        self
    }

    /// How long adapters may finish what is under way when the engine shuts down; 10 s by default.
    pub fn with_drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// The error bus; by default one of 32 events a subscriber that folds repeats within a second.
    pub fn with_errors(mut self, errors: ErrorBus) -> Self {
        self.errors = errors;
        self
    }

    /// Without reports: the error bus takes everything and tells nobody.
    pub fn without_errors(self) -> Self {
        self.with_errors(ErrorBus::disabled())
    }

    /// Without the log lines that are written for each error event by default.
    pub fn without_error_log(mut self) -> Self {
        self.handlers.clear();
        self
    }

    /// Also hands each error event to `handler`, on a thread of its own.
    pub fn with_error_handler(mut self, handler: impl ErrorHandler) -> Self {
        self.handlers.push(Box::new(handler));
        self
    }

    /// Asks for a shutdown at the first critical error event that cannot pass by itself; see
    /// [`Engine::shutdown_requested`].
    pub fn with_shutdown_on_fatal(mut self, on: bool) -> Self {
        self.shutdown_on_fatal = on;
        self
    }

    /// Brings events in.
    pub fn with_adapter(self, id: impl Into<Arc<str>>, adapter: impl Adapter) -> Self {
        self.with_adapter_options(id, adapter, AdapterOptions::default())
    }

    /// Brings events in, and says what is to happen when it fails.
    pub fn with_adapter_options(
        mut self,
        id: impl Into<Arc<str>>,
        adapter: impl Adapter,
        options: AdapterOptions,
    ) -> Self {
        self.adapters.push((id.into(), Box::new(adapter), options));
        self
    }

    /// Takes events out.
    pub fn with_emitter(
        mut self,
        id: impl Into<Arc<str>>,
        emitter: impl Emitter,
        options: EmitterOptions,
    ) -> Self {
        self.emitters.push((id.into(), Box::new(emitter), options));
        self
    }

    /// Starts it, on the tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// When a configured value is out of range, or a part cannot start; then nothing keeps running.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(self) -> Result<Engine, BuildError> {
        // On the heap: what it holds would make every future around it large.
        Box::pin(Engine::start(self)).await
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("mode", &self.mode)
            .field("source_fairness", &self.source_fairness)
            .field("tuning", &self.tuning)
            .field(
                "adapters",
                &self.adapters.iter().map(|(id, ..)| id).collect::<Vec<_>>(),
            )
            .field(
                "emitters",
                &self
                    .emitters
                    .iter()
                    .map(|(id, _, options)| (id, options))
                    .collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}
