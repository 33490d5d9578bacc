//! Defensive mode in a running engine: a machine made of files is driven up to critical and back, and what moves is real.

#![allow(clippy::unwrap_used)]

mod support;

use relay_control::{ArbiterConfig, BufferConfig, Level};
use relay_engine::{EmitterOptions, Engine, EngineBuilder, Pool, PoolReading};
use relay_event::{
    Code, Delivery, ErrorBus, ErrorEvent, Event, Overflow, Priority, Signal, SubscribeOptions,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use support::{Collector, MIB, Machine, Stuck, level, until};

/// The arbiter's times, a hundred times shorter.
fn quick() -> ArbiterConfig {
    ArbiterConfig {
        interval: Duration::from_millis(30),
        cooldown: Duration::from_millis(300),
        shrink_wait: Duration::from_secs(3),
        ..ArbiterConfig::default()
    }
}

fn builder(machine: &Machine, collector: &Collector) -> EngineBuilder {
    Engine::builder()
        .without_error_log()
        .with_root(machine.root())
        .with_interval(Duration::from_millis(2))
        .with_idle_interval(Duration::from_millis(2))
        .with_arbiter(quick())
        .with_errors(ErrorBus::with(4096, None))
        .with_error_handler(collector.handler())
}

/// Connections of a server that only counts them.
struct Connections(AtomicUsize);

impl Pool for Connections {
    fn id(&self) -> &'static str {
        "adapter:in"
    }

    fn reading(&self) -> PoolReading {
        PoolReading {
            workers: self.0.load(SeqCst),
            min: 1,
            max: 8,
            busy: 1,
            queue: 50,
            ..PoolReading::default()
        }
    }

    fn set_workers(&self, n: usize) {
        self.0.store(n, SeqCst);
    }
}

fn word(event: &ErrorEvent, name: &str) -> Option<String> {
    event.fields.get(name).map(|value| value.to_string())
}

/// Entry or exit, not one of the steps.
fn is_mode(event: &ErrorEvent) -> bool {
    event.code == Code::DefensiveMode && word(event, "mode").is_some()
}

/// E08, A05, X06 to X11: throttle, shed, defend, and back, in this order, each step with what it moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_ramp_to_critical_and_back_is_told_in_order_and_moves_every_actuator() {
    let (machine, collector) = (Machine::new(), Collector::default());
    let shed = EmitterOptions::default().delivery(Delivery::sheddable(Overflow::DropNewest));
    let workers = Arc::new(Connections(AtomicUsize::new(4)));
    let pool: Arc<dyn Pool> = workers.clone();
    let engine = builder(&machine, &collector)
        .with_pool(pool)
        .with_emitter("out", Stuck, EmitterOptions::default().queue(100, None))
        .with_emitter("samples", Stuck, shed.queue(1000, None));
    let engine = engine.start().await.unwrap();
    let size = |name: &str| {
        let stats = engine.external().stats();
        let stats = stats.iter().find(|stats| stats.name == name).unwrap();
        (stats.limit_events, stats.limit_bytes)
    };
    let whole = (size("emitter:out").0, size("emitter:samples"));

    machine.usage(75 * MIB);
    level(&engine, Level::Warning).await;
    machine.usage(86 * MIB);
    level(&engine, Level::Error).await;
    machine.usage(92 * MIB);
    until("defensive mode", || {
        engine.state().observation.unwrap().defending
    })
    .await;
    until("all buffers are small, and one worker is left", || {
        size("emitter:out").0 == 8 && workers.0.load(SeqCst) < 4
    })
    .await;
    assert!(engine.external().is_shedding() && engine.internal().is_shedding());
    until("its share of the bytes shrinks with the ledger", || {
        size("emitter:samples").1 < whole.1.1
    })
    .await;

    machine.usage(20 * MIB);
    until("all is restored", || {
        let state = engine.state().observation.unwrap();
        !state.defending && size("emitter:out").0 == whole.0
    })
    .await;
    level(&engine, Level::Normal).await;
    assert!(!engine.external().is_shedding() && !engine.internal().is_shedding());
    assert_eq!(size("emitter:samples").0, whole.1.0);
    assert!(workers.0.load(SeqCst) >= 4);
    engine.shutdown(Duration::from_secs(1)).await;

    let events = collector.events();
    let steps: Vec<_> = events
        .iter()
        .filter(|event| {
            let level = [Code::MemPressure, Code::MemCritical, Code::MemRelief];
            level.contains(&event.code) || is_mode(event)
        })
        .map(|event| (event.code, event.signal))
        .collect();
    assert_eq!(
        steps,
        [
            (Code::MemPressure, Signal::Throttle),
            (Code::MemPressure, Signal::Shed),
            (Code::MemCritical, Signal::Shed),
            (Code::DefensiveMode, Signal::Degraded),
            (Code::MemRelief, Signal::Recovered),
            (Code::DefensiveMode, Signal::Recovered),
        ]
    );
    let released: Vec<_> = events
        .iter()
        .filter(|event| word(event, "turned").as_deref() == Some("off"))
        .filter_map(|event| word(event, "step"))
        .collect();
    assert_eq!(released, ["ingest", "overflow", "pools", "buffers"]);
    // What the entry moved carries the number of the same decision.
    let entry = events.iter().find(|event| is_mode(event));
    let number = entry.unwrap().fields.get("decision").unwrap();
    for code in [Code::MemCritical, Code::BufferShrink, Code::WorkerScaleDown] {
        let caused = |event: &&ErrorEvent| {
            event.code == code && event.fields.get("decision") == Some(number)
        };
        assert!(events.iter().any(|event| caused(&event)), "{code}");
    }
    assert!(!collector.of(Code::OverflowPolicy).is_empty());
    // X09, V14: unused memory is given back.
    let given = collector.of(Code::MemReclaim);
    assert!(!given.is_empty(), "a purge soon after another is left out");
    assert!(given[0].fields.get("given_back_bytes").is_some());
}

/// J12: without a limit there is nothing to steer by, which is said once.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_limit_that_is_told_once_and_nothing_is_held_back() {
    let (machine, collector) = (Machine::new(), Collector::default());
    machine.write("sys/fs/cgroup/memory.max", "max\n");
    machine.write("proc/meminfo", "\n");
    let engine = builder(&machine, &collector).start().await.unwrap();
    machine.usage(99 * MIB);
    until("some ticks", || {
        engine.state().observation.unwrap().number > 20
    })
    .await;
    let seen = engine.state().observation.unwrap();
    assert_eq!(seen.decision.pressure, None);
    assert_eq!(engine.gate().admit(100, Priority::Normal).map(drop), Ok(()));
    engine.shutdown(Duration::from_secs(1)).await;
    assert_eq!(collector.of(Code::NoLimit).len(), 1);
}

/// O10 to O12, T12: a queue whose size moves begins small, grows while it is full, and never beyond its most.
#[tokio::test(flavor = "multi_thread")]
async fn an_elastic_queue_grows_while_it_is_full_up_to_its_most() {
    let (machine, collector) = (Machine::new(), Collector::default());
    let size = BufferConfig {
        min: 8,
        start: 8,
        max: 20,
        ..BufferConfig::default()
    };
    let options = EmitterOptions::default().elastic_queue(size);
    let engine = builder(&machine, &collector).with_emitter("out", Stuck, options);
    let engine = engine.start().await.unwrap();
    let limit = || engine.external().stats()[0].limit_events;
    assert_eq!(limit(), 8);
    let publish = || {
        while engine
            .external()
            .try_publish(Event::builder("t").build().unwrap())
            .is_ok()
        {}
    };
    until("it has grown", || {
        publish();
        limit() == 20
    })
    .await;
    engine.shutdown(Duration::from_millis(10)).await;
    let grown = collector.of(Code::BufferGrow);
    let sizes: Vec<_> = grown
        .iter()
        .map(|event| {
            (
                word(event, "to_events").unwrap(),
                word(event, "reason").unwrap(),
            )
        })
        .collect();
    let sizes: Vec<_> = sizes.iter().map(|(to, why)| (&**to, &**why)).collect();
    assert_eq!(
        sizes,
        [
            ("12", "saturated"),
            ("18", "saturated"),
            ("20", "saturated")
        ]
    );
}

/// R09: nobody who listens can stop control: not a full internal bus, not a subscriber of errors who never reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_subscriber_of_the_internal_bus_does_not_stop_the_governor() {
    let (machine, collector) = (Machine::new(), Collector::default());
    let engine = builder(&machine, &collector)
        .with_errors(ErrorBus::with(4, None))
        .start()
        .await
        .unwrap();
    let mut never_read = engine
        .errors()
        .subscribe(relay_event::ErrorFilter::all())
        .unwrap();
    let options = SubscribeOptions::new("stalled").limit_events(1);
    let _stalled = engine.internal().subscribe(options).unwrap();
    let event = || Event::builder("t").build().unwrap();
    engine.internal().try_publish(event()).unwrap();
    let waits = tokio::spawn(engine.internal().publish(event()));
    for percent in [92, 10, 92, 10, 92] {
        machine.usage(percent * MIB);
        let defends = percent > 90;
        until("defensive mode follows memory", || {
            engine.state().observation.unwrap().defending == defends
        })
        .await;
    }
    assert!(!waits.is_finished(), "the publisher still waits for room");
    waits.abort();
    assert!(never_read.try_recv().is_some());
    assert!(never_read.dropped() > 0, "nobody waited for it");
    engine.shutdown(Duration::from_secs(1)).await;
}

/// S01, S08: what the pulse decides reaches a publisher that can wait.
#[tokio::test(flavor = "multi_thread")]
async fn publishers_that_can_wait_are_slowed_while_memory_is_short() {
    let (machine, collector) = (Machine::new(), Collector::default());
    let engine = builder(&machine, &collector).start().await.unwrap();
    let base = Duration::from_millis(10);
    let mut publisher = engine.paced(base);
    assert_eq!(publisher.delay(), Some(base));
    machine.usage(87 * MIB);
    until("ten times slower", || {
        publisher.delay() >= Some(base.mul_f64(9.99))
    })
    .await;
    machine.usage(10 * MIB);
    until("back at its own pace, as far as the gate allows", || {
        let state = engine.state();
        let scale = state.observation.unwrap().decision.scale;
        (state.pace.share - scale).abs() < 1e-9
    })
    .await;
    publisher
        .publish(Event::builder("t").build().unwrap())
        .await
        .unwrap();
    assert_eq!(engine.state().pace.published, 1);
    engine.shutdown(Duration::from_secs(1)).await;
    assert!(!collector.of(Code::PublishPace).is_empty());
}
