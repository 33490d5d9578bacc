//! What the parts of an engine share, and what can be seen of it from outside.

use crate::actuate::{Actuators, Board, Intake, Pace, PoolTable, Sizer};
use crate::blackbox::{Blackbox, Panics, Tape};
use crate::breaker::{BreakerStatus, CircuitBreaker};
use crate::builder::EngineBuilder;
use crate::congestion::Watch;
use crate::delivery::EmitCounts;
use crate::emitter::{Emitter, EmitterOptions};
use crate::error::BuildError;
use crate::health::HealthRegistry;
use crate::ingest::{ARRIVING_PERCENT, Ingest};
use crate::pool::{Pool, Pools};
use crate::pulse::{Mode, View};
use crate::reclaimer::Desk;
use crate::sentry::Sentry;
use crate::share;
use crate::state::{
    BusState, EmitterState, EngineState, GateState, LedgerState, PaceState, PoolState, QueueState,
};
use crate::tuning::Mailbox;
use relay_control::{BreakerConfig, InvalidConfig, PoolConfig};
use relay_event::{
    Bus, ByteBudget, Code, Component, EarlyDrop, ErrorBus, ErrorEvent, Gate, Priority, Severity,
    SubscriptionMonitor,
};
use relay_forensics::PanicGuard;
use relay_sense::{Detection, Waker};
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// What is shared with observers.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) mode: Mode,
    pub(crate) detection: Detection,
    pub(crate) gate: Gate,
    pub(crate) external: Bus,
    pub(crate) internal: Bus,
    pub(crate) errors: ErrorBus,
    pub(crate) health: HealthRegistry,
    pub(crate) view: Arc<View>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) sentry: Arc<Sentry>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) blackbox: Blackbox,
    pub(crate) guard: PanicGuard,
    pub(crate) ingests: Vec<(Arc<str>, Ingest)>,
    pub(crate) outlets: Mutex<Vec<Outlet>>,
    /// The queues that the pulse watches; it skips a look while one is added.
    pub(crate) watches: Arc<Mutex<Vec<Watch>>>,
    /// The pools that the pulse may resize.
    pub(crate) pools: Pools,
    /// One a component at most.
    pub(crate) breakers: Mutex<Vec<Arc<CircuitBreaker>>>,
    pub(crate) board: Arc<Board>,
    pub(crate) pace: Arc<Pace>,
}

pub(crate) struct Outlet {
    pub(crate) id: Arc<str>,
    pub(crate) monitor: SubscriptionMonitor,
    pub(crate) counts: Arc<EmitCounts>,
    pub(crate) wanted_events: Arc<AtomicU64>,
    pub(crate) early_drop: Option<Arc<dyn EarlyDrop>>,
}

// === impl Parts ===

impl Parts {
    pub(crate) fn new(
        builder: &EngineBuilder,
        detection: Detection,
        blackbox: Blackbox,
    ) -> Result<Self, BuildError> {
        let off = builder.mode == Mode::Off;
        // The first tick of the pulse sets the size; until then nothing is admitted.
        let budget = if off || builder.mode == Mode::Observe {
            ByteBudget::unbounded()
        } else {
            ByteBudget::new(0)
        };
        let arriving = budget.share(ARRIVING_PERCENT);
        let gate = Gate::new(budget);
        let enforces = builder.mode == Mode::Enforce;
        if enforces {
            gate.set_max_queue_delay(builder.tuning.max_queue_delay);
            gate.set_source_fairness(builder.source_fairness);
        }
        let sentry = Sentry::new(gate.clone(), Waker::new()?, enforces);
        let external = Bus::new("external");
        let health = HealthRegistry::default();
        blackbox.crash.describe(&builder.root, &health);
        let panics = Panics {
            errors: builder.errors.clone(),
            reports: blackbox.crash.clone(),
        };
        let ingest = |id: &Arc<str>| {
            let (gate, arriving) = (gate.clone(), arriving.clone());
            Ingest::with_arriving(
                id.clone(),
                gate,
                arriving,
                external.clone(),
                builder.errors.clone(),
            )
        };
        Ok(Self {
            mode: builder.mode,
            detection,
            ingests: builder
                .adapters
                .iter()
                .map(|(id, ..)| (id.clone(), ingest(id)))
                .collect(),
            gate,
            external,
            internal: Bus::new("internal"),
            errors: builder.errors.clone(),
            health,
            view: Arc::default(),
            mailbox: Arc::default(),
            sentry: Arc::new(sentry),
            desk: Arc::default(),
            guard: panics.guard(),
            blackbox,
            outlets: Mutex::default(),
            watches: Arc::default(),
            pools: Arc::new(Mutex::new(builder.pools.clone())),
            breakers: Mutex::default(),
            board: Arc::default(),
            pace: Arc::default(),
        })
    }

    /// Makes the breaker of a component, and keeps it for those who look.
    pub(crate) fn breaker(
        &self,
        component: Component,
        config: BreakerConfig,
    ) -> Result<Arc<CircuitBreaker>, InvalidConfig> {
        let (errors, health) = (self.errors.clone(), self.health.clone());
        let breaker = CircuitBreaker::try_new(config, component, errors, health)?;
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.push(Arc::clone(&breaker));
        Ok(breaker)
    }

    /// The breaker of the component of this name.
    pub(crate) fn breaker_of(&self, component: &str) -> Option<Arc<CircuitBreaker>> {
        let breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut breakers = breakers.iter();
        let breaker = breakers.find(|breaker| breaker.component().to_string() == component);
        breaker.cloned()
    }

    /// Adds a pool, or puts it in the place of the one with the same id: a successor goes on with the pool it was given.
    pub(crate) fn add_pool(&self, pool: Arc<dyn Pool>) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        match pools.iter_mut().find(|known| known.id() == pool.id()) {
            Some(known) => *known = pool,
            None => pools.push(pool),
        }
    }

    fn breakers(&self) -> Vec<(String, BreakerStatus)> {
        let breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let status =
            |breaker: &Arc<CircuitBreaker>| (breaker.component().to_string(), breaker.status());
        breakers.iter().map(status).collect()
    }

    pub(crate) fn actuators(&self, pool: PoolConfig) -> Actuators {
        let ingests = self.ingests.iter().map(|(_, ingest)| ingest.clone());
        Actuators::new(
            self.errors.clone(),
            Intake::new(ingests.collect()),
            PoolTable::new(Arc::clone(&self.pools), pool, Arc::clone(&self.board)),
            Arc::clone(&self.pace),
            self.mode == Mode::Enforce,
        )
    }

    /// Tells the black box who there will be: later it may not allocate.
    pub(crate) fn introduce(
        &self,
        tape: &mut Tape,
        emitters: &[(Arc<str>, Box<dyn Emitter>, EmitterOptions)],
    ) {
        let emitters = || {
            emitters
                .iter()
                .map(|(id, ..)| Component::emitter(id.clone()))
        };
        let adapters = self
            .ingests
            .iter()
            .map(|(id, _)| Component::adapter(id.clone()));
        for component in adapters.chain(emitters()) {
            self.blackbox.journal.know(&component);
        }
        let ingests = self.ingests.iter().map(|(_, ingest)| ingest.clone());
        let tasks = tokio::runtime::Handle::try_current();
        tape.look_at(
            ingests.collect(),
            emitters().map(|component| component.to_string()),
            tasks.ok().map(|runtime| runtime.metrics()),
        );
    }

    pub(crate) fn report_lifecycle(&self, code: Code, component: &Component, kind: &'static str) {
        self.errors
            .publish(ErrorEvent::new(code, Severity::Info, component.clone()).with("kind", kind));
    }

    pub(crate) fn report_failure(
        &self,
        code: Code,
        component: &Component,
        error: &dyn std::error::Error,
    ) {
        let text = crate::chain(error);
        self.errors
            .publish(ErrorEvent::new(code, Severity::Error, component.clone()).detail(text));
    }

    /// Moves the bounds of an emitter's queue; whether there is such an emitter.
    pub(crate) fn set_queue(&self, emitter: &str, sizer: Sizer, bytes: Option<u64>) -> bool {
        let monitor = {
            let outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
            let outlet = outlets.iter().find(|outlet| &*outlet.id == emitter);
            outlet.map(|outlet| outlet.monitor.clone())
        };
        let Some(monitor) = monitor else {
            return false;
        };
        if self.mode == Mode::Off {
            return true;
        }
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = watches.iter_mut().find(|watch| watch.id() == monitor.id());
        // The ring is made for the most here, so that the pulse need not.
        let (most, mut events) = (sizer.most_events(), sizer.events());
        if let Some(watch) = watch {
            watch.shares = self.mode == Mode::Enforce && bytes.is_none() && !monitor.is_reliable();
            watch.configure(sizer, &self.errors);
            events = watch.sizer.events();
        }
        let share = (!monitor.is_reliable())
            .then(|| self.share_bytes())
            .flatten();
        let bytes = bytes.or(share).unwrap_or(u64::MAX);
        if most > events {
            self.external.set_limits(monitor.id(), Some(most), None);
        }
        let events = if self.mode == Mode::Enforce {
            events
        } else {
            most
        };
        self.external
            .set_limits(monitor.id(), Some(events), Some(bytes))
    }

    /// What a sheddable queue may hold that has no byte bound of its own; `None` while nothing bounds the ledger.
    pub(crate) fn share_bytes(&self) -> Option<u64> {
        let ledger_bytes = self.gate.budget().size_bytes()?;
        Some(share::of(ledger_bytes, self.external.subscription_count()))
    }

    pub(crate) fn state(&self) -> EngineState {
        let outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        let queues = outlets.iter().map(Outlet::queue).collect();
        let mut subscriptions: Vec<_> = outlets
            .iter()
            .map(|outlet| (self.external.name().to_string(), outlet.monitor.stats()))
            .collect();
        let known: HashSet<u64> = subscriptions.iter().map(|(_, stats)| stats.id).collect();
        let others = self
            .external
            .stats()
            .into_iter()
            .filter(|stats| !known.contains(&stats.id));
        subscriptions.extend(others.map(|stats| (self.external.name().to_string(), stats)));
        let internal = self.internal.stats().into_iter();
        subscriptions.extend(internal.map(|stats| (self.internal.name().to_string(), stats)));
        EngineState {
            mode: self.mode,
            observation: self.view.last(),
            ledger: LedgerState {
                size_bytes: self.gate.budget().size_bytes(),
                used_bytes: self.gate.budget().used_bytes(),
            },
            gate: GateState {
                rate_bytes_per_second: self.gate.rate(),
                floor: self.gate.floor(),
                source_fairness: self.gate.source_fairness(),
                source_share_bytes_per_second: self.gate.source_share(Priority::Normal),
                closed: self.gate.is_closed(),
                first_pressure_unix_ms: self.gate.first_pressure_unix_ms(),
                first_refusal_unix_ms: self.gate.first_refusal_unix_ms(),
            },
            adapters: self
                .ingests
                .iter()
                .map(|(id, ingest)| (id.to_string(), ingest.stats()))
                .collect(),
            subscriptions,
            buses: [&self.external, &self.internal].map(bus_state).into(),
            emitters: outlets
                .iter()
                .map(|outlet| (outlet.id.to_string(), outlet.counts.state()))
                .collect(),
            health: self.health.all(),
            queues,
            pools: self.pool_states(),
            breakers: self.breakers(),
            pace: self.pace_state(),
        }
    }

    fn pool_states(&self) -> Vec<PoolState> {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |value: f64| Some(value).filter(|value| value.is_finite());
        let state = |(index, pool): (usize, &Arc<dyn Pool>)| {
            let (utilisation, service, errors) = self.board.of(index)?;
            Some(PoolState {
                id: pool.id().to_owned(),
                reading: pool.reading(),
                utilisation,
                service_seconds: known(service),
                error_ratio: errors,
            })
        };
        pools.iter().enumerate().filter_map(state).collect()
    }

    fn pace_state(&self) -> PaceState {
        let (published, refused, waited_seconds) = self.pace.account();
        PaceState {
            share: self.pace.share(),
            published,
            refused,
            waited_seconds,
        }
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Outlet {
    fn queue(&self) -> QueueState {
        let stats = self.monitor.stats();
        let each = |bytes: u64, events: u64| (events > 0).then(|| bytes as f64 / events as f64);
        QueueState {
            fill: stats.occupancy(),
            wanted_events: self.wanted_events.load(Relaxed),
            event_bytes: each(stats.delivered_bytes, stats.delivered),
            drop_probability: self
                .early_drop
                .as_ref()
                .and_then(|drop| drop.probability(stats.occupancy(), Priority::Normal)),
            subscription: stats.name,
        }
    }
}

impl EmitCounts {
    pub(crate) fn state(&self) -> EmitterState {
        EmitterState {
            batches: self.batches.load(Relaxed),
            failures: self.failures.load(Relaxed),
        }
    }
}

fn bus_state(bus: &Bus) -> BusState {
    BusState {
        name: bus.name().to_string(),
        published: bus.published(),
        no_subscriber: bus.no_subscriber(),
        subscriptions: bus.subscription_count(),
        waits: bus.wait_times(),
    }
}
