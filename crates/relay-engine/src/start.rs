//! Starting an engine: check, sense, then emitters before adapters, so that nothing comes in before it can go out.

use crate::actuate::{Actuators, Sizer};
use crate::adapter::AdapterContext;
use crate::blackbox::Tape;
use crate::builder::EngineBuilder;
use crate::congestion::Watch;
use crate::delivery::{self, EmitCounts, Sender};
use crate::emitter::{Emitter, EmitterOptions};
use crate::engine::Engine;
use crate::error::BuildError;
use crate::handler::{self, ShutdownOnFatal};
use crate::health::Health;
use crate::knobs::Knobs;
use crate::parts::{Outlet, Parts};
use crate::pool::Pool;
use crate::pulse::{Mode, Pulse, Seen};
use crate::reclaimer::Reclaimer;
use crate::report::Reporter;
use crate::sentry::ByteClock;
use crate::share::Shares;
use crate::sketch::Recent;
use crate::slots::EmitterPool;
use crate::stall::StallMonitor;
use crate::stop::{Stop, Stopper};
use crate::supervise::Supervisor;
use crate::telemetry;
use crate::trigger;
use crate::tuning::Settings;
use crate::vigil::Vigil;
use relay_control::PoolSize;
use relay_event::{
    Code, Component, Delivery, ErrorEvent, ErrorHandler, Severity, SubscribeOptions,
};
use relay_sense::{Bound, Root, Sampler};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::PoisonError;
use std::thread;
use std::time::Instant;
use tokio::task::JoinSet;

/// The bound of every queue in [`Mode::Off`].
const OFF_QUEUE_EVENTS: usize = 1 << 20;

/// The pulse formats and recurses nowhere; its stack is small so that it can be locked in memory.
const PULSE_STACK_BYTES: usize = 256 * 1024;

/// It parses a few files of the kernel.
const RECLAIMER_STACK_BYTES: usize = 256 * 1024;

impl Engine {
    pub(crate) async fn start(builder: EngineBuilder) -> Result<Self, BuildError> {
        let began = Instant::now();
        let started = Self::start_parts(builder).await;
        telemetry::operation("start", started.is_ok(), began.elapsed());
        started
    }

    async fn start_parts(mut builder: EngineBuilder) -> Result<Self, BuildError> {
        check_ids("adapter", builder.adapters.iter().map(|(id, ..)| id))?;
        check_ids("emitter", builder.emitters.iter().map(|(id, ..)| id))?;
        let settings = Settings::try_new(&builder.tuning)?;
        PoolSize::try_new(builder.pool.clone())?;
        let detection = match builder.detection.take() {
            Some(detection) => detection,
            None => relay_sense::detect(&builder.root, builder.memory_limit_bytes)?,
        };
        let configured = builder
            .memory_limit_bytes
            .map_or(Bound::Unknown, Bound::Bytes);
        let fixed_limit = detection.fixed_limit.tighter(configured);
        let mut sampler = Sampler::new(&builder.root)?;
        if let Bound::Bytes(bytes) = fixed_limit {
            sampler = sampler.with_configured(bytes)?;
        }
        let root = builder.root.clone();
        let stall = builder.stall.clone();
        let pool = builder.pool.clone();

        let oom_kills = sampler.sample(Instant::now()).events.oom_kill;
        let (blackbox, mut tape, news) = builder.blackbox.open(&detection, oom_kills)?;
        let (stop_adapters, stop) = Stopper::new();
        let (give_up, give_up_seen) = Stopper::new();
        let mut engine = Self {
            parts: Arc::new(Parts::new(&builder, detection, blackbox)?),
            stop_adapters,
            give_up,
            adapters: JoinSet::new(),
            emitters: JoinSet::new(),
            pulse: None,
            reclaimer: None,
            clock: None,
            handlers: Vec::new(),
            wanted: Arc::default(),
            is_over: false,
        };
        engine.parts.blackbox.tap(&engine.parts.errors);
        engine.start_handlers(builder.handlers, builder.shutdown_on_fatal)?;
        news.tell(&engine.parts.errors);
        engine.parts.introduce(&mut tape, &builder.emitters);
        let mut stalls = StallMonitor::try_new(&stall, &root, &engine.parts.errors)?;
        stalls.listen(trigger::choose(builder.pressure_watch, &stall, &root));
        engine.start_reclaimer(root, fixed_limit)?;
        let actuators = engine.parts.actuators(pool);
        engine.start_pulse(settings, sampler, tape, (stalls, actuators))?;
        for (id, emitter, options) in builder.emitters {
            engine
                .start_emitter(id, emitter, options, give_up_seen.clone())
                .await?;
        }
        let adapters = builder
            .adapters
            .into_iter()
            .zip(engine.parts.ingests.clone());
        let mut ready = Vec::new();
        for ((id, mut adapter, options), (_, ingest)) in adapters {
            let cx = AdapterContext {
                id: id.clone(),
                ingest,
                stop: stop.clone(),
                drain: builder.drain,
            };
            let optional = options.optional;
            let supervisor = Supervisor::try_new(&engine.parts, cx, options)?;
            let started = supervisor.start(&mut *adapter).await;
            if let Err(source) = &started {
                supervisor.start_failed(source);
            }
            let is_started = started.is_ok();
            if !optional {
                started.map_err(|source| BuildError::Adapter { id, source })?;
            }
            ready.push((supervisor, adapter, is_started));
        }
        // Only when everything could start does anything come in.
        for (supervisor, adapter, is_started) in ready {
            if is_started {
                supervisor.has_started(&*adapter);
            }
            engine.adapters.spawn(supervisor.run(adapter, is_started));
        }
        engine.report_start();
        Ok(engine)
    }

    fn start_handlers(
        &mut self,
        handlers: Vec<Box<dyn ErrorHandler>>,
        on_fatal: bool,
    ) -> Result<(), BuildError> {
        let mut handlers = handlers;
        if on_fatal {
            let wanted = Arc::clone(&self.wanted);
            handlers.push(Box::new(ShutdownOnFatal(move |_: &ErrorEvent| {
                wanted.ask(false);
            })));
        }
        for handler in handlers {
            let thread =
                handler::spawn(&self.parts.errors, "errors", handler).map_err(|source| {
                    BuildError::Thread {
                        name: "relay-errors",
                        source,
                    }
                })?;
            self.handlers.extend(thread);
        }
        Ok(())
    }

    fn start_pulse(
        &mut self,
        settings: Settings,
        sampler: Sampler,
        tape: Tape,
        (stalls, actuators): (StallMonitor, Actuators),
    ) -> Result<(), BuildError> {
        let parts = &self.parts;
        let wanted = Arc::clone(&self.wanted);
        // On the heap: its stack is small, and unoptimised code copies what it passes on.
        let mut pulse = Box::new(Pulse {
            sampler,
            settings,
            mailbox: Arc::clone(&parts.mailbox),
            sentry: Arc::clone(&parts.sentry),
            desk: Arc::clone(&parts.desk),
            knobs: Knobs {
                gate: parts.gate.clone(),
                budget: parts.gate.budget().clone(),
                external: parts.external.clone(),
                internal: parts.internal.clone(),
            },
            reporter: Reporter::new(parts.errors.clone(), parts.mode == Mode::Enforce),
            errors: parts.errors.clone(),
            watches: Arc::clone(&parts.watches),
            shares: Shares::default(),
            tape,
            stalls,
            actuators,
            ticks: 0,
            view: Arc::clone(&parts.view),
            mode: parts.mode,
            started: Instant::now(),
            seen: Seen::default(),
            emitting: Recent::default(),
            on_emergency: Some(Box::new(move || wanted.ask(true))),
        });
        parts.sentry.use_gauge(pulse.sampler.gauge());
        // The first tick here, so that nothing is admitted before the ledger has its size.
        pulse.tick(Instant::now());
        if parts.mode != Mode::Off {
            parts.sentry.watch_budget(parts.gate.budget());
            self.clock = ByteClock::start(&parts.sentry);
        }
        // An engine whose pulse cannot be kept alive is blind: then it asks to be shut down.
        let wanted = Arc::clone(&self.wanted);
        let vigil = Vigil::over("monitor:pulse", parts.guard.clone())?;
        let thread = thread::Builder::new()
            .name("relay-pulse".into())
            .stack_size(PULSE_STACK_BYTES)
            .spawn(move || {
                if !vigil.keep(|| pulse.run()) {
                    wanted.ask(false);
                }
            })
            .map_err(|source| BuildError::Thread {
                name: "relay-pulse",
                source,
            })?;
        self.pulse = Some(thread);
        Ok(())
    }

    fn start_reclaimer(&mut self, root: Root, fixed_limit: Bound) -> Result<(), BuildError> {
        let reclaimer = Reclaimer {
            desk: Arc::clone(&self.parts.desk),
            sentry: Arc::clone(&self.parts.sentry),
            errors: self.parts.errors.clone(),
            root,
            fixed_limit,
            view: Arc::clone(&self.parts.view),
            vitals: Arc::clone(&self.parts.blackbox.vitals),
            reports: self.parts.blackbox.crash.clone(),
            recording_bytes: self.parts.blackbox.recorder.size_bytes() as u64,
        };
        let guarded = self
            .parts
            .guard
            .wrap_thread("monitor:reclaimer", move || reclaimer.run());
        let thread = thread::Builder::new()
            .name("relay-reclaim".into())
            .stack_size(RECLAIMER_STACK_BYTES)
            .spawn(move || {
                let _ = guarded();
            })
            .map_err(|source| BuildError::Thread {
                name: "relay-reclaim",
                source,
            })?;
        self.reclaimer = Some(thread);
        Ok(())
    }

    async fn start_emitter(
        &mut self,
        id: Arc<str>,
        mut emitter: Box<dyn Emitter>,
        options: EmitterOptions,
        give_up: Stop,
    ) -> Result<(), BuildError> {
        let parts = &self.parts;
        let component = Component::emitter(id.clone());
        let backoff = options.retry.backoff()?;
        let breaker = match options.breaker.clone() {
            Some(config) => Some(parts.breaker(component.clone(), config)?),
            None => None,
        };
        let sizer = match options.elastic.clone() {
            Some(size) => Sizer::elastic(size)?,
            None => Sizer::fixed(options.queue_events, options.queue_min),
        };
        if let Err(source) = emitter.start().await {
            parts.report_failure(Code::EmitterFail, &component, &source);
            return Err(BuildError::Emitter { id, source });
        }
        let off = parts.mode == Mode::Off;
        let shares = parts.mode == Mode::Enforce
            && options.queue_bytes.is_none()
            && matches!(options.delivery, Delivery::Sheddable { .. });
        let subscribe = SubscribeOptions::new(component.to_string())
            .filter(options.filter.clone())
            .delivery(options.delivery.clone())
            .limit_events(if off {
                OFF_QUEUE_EVENTS
            } else {
                // Room for the most, so that growing later takes none from the pulse.
                sizer.most_events()
            })
            .limit_bytes(options.queue_bytes.filter(|_| !off).unwrap_or(u64::MAX));
        let subscription = match parts.external.subscribe(subscribe) {
            Ok(subscription) => subscription,
            Err(source) => return Err(BuildError::Subscribe { id, source }),
        };
        if let Some(share) = parts.share_bytes().filter(|_| shares) {
            subscription.set_limits(None, Some(share));
        }
        let counts = Arc::new(EmitCounts::new(&id));
        let journal = &parts.blackbox.journal;
        let mut watch = Watch::new(parts.external.name(), subscription.monitor())
            .of_emitter(id.clone())
            .recorded_as(journal.name(&component.to_string()), Arc::clone(&counts));
        journal.know(watch.component());
        watch.shares = shares;
        if !off {
            watch.sizer = sizer;
        }
        if parts.mode == Mode::Enforce {
            watch.enforce(&parts.external);
        }
        let wanted_events = watch.wanted_events();
        parts
            .watches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(watch);
        let bounds = options.bounds(&*emitter);
        let pool = EmitterPool::new(
            &component,
            bounds,
            parts.errors.clone(),
            subscription.monitor(),
        );
        parts.add_pool(Arc::clone(&pool) as Arc<dyn Pool>);
        parts
            .outlets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Outlet {
                id,
                monitor: subscription.monitor(),
                counts: Arc::clone(&counts),
                wanted_events,
                early_drop: options.early_drop(),
            });
        parts.health.set(&component, Health::Healthy);
        parts.report_lifecycle(Code::EmitterStart, &component, emitter.kind());
        let sender = Sender {
            emitter: Arc::from(emitter),
            component,
            attempts: options.retry.attempts,
            backoff,
            breaker,
            pool,
            errors: parts.errors.clone(),
            health: parts.health.clone(),
            counts,
            give_up,
            guard: parts.guard.clone(),
        };
        self.emitters
            .spawn(delivery::run(Arc::new(sender), subscription, options));
        Ok(())
    }

    fn report_start(&self) {
        let health = self.parts.health.all();
        let event = ErrorEvent::new(Code::HealthCheck, Severity::Info, Component::Engine)
            .with("components", health.len() as u64)
            .with("mode", self.parts.mode.as_str());
        self.parts.errors.publish(event);
        if self.parts.mode == Mode::Off {
            tracing::warn!(
                "control is off: nothing bounds what is queued, and the kernel will kill under overload"
            );
        }
    }
}

fn check_ids<'a>(
    kind: &'static str,
    ids: impl Iterator<Item = &'a Arc<str>>,
) -> Result<(), BuildError> {
    let mut seen = HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(BuildError::DuplicateId {
                kind,
                id: id.clone(),
            });
        }
    }
    Ok(())
}
