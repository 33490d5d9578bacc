//! The pulse turns real knobs: a machine made of files is driven through its levels.

#![allow(clippy::unwrap_used)]

mod support;

use relay_control::{ControlConfig, LedgerConfig, Level};
use relay_engine::{EmitterOptions, Engine, EngineBuilder, Mode, ShutdownRequest};
use relay_event::{Code, Delivery, ErrorEvent, Overflow, Priority, Reason, Signal};
use std::time::{Duration, Instant};
use support::{Collector, MIB, Machine, Scripted, level, until};

fn builder(machine: &Machine, collector: &Collector) -> EngineBuilder {
    Engine::builder()
        .without_error_log()
        .with_root(machine.root())
        .with_interval(Duration::from_millis(2))
        .with_idle_interval(Duration::from_millis(2))
        .with_error_handler(collector.handler())
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_rise_and_fall_turn_floor_and_overflow_and_are_reported_in_order() {
    let (machine, collector) = (Machine::new(), Collector::default());
    let shed = EmitterOptions::default().delivery(Delivery::sheddable(Overflow::DropNewest));
    let engine = builder(&machine, &collector).with_emitter("out", Scripted::default(), shed);
    let engine = engine.start().await.unwrap();
    let admit = |priority| {
        engine
            .gate()
            .admit(100, priority)
            .map(drop)
            .map_err(|refused| refused.reason)
    };
    assert_eq!(admit(Priority::Low), Ok(()));

    machine.usage(75 * MIB);
    level(&engine, Level::Warning).await;
    machine.usage(86 * MIB);
    level(&engine, Level::Error).await;
    until("low is refused", || {
        admit(Priority::Low) == Err(Reason::Level)
    })
    .await;
    assert_ne!(admit(Priority::Normal), Err(Reason::Level));

    machine.usage(92 * MIB);
    level(&engine, Level::Critical).await;
    until("sheddable subscriptions are shed", || {
        engine.external().is_shedding()
    })
    .await;
    assert_eq!(admit(Priority::Normal), Err(Reason::Level));
    assert_eq!(admit(Priority::Control), Ok(()));
    assert!(!engine.state().is_accepting());

    machine.usage(20 * MIB);
    level(&engine, Level::Normal).await;
    until("all is restored", || {
        !engine.external().is_shedding() && engine.state().is_accepting()
    })
    .await;
    engine.shutdown(Duration::from_secs(1)).await;

    let steps: Vec<_> = collector
        .events()
        .into_iter()
        .filter(|event| {
            matches!(
                event.code,
                Code::MemPressure | Code::MemCritical | Code::MemRelief
            )
        })
        .map(|event| (event.code, event.signal))
        .collect();
    assert_eq!(
        steps,
        [
            (Code::MemPressure, Signal::Throttle),
            (Code::MemPressure, Signal::Shed),
            (Code::MemCritical, Signal::Shed),
            (Code::MemRelief, Signal::Recovered),
        ]
    );
    for code in [Code::GateFloor, Code::OverflowPolicy] {
        let told = collector.of(code);
        let says_no = |event: &ErrorEvent| event.fields.get("enforced").is_some();
        assert!(!told.is_empty() && !told.iter().any(says_no), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resized_limit_reaches_the_ledger_and_is_reported() {
    let (machine, collector) = (Machine::new(), Collector::default());
    let engine = builder(&machine, &collector).start().await.unwrap();
    let size = engine.state().ledger.size_bytes.unwrap();
    assert!(
        (30 * MIB..=50 * MIB).contains(&size),
        "at most half of the limit: {size}"
    );
    machine.limit(60 * MIB);
    until("the ledger follows", || {
        engine.state().ledger.size_bytes.unwrap() <= size * 2 / 3
    })
    .await;
    engine.shutdown(Duration::from_secs(1)).await;
    assert_eq!(collector.of(Code::LimitChanged).len(), 1);
    assert!(!collector.of(Code::LedgerSize).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn observe_decides_and_records_but_turns_nothing() {
    let (machine, collector) = (Machine::new(), Collector::default());
    let engine = builder(&machine, &collector)
        .with_mode(Mode::Observe)
        .start()
        .await
        .unwrap();
    machine.usage(95 * MIB);
    level(&engine, Level::Critical).await;
    let state = engine.state();
    assert_eq!(state.ledger.size_bytes, None);
    assert_eq!(state.gate.floor, Priority::Low);
    assert!(!engine.external().is_shedding() && state.is_accepting());
    assert!(
        state.observation.unwrap().decision.shed,
        "decided all the same"
    );
    engine.shutdown(Duration::from_secs(1)).await;
    assert!(!collector.of(Code::MemCritical).is_empty());
    for code in [Code::GateFloor, Code::OverflowPolicy] {
        let told = collector.of(code);
        let says_no = |event: &ErrorEvent| event.fields.get("enforced") == Some("no".into());
        assert!(!told.is_empty() && told.iter().all(says_no), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tick_is_recorded_with_the_sample_it_rests_on() {
    let (machine, collector) = (Machine::new(), Collector::default());
    let engine = builder(&machine, &collector).start().await.unwrap();
    machine.usage(86 * MIB);
    level(&engine, Level::Error).await;
    let recording = engine.recorder().read();
    let shut = recording
        .snapshots()
        .find(|tick| tick.number("governor.level") >= Some(2.0))
        .expect("the tick that decided");
    assert!(
        shut.number("memory.unreclaimable") >= Some((85 * MIB) as f64),
        "no actuator moves without a sample"
    );
    engine.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_that_lasts_asks_for_a_shutdown() {
    let (machine, collector) = (Machine::new(), Collector::default());
    let control = ControlConfig {
        emergency_sustain: Duration::from_millis(20),
        ..ControlConfig::default()
    };
    let engine = builder(&machine, &collector)
        .with_control(control)
        .start()
        .await
        .unwrap();
    machine.usage(99 * MIB);
    assert_eq!(
        engine.shutdown_requested().await,
        ShutdownRequest::Emergency
    );
    engine.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_every_error_event_changes_no_decision() {
    let machine = Machine::new();
    let engine = Engine::builder()
        .with_root(machine.root())
        .with_interval(Duration::from_millis(2))
        .without_errors()
        .start()
        .await
        .unwrap();
    machine.usage(92 * MIB);
    level(&engine, Level::Critical).await;
    until("the floor moves", || {
        engine.state().gate.floor > Priority::Normal
    })
    .await;
    engine.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_named() {
    let ledger = LedgerConfig {
        share: 1.5,
        ..LedgerConfig::default()
    };
    let control = ControlConfig {
        ledger,
        ..ControlConfig::default()
    };
    let error = Engine::builder()
        .with_control(control)
        .start()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("share"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sheddable_queue_holds_its_share_of_half_the_ledger() {
    let (machine, collector) = (Machine::new(), Collector::default());
    let shed = || EmitterOptions::default().delivery(Delivery::sheddable(Overflow::DropNewest));
    let engine = builder(&machine, &collector)
        .with_emitter("a", Scripted::default(), shed())
        .with_emitter("b", Scripted::default(), shed().queue(10, Some(77)))
        .with_emitter("c", Scripted::default(), EmitterOptions::default());
    let engine = engine.start().await.unwrap();
    let limits = || {
        let stats = engine.external().stats();
        stats.iter().map(|s| s.limit_bytes).collect::<Vec<_>>()
    };
    let is_shared = || {
        let ledger = engine.gate().budget().size_bytes().unwrap() as f64;
        (limits()[0] as f64 / (ledger / 6.0) - 1.0).abs() <= 0.11
    };
    until("a sixth of the ledger", is_shared).await;
    let before = engine.gate().budget().size_bytes();
    machine.limit(50 * MIB);
    until("the ledger has shrunk", || {
        engine.gate().budget().size_bytes() < before
    })
    .await;
    until("the share follows", is_shared).await;
    assert_eq!(limits()[1..], [77, u64::MAX]);

    // A bound of its own ends it; without one it shares again.
    let observer = engine.observer();
    assert!(observer.set_queue_limits("a", 20, Some(99)));
    assert_eq!(limits()[0], 99);
    assert!(observer.set_queue_limits("a", 10, None));
    until("it shares again", is_shared).await;
    assert!(!observer.set_queue_limits("nobody", 1, None));
    engine.shutdown(Duration::from_secs(1)).await;
    let shrunk = collector.of(Code::BufferShrink);
    let sizes = |event: &relay_event::ErrorEvent| {
        let size = |name| event.fields.get(name).unwrap();
        (size("from_events"), size("to_events"))
    };
    assert_eq!(sizes(&shrunk[1]), (20_u64.into(), 10_u64.into()));
    assert_eq!(shrunk.len(), 2, "and once from the default to 20");
}

/// As [`until`], but sooner than `time`.
async fn within(time: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pulse_is_woken_by_a_limit_that_is_written_and_by_a_growing_ledger() {
    let (machine, collector) = (Machine::new(), Collector::default());
    // Long enough that no tick comes by itself.
    let interval = Duration::from_secs(10);
    let engine = builder(&machine, &collector).with_interval(interval);
    let engine = engine.start().await.unwrap();
    let tick = || engine.state().observation.unwrap().sample.at;
    // The first tick was that of the start.
    let number = || engine.state().observation.unwrap().number;
    within(interval / 2, "the thread ticks", || number() > 1).await;

    let size = engine.state().ledger.size_bytes;
    machine.limit(60 * MIB);
    let follows = || engine.state().ledger.size_bytes < size;
    within(interval / 2, "the ledger follows", follows).await;

    let before = tick();
    let held = engine.gate().admit(4 * MIB, Priority::Normal).unwrap();
    within(interval / 2, "it looks", || tick() > before).await;
    drop(held);
    engine.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_moved_to_another_group_is_followed() {
    let (machine, collector) = (Machine::new(), Collector::default());
    let engine = builder(&machine, &collector).start().await.unwrap();
    let limit = || {
        let observation = engine.state().observation.unwrap();
        observation.sample.limit_bytes.bytes()
    };
    assert_eq!(limit(), Some(100 * MIB));
    for (file, text) in [
        ("memory.max", "41943040\n"),
        ("memory.current", "10485760\n"),
        (
            "memory.stat",
            "anon 10485760\ninactive_file 0\nactive_file 0\n",
        ),
    ] {
        machine.write(&format!("sys/fs/cgroup/moved/{file}"), text);
    }
    machine.write("proc/self/cgroup", "0::/moved\n");
    until("the new limit", || limit() == Some(40 * MIB)).await;
    engine.shutdown(Duration::from_secs(1)).await;
}
