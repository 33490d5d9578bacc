#![allow(clippy::unwrap_used)]

use super::*;
use crate::ingest::Ingest;
use crate::pool::{Pool, PoolReading, Pools};
use crate::tuning::Tuning;
use relay_control::{BufferConfig, Memory, PoolConfig, Reason};
use relay_event::{
    ByteBudget, ErrorFilter, ErrorSubscription, Event, Gate, Priority, SubscribeOptions,
    Subscription,
};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// A pool that does what it is told.
struct Workers(Mutex<PoolReading>);

impl Pool for Workers {
    fn id(&self) -> &'static str {
        "emitter:out"
    }

    fn reading(&self) -> PoolReading {
        *self.0.lock().unwrap()
    }

    fn set_workers(&self, n: usize) {
        self.0.lock().unwrap().workers = n;
    }
}

impl Workers {
    fn new(workers: usize) -> Arc<Self> {
        let reading = PoolReading {
            workers,
            min: 1,
            max: 8,
            ..PoolReading::default()
        };
        Arc::new(Self(Mutex::new(reading)))
    }

    fn set(&self, change: impl FnOnce(&mut PoolReading)) {
        change(&mut self.0.lock().unwrap());
    }
}

/// One queue, one pool, and a memory that is what the test says.
struct World {
    actuators: Actuators,
    settings: Settings,
    bus: Bus,
    queue: Subscription,
    watches: Vec<Watch>,
    pool: Arc<Workers>,
    gate: Gate,
    ingest: Ingest,
    told: ErrorSubscription,
    start: Instant,
    ticks: u64,
    live_bytes: Option<u64>,
    stall: Level,
}

impl World {
    fn new(sizer: Sizer, room: usize) -> Self {
        let bus = Bus::new("external");
        let queue = bus
            .subscribe(SubscribeOptions::new("emitter:out").limit_events(room))
            .unwrap();
        let mut watch = Watch::new("external", queue.monitor()).of_emitter("out".into());
        watch.sizer = sizer;
        watch.enforce(&bus);
        let errors = ErrorBus::new();
        let told = errors.subscribe(ErrorFilter::all()).unwrap();
        let pool = Workers::new(4);
        let registered: Arc<dyn Pool> = pool.clone();
        let pools: Pools = Arc::new(Mutex::new(vec![registered]));
        let table = PoolTable::new(pools, PoolConfig::default(), Arc::default());
        let gate = Gate::new(ByteBudget::new(MIB));
        let ingest = Ingest::new("in", gate.clone(), bus.clone(), ErrorBus::disabled());
        let intake = Intake::new(vec![ingest.clone()]);
        Self {
            actuators: Actuators::new(errors, intake, table, Arc::default(), true),
            settings: Settings::try_new(&Tuning::default()).unwrap(),
            bus,
            queue,
            watches: vec![watch],
            pool,
            gate,
            ingest,
            told,
            start: Instant::now(),
            ticks: 0,
            live_bytes: None,
            stall: Level::Normal,
        }
    }

    /// A tick so many seconds after the start, at so many percent of the limit.
    fn tick(&mut self, second: f64, percent: u64) -> (Plan, Orders, bool) {
        self.ticks += 1;
        let since = Duration::from_secs_f64(second);
        let tick = Tick {
            number: self.ticks,
            now: self.start + since,
            since,
        };
        let memory = Memory {
            unreclaimable_bytes: percent * MIB,
            limit_bytes: 100 * MIB,
            soft_limit_bytes: None,
        };
        let input = relay_control::Input {
            memory: Reading::Known(memory),
            ledger_used_bytes: 0,
            live_bytes: self.live_bytes,
            delivered_bytes: 0,
            backlog: false,
        };
        let decision = self.settings.controller.step(&input, since);
        let situation = Situation {
            decision: &decision,
            memory: input.memory,
            stall: self.stall,
            delivered_bytes: 0,
            ledger_used_bytes: 0,
            live_bytes: self.live_bytes,
        };
        let (plan, purge) =
            self.actuators
                .plan(&mut self.settings, &situation, &self.watches, &tick);
        let orders = self.actuators.orders(&decision);
        self.actuators.carry_out(
            &plan,
            &mut self.settings,
            &decision,
            (&self.bus, &mut self.watches),
            &tick,
        );
        for watch in &mut self.watches {
            watch.look(&tick, &self.actuators.errors);
        }
        self.actuators.pools.tell(&tick, &self.actuators.errors);
        (plan, orders, purge)
    }

    /// Holds so many events.
    fn hold(&mut self, events: usize) {
        while self.queue.try_recv().is_some() {}
        for _ in 0..events {
            let event = Event::builder("t").build().unwrap();
            self.bus.try_publish(event).unwrap();
        }
    }

    fn size(&self) -> usize {
        self.queue.stats().limit_events
    }

    fn told(&mut self, code: Code) -> Vec<ErrorEvent> {
        let all = std::iter::from_fn(|| self.told.try_recv());
        all.filter(|event| event.code == code).collect()
    }
}

fn elastic(start: usize) -> Sizer {
    let config = BufferConfig {
        start,
        ..BufferConfig::default()
    };
    Sizer::elastic(config).unwrap()
}

/// AK10, T10, T16, V11, V15: grow while memory allows it, then pace, then defend, then tidy up.
#[test]
fn a_gradual_load_grows_paces_defends_and_shrinks_again() {
    let mut world = World::new(elastic(8), 1024);
    assert_eq!(world.size(), 8, "O10: the first size is in force");
    world.hold(6);
    world.tick(0.0, 40);
    assert_eq!(world.size(), 12);
    world.hold(9);
    world.tick(31.0, 40);
    assert_eq!(world.size(), 18);

    world.hold(14);
    world.tick(62.0, 87);
    assert_eq!(world.size(), 18, "no growth while memory is short");
    let factor = world.settings.throttle.factor();
    assert!((factor - 1.2).abs() < 1e-9, "{factor}");
    assert!(world.actuators.pace.share() <= 1.0 / factor);

    let (plan, orders, purge) = world.tick(62.1, 92);
    assert_eq!(plan.actions()[0], Action::Engage(Defence::Buffers));
    assert!(orders.shed && purge);
    assert_eq!(
        world.size(),
        13,
        "though 14 are queued: none of them is lost"
    );
    assert_eq!(world.queue.stats().queued_events, 14);

    world.hold(1);
    let (plan, orders, purge) = world.tick(70.0, 74);
    assert_eq!(plan.actions()[1], Action::Release(Defence::Ingest));
    assert!(!orders.shed && purge);
    assert_eq!(world.size(), 13);
    world.tick(110.0, 40);
    assert_eq!(world.size(), 9);
    world.tick(150.0, 40);
    assert_eq!(world.size(), 8);
    let sizes: Vec<_> = world
        .told
        .try_recv()
        .into_iter()
        .chain(std::iter::from_fn(|| world.told.try_recv()))
        .filter(|event| matches!(event.code, Code::BufferGrow | Code::BufferShrink))
        .map(|event| {
            let field = |name| event.fields.get(name).unwrap().to_string();
            format!(
                "{} {} {}",
                field("from_events"),
                field("to_events"),
                field("reason")
            )
        })
        .collect();
    assert_eq!(
        sizes,
        [
            "8 12 saturated",
            "12 18 saturated",
            "18 13 pressure",
            "13 9 unused",
            "9 8 unused"
        ]
    );
}

/// T16: where a queue may not grow yet, publishers that can wait are slowed at once.
#[test]
fn within_the_cooldown_publishers_are_slowed_instead() {
    let mut world = World::new(elastic(8), 1024);
    world.hold(6);
    world.tick(0.0, 40);
    world.hold(9);
    world.tick(10.0, 40);
    assert_eq!(world.size(), 12);
    assert!((world.settings.throttle.factor() - 1.2).abs() < 1e-9);
    world.hold(1);
    world.tick(10.1, 40);
    assert!(
        (world.settings.throttle.factor() - 1.08).abs() < 1e-9,
        "and little by little less"
    );
}

/// X06 to X11, V11 to V14: every step is taken in order and taken back, and each is told.
#[test]
fn defensive_mode_takes_every_step_and_takes_it_back() {
    let mut world = World::new(Sizer::fixed(100, 8), 100);
    world.tick(0.0, 40);
    world.tick(1.0, 91);
    assert_eq!((world.size(), world.pool.reading().workers), (75, 3));
    world.tick(5.0, 91);
    assert_eq!(
        (world.size(), world.pool.reading().workers),
        (56, 2),
        "one more step each loop"
    );
    let (_, orders, _) = world.tick(5.05, 80);
    assert!(orders.shed, "above the end of defensive mode");
    world.tick(6.0, 60);
    assert_eq!((world.size(), world.pool.reading().workers), (100, 4));
    let mode: Vec<_> = world
        .told(Code::DefensiveMode)
        .iter()
        .map(|event| {
            let text = |name| event.fields.get(name).map(|value| value.to_string());
            let step = text("step").map(|step| format!("{step} {}", text("turned").unwrap()));
            text("mode").or(step).unwrap()
        })
        .collect();
    assert_eq!(
        mode,
        [
            "entered",
            "buffers on",
            "pools on",
            "overflow on",
            "ingest on",
            "buffers on",
            "pools on",
            "left",
            "ingest off",
            "overflow off",
            "pools off",
            "buffers off"
        ]
    );
}

#[test]
fn new_settings_do_not_leave_a_defence_engaged() {
    let mut world = World::new(Sizer::fixed(100, 8), 100);
    world.tick(1.0, 95);
    assert_eq!(world.size(), 75);
    world.settings = Settings::try_new(&Tuning::default()).unwrap();
    let (_, orders, _) = world.tick(2.0, 60);
    assert!(!orders.shed && !world.actuators.is_defending());
    assert_eq!((world.size(), world.pool.reading().workers), (100, 4));
}

/// X08, X12: intake is scaled by the governor, except where holding back would free nothing.
#[test]
fn ingest_is_scaled_in_defence_unless_memory_is_held_by_something_else() {
    let mut world = World::new(Sizer::fixed(100, 8), 100);
    world.tick(1.0, 95);
    let input = relay_control::Input {
        memory: Reading::Unknown,
        ledger_used_bytes: 0,
        live_bytes: None,
        delivered_bytes: 0,
        backlog: false,
    };
    let decision = Decision {
        rate_bytes_per_second: Some(1000.0),
        scale: 1.0,
        shed: false,
        reason: Reason::AboveSetpoint,
        ..world
            .settings
            .controller
            .step(&input, Duration::from_secs(1))
    };
    let scale = decision.governor.scale;
    assert!(scale < 1.0);
    let orders = world.actuators.orders(&decision);
    assert_eq!(orders.rate_bytes_per_second, Some(1000.0 * scale));
    assert!(orders.shed);
    let scaled = Decision {
        scale,
        reason: Reason::Governor,
        ..decision
    };
    let rate = world.actuators.orders(&scaled).rate_bytes_per_second;
    assert_eq!(rate, Some(1000.0 * scale), "once");
    let held = Decision {
        reason: Reason::QueueSmall,
        ..decision
    };
    let orders = world.actuators.orders(&held);
    assert_eq!(orders.rate_bytes_per_second, Some(1000.0));
    assert!(!orders.shed);
    assert!(
        !world.actuators.orders(&decision).shed,
        "let go of until it is critical again"
    );
    let critical = Decision {
        shed: true,
        ..decision
    };
    world.actuators.orders(&critical);
    assert!(world.actuators.orders(&decision).shed);
}

/// D25 to D28, U02, U08, Z18: a pool is measured, grows when it is busy, and says when it is idle or too slow.
#[test]
fn a_pool_is_measured_and_gets_a_worker_when_it_is_busy() {
    let mut world = World::new(Sizer::fixed(100, 8), 100);
    world.pool.set(|pool| (pool.busy, pool.queue) = (4, 90));
    world.hold(80);
    for step in 0..=40_u32 {
        world.pool.set(|pool| pool.done = 10 * u64::from(step));
        world.tick(0.1 * f64::from(step), 40);
    }
    // 4 workers busy all the time, 100 events a second: 40 ms each.
    let (utilisation, service, errors) = world.actuators.pools.board().of(0).unwrap();
    assert!((service - 0.04).abs() < 0.002, "{service}");
    assert!(utilisation > 1.0 && errors == 0.0, "{utilisation} {errors}");
    assert_eq!(world.pool.reading().workers, 5);
    let told = |world: &mut World| -> Vec<_> {
        std::iter::from_fn(|| world.told.try_recv())
            .filter(|event| event.component.to_string() == "pool:emitter:out")
            .map(|event| (event.code, event.signal))
            .collect()
    };
    let events = told(&mut world);
    assert!(
        events.contains(&(Code::WorkerScaleUp, Signal::None)),
        "{events:?}"
    );
    assert!(
        events.contains(&(Code::WorkerSaturated, Signal::Throttle)),
        "{events:?}"
    );

    world.hold(0);
    world.pool.set(|pool| (pool.busy, pool.queue) = (0, 0));
    for second in 5..10 {
        world.tick(f64::from(second), 60);
    }
    let calm = [
        (Code::WorkerSaturated, Signal::Recovered),
        (Code::WorkerIdle, Signal::None),
    ];
    assert_eq!(told(&mut world), calm);
    assert_eq!(
        world.pool.reading().workers,
        5,
        "and leaves after five minutes only"
    );
    world.tick(311.0, 30);
    assert_eq!(world.pool.reading().workers, 4);
    assert_eq!(told(&mut world), [(Code::WorkerScaleDown, Signal::None)]);
}

#[test]
fn a_pool_whose_calls_fail_gets_no_more_callers() {
    let mut world = World::new(Sizer::fixed(100, 8), 100);
    world.pool.set(|pool| (pool.busy, pool.queue) = (4, 90));
    world.hold(80);
    world.tick(0.0, 80);
    for step in 1..100_u32 {
        world.pool.set(|pool| {
            pool.done = u64::from(step);
            pool.errors = u64::from(step);
        });
        // Until the failures are known memory forbids it.
        world.tick(f64::from(step), if step < 3 { 80 } else { 40 });
    }
    assert_eq!(world.pool.reading().workers, 4);
}

/// The gate is shut, memory is high, and hardly anything is live: once, memory is asked back.
#[test]
fn a_latch_up_asks_for_unused_memory_and_is_told_once() {
    let mut world = World::new(Sizer::fixed(100, 8), 100);
    world.live_bytes = Some(10 * MIB);
    world.gate.set_floor(Priority::Control);
    let mut purges = 0;
    for step in 0..30_u32 {
        let arrival = world.ingest.arrive();
        let refusal = world.ingest.admit(100, Priority::Normal).unwrap_err();
        arrival.refuse(refusal.reason);
        purges += u32::from(world.tick(f64::from(step), 80).2);
    }
    assert_eq!(purges, 1);
    assert_eq!(world.told(Code::LatchUp).len(), 1);

    let mut world = World::new(Sizer::fixed(100, 8), 100);
    world.live_bytes = Some(70 * MIB);
    world.gate.set_floor(Priority::Control);
    for step in 0..30_u32 {
        let arrival = world.ingest.arrive();
        arrival.refuse(
            world
                .ingest
                .admit(100, Priority::Normal)
                .unwrap_err()
                .reason,
        );
        assert!(!world.tick(f64::from(step), 80).2, "memory is in use");
    }
}

/// K: while tasks stall nothing grows, and publishers are slowed instead.
#[test]
fn nothing_grows_while_tasks_stall() {
    let mut world = World::new(elastic(8), 1024);
    world.stall = Level::Warning;
    world.hold(6);
    world.tick(0.0, 40);
    assert_eq!(world.size(), 8);
    assert!(world.actuators.pace.share() < 1.0);
    world.stall = Level::Normal;
    world.tick(3.0, 40);
    assert_eq!(world.size(), 12);
}

/// V03: what observes moves nothing.
#[test]
fn without_enforcing_nothing_moves() {
    let mut world = World::new(Sizer::fixed(100, 8), 100);
    world.actuators.enforces = false;
    world.tick(1.0, 95);
    assert_eq!((world.size(), world.pool.reading().workers), (100, 4));
    assert!((world.actuators.pace.share() - 1.0).abs() < 1e-9);
    assert_eq!(
        world.told(Code::DefensiveMode).len(),
        5,
        "decided and told all the same"
    );
}
