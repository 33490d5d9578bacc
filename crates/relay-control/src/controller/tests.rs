use proptest::prelude::*;

use super::*;
use crate::{AimdConfig, DrainConfig, GovernorState, LadderConfig, Reason};

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 100 * MIB;
const TICK: Duration = Duration::from_millis(50);

/// A controller, and a process whose state the test sets by hand.
struct Bench {
    controller: Controller,
    input: Input,
    now: Duration,
}

impl Bench {
    fn new(config: ControlConfig) -> Self {
        let mut bench = Self {
            controller: Controller::try_new(config).unwrap(),
            input: Input {
                memory: at(0.10),
                ledger_used_bytes: 0,
                live_bytes: None,
                delivered_bytes: 0,
                backlog: false,
            },
            now: Duration::ZERO,
        };
        bench.tick();
        bench
    }

    fn tick(&mut self) -> Decision {
        self.now += TICK;
        self.controller.step(&self.input, self.now)
    }

    /// Ticks for `seconds` while 1 MiB/s is delivered out of a backlog of `queued`.
    fn drain(&mut self, seconds: u32, queued: u64) -> Decision {
        self.input.backlog = true;
        self.input.ledger_used_bytes = queued;
        let mut decision = self.tick();
        for _ in 0..seconds * 20 {
            self.input.delivered_bytes += MIB / 20;
            decision = self.tick();
        }
        decision
    }

    fn set(&mut self, pressure: f64) -> Decision {
        self.input.memory = at(pressure);
        self.tick()
    }
}

fn at(pressure: f64) -> Reading<Memory> {
    Reading::Known(Memory {
        unreclaimable_bytes: (pressure * LIMIT as f64).round() as u64,
        limit_bytes: LIMIT,
        soft_limit_bytes: None,
    })
}

fn with_law(law: Law) -> ControlConfig {
    ControlConfig {
        law,
        ..ControlConfig::default()
    }
}

fn admitted_mib(decision: &Decision) -> f64 {
    decision.admitted_bytes_per_second().unwrap() / MIB as f64
}

#[test]
fn floors_and_shedding_follow_the_level_and_are_restored() {
    let mut bench = Bench::new(ControlConfig::default());
    let course = [0.5, 0.7, 0.85, 0.90, 0.98, 0.85, 0.80, 0.76, 0.74, 0.5];
    let seen = course.map(|pressure| {
        let decision = bench.set(pressure);
        (decision.floor, decision.shed)
    });
    let expected = [
        (0, false),
        (0, false),
        (1, false),
        (2, true),
        (3, true),
        (2, true),
        (2, true),
        (1, true),
        (0, false),
        (0, false),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_transition_is_reported_once() {
    let mut bench = Bench::new(ControlConfig::default());
    let risen = bench.set(0.9);
    assert_eq!(
        (risen.previous_level, risen.level),
        (Level::Normal, Level::Critical)
    );
    let held = bench.tick();
    assert_eq!(
        (held.previous_level, held.level),
        (Level::Critical, Level::Critical)
    );
}

/// J11
#[test]
fn only_a_sustained_emergency_shuts_down() {
    let mut bench = Bench::new(ControlConfig::default());
    for _ in 0..19 {
        assert!(!bench.set(0.985).shutdown);
    }
    assert!(!bench.set(0.97).shutdown, "a dip starts it anew");
    for _ in 0..20 {
        assert!(!bench.set(0.985).shutdown);
    }
    assert!(bench.set(0.985).shutdown);
}

#[test]
fn a_known_drain_with_a_backlog_sets_the_rate_and_an_empty_queue_lifts_it() {
    let mut bench = Bench::new(ControlConfig::default());
    assert_eq!(bench.tick().reason, Reason::DrainUnknown);
    bench.input.memory = at(0.65);
    let held = bench.drain(5, 30 * MIB);
    assert!((admitted_mib(&held) - 1.0).abs() < 1e-3, "{held:?}");
    bench.input.backlog = false;
    bench.tick();
    let lifted = bench.tick();
    assert_eq!(lifted.rate_bytes_per_second, None);
    assert_eq!(lifted.reason, Reason::NoBacklog);
}

/// R11: a limit stands at the first look that finds a backlog, the drain's own three looks later.
#[test]
fn a_step_meets_a_limit_before_anything_is_known_and_the_drain_soon_after() {
    let mut bench = Bench::new(ControlConfig::default());
    assert_eq!(bench.tick().rate_bytes_per_second, None);
    bench.input.backlog = true;
    bench.input.ledger_used_bytes = MIB;
    let mut look = |delivered_bytes| {
        bench.now += Duration::from_millis(5);
        bench.input.delivered_bytes += delivered_bytes;
        bench.controller.step(&bench.input, bench.now)
    };
    let first = look(0);
    assert_eq!((first.reason, first.learning), (Reason::DrainUnknown, true));
    let room = admitted_mib(&first);
    assert!(
        (20.0..55.0).contains(&room),
        "{room} MiB/s: what is free below 65 % of 100 MiB, in a second"
    );
    for _ in 0..2 {
        let next = look(8 << 10);
        assert!(
            admitted_mib(&next) >= room - 1.0 && next.learning,
            "{next:?}"
        );
    }
    let known = look(8 << 10);
    assert!(!known.learning && known.drain_bytes_per_second.is_some());
    assert!(admitted_mib(&known) < room / 5.0, "{known:?}");
}

/// A consumer that has just begun, and is fast, is not held to what happens to be free.
#[test]
fn what_was_delivered_already_is_admitted_whatever_room_there_is() {
    let mut bench = Bench::new(ControlConfig::default());
    bench.input.backlog = true;
    bench.input.ledger_used_bytes = MIB;
    bench.input.delivered_bytes = 50 * MIB;
    let first = bench.tick();
    assert!(first.learning && admitted_mib(&first) > 1000.0, "{first:?}");
}

#[test]
fn above_the_setpoint_less_than_the_drain_is_admitted_and_nothing_before_error() {
    let mut bench = Bench::new(ControlConfig::default());
    bench.drain(5, 30 * MIB);
    for (pressure, share) in [
        (0.60, 1.25),
        (0.65, 1.0),
        (0.70, 0.5),
        (0.75, 0.0),
        (0.84, 0.0),
    ] {
        bench.input.memory = at(pressure);
        let decision = bench.drain(3, 45 * MIB);
        assert!(
            admitted_mib(&decision) <= share + 1e-3,
            "{pressure}: {decision:?}"
        );
        assert_eq!(decision.floor, 0);
    }
}

#[test]
fn memory_that_the_queue_does_not_hold_does_not_hold_the_gate_shut() {
    let mut bench = Bench::new(ControlConfig::default());
    bench.input.memory = at(0.80);
    let small = bench.drain(5, MIB);
    // A fifth of what counts as small is used: the drain, and four fifths of the probe.
    assert!((admitted_mib(&small) - 1.2).abs() < 1e-3);
    assert_eq!(small.reason, Reason::QueueSmall);
    let nearly = bench.drain(5, 5 * MIB - 1);
    assert!(
        (admitted_mib(&nearly) - 1.0).abs() < 1e-3,
        "no jump at the border"
    );
    bench.input.memory = at(0.86);
    assert_eq!(
        admitted_mib(&bench.drain(5, MIB)),
        0.0,
        "from error on it does"
    );
}

/// The latch-up that is reported most: all was delivered, the allocator kept the pages.
#[test]
fn memory_that_the_allocator_keeps_does_not_hold_the_gate_shut_below_critical() {
    let mut bench = Bench::new(ControlConfig::default());
    bench.drain(5, MIB);
    bench.input.live_bytes = Some(10 * MIB);
    bench.input.memory = at(0.89);
    let kept = bench.drain(5, MIB);
    assert!((admitted_mib(&kept) - 1.0).abs() < 1e-3, "{kept:?}");
    assert_eq!((kept.level, kept.floor), (Level::Error, 0));

    bench.input.memory = at(0.90);
    let critical = bench.drain(5, MIB);
    assert_eq!((admitted_mib(&critical), critical.floor), (0.0, 2));

    bench.input.memory = at(0.89);
    let held = bench.drain(5, MIB);
    assert_eq!(
        (held.level, held.floor),
        (Level::Critical, 0),
        "held by its hysteresis"
    );
    assert!((admitted_mib(&held) - 1.0).abs() < 1e-3, "{held:?}");
}

#[test]
fn a_batch_more_or_less_does_not_make_kept_memory_flicker() {
    let mut bench = Bench::new(ControlConfig::default());
    bench.drain(5, MIB);
    bench.input.live_bytes = Some(10 * MIB);
    bench.input.memory = at(0.86);
    let floors = [6, 4, 6, 9, 10, 6, 4].map(|mib| bench.drain(1, mib * MIB).floor);
    assert_eq!(floors, [1, 0, 0, 0, 1, 1, 0]);
}

#[test]
fn live_bytes_or_a_rise_say_that_memory_is_not_merely_kept() {
    let mut bench = Bench::new(ControlConfig::default());
    bench.drain(5, MIB);
    bench.input.memory = at(0.86);
    bench.input.live_bytes = Some(60 * MIB);
    let live = bench.drain(5, MIB);
    assert_eq!((admitted_mib(&live), live.floor), (0.0, 1));

    bench.input.live_bytes = Some(10 * MIB);
    assert_eq!(bench.drain(5, MIB).floor, 0);
    assert_eq!(bench.set(0.88).floor, 1, "40 % a second");
}

/// What `observe` decides is what `enforce` decides; both call this and nothing else.
#[test]
fn the_same_trace_gives_the_same_decisions() {
    for law in [Law::Drain, Law::Aimd, Law::None] {
        let mut enforced = Bench::new(with_law(law));
        let mut trace = vec![(enforced.input, enforced.now)];
        let mut decisions = Vec::new();
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..2_000 {
            enforced.input.memory = at(rng.f64());
            enforced.input.backlog = rng.u8(..4) > 0;
            enforced.input.ledger_used_bytes = rng.u64(..60 * MIB);
            enforced.input.delivered_bytes += rng.u64(..MIB);
            decisions.push(enforced.tick());
            trace.push((enforced.input, enforced.now));
        }
        let mut observed = Controller::try_new(with_law(law)).unwrap();
        observed.step(&trace[0].0, trace[0].1);
        for ((input, now), decision) in trace[1..].iter().zip(decisions) {
            assert_eq!(observed.step(input, *now), decision);
        }
    }
}

#[test]
fn a_burst_before_the_drain_is_known_is_held_at_the_setpoint_by_the_provisional_one() {
    let mut bench = Bench::new(ControlConfig::default());
    bench.input.backlog = true;
    bench.input.ledger_used_bytes = 30 * MIB;
    bench.set(0.30);
    bench.input.delivered_bytes += MIB / 20;
    let decision = bench.set(0.60);
    assert_eq!(decision.drain_bytes_per_second, None);
    assert_eq!(
        decision.rate_bytes_per_second,
        Some(0.0),
        "it rises by 6 limits a second"
    );
}

/// Under `drain` the governor is computed and recorded, but moves nothing in ordinary overload.
#[test]
fn the_governor_scales_only_while_the_drain_is_unknown_or_memory_overruns() {
    let mut unknown = Bench::new(ControlConfig {
        nominal_bytes_per_second: Some(MIB),
        ..ControlConfig::default()
    });
    let decision = unknown.set(0.75);
    assert_eq!((decision.scale, decision.reason), (0.5, Reason::Governor));
    assert_eq!(admitted_mib(&decision), 0.5);

    let mut known = Bench::new(ControlConfig::default());
    known.drain(5, 30 * MIB);
    let decision = known.set(0.75);
    assert_eq!(decision.governor.state, GovernorState::Degraded);
    assert_eq!(decision.scale, 1.0);
    assert_eq!(known.set(0.85).scale, 0.5);
    assert_eq!(known.set(0.80).scale, 1.0, "and lets go at once");
}

#[test]
fn the_aimd_law_admits_its_share_of_the_nominal_rate() {
    let mut bench = Bench::new(with_law(Law::Aimd));
    bench.drain(5, 30 * MIB);
    assert_eq!(bench.tick().rate_bytes_per_second, None, "at rest");
    let cut = bench.set(0.70);
    assert!(
        (admitted_mib(&cut) - 0.5).abs() < 0.05,
        "half of the drain: {cut:?}"
    );
    let again = bench.set(0.90);
    assert_eq!(again.scale, 0.25);
    for _ in 0..20 * 20 {
        assert_eq!(
            bench.set(0.95).scale,
            0.25,
            "no third cut within the cooldown"
        );
    }
}

#[test]
fn without_a_law_only_ledger_and_ladder_are_left() {
    let mut bench = Bench::new(with_law(Law::None));
    bench.drain(5, 30 * MIB);
    let decision = bench.set(0.93);
    assert_eq!(decision.admitted_bytes_per_second(), None);
    assert_eq!((decision.scale, decision.reason), (1.0, Reason::NoLaw));
    assert_eq!(decision.floor, 2);
    assert!(decision.ledger_bytes <= LIMIT / 2);
}

/// AM06, J12
#[test]
fn a_silent_sensor_is_believed_for_two_seconds_and_then_distrusted() {
    for law in [Law::Drain, Law::Aimd, Law::None] {
        let mut bench = Bench::new(with_law(law));
        let calm = bench.set(0.30);
        bench.input.memory = Reading::Unknown;
        for _ in 0..40 {
            let held = bench.tick();
            assert!(!held.sensor_stale);
            assert_eq!(held.pressure, None);
            assert_eq!((held.scale, held.floor), (calm.scale, calm.floor));
        }
        let stale = bench.tick();
        assert!(stale.sensor_stale);
        assert_eq!((stale.scale, stale.floor), (0.5, 1));
        assert_eq!(stale.ledger_bytes, calm.ledger_bytes / 2);
        assert_eq!(stale.reason == Reason::SensorStale, law != Law::None);
        let back = bench.set(0.30);
        assert!(!back.sensor_stale);
        assert_eq!((back.scale, back.floor), (1.0, 0));
        assert_eq!(back.ledger_bytes, calm.ledger_bytes);
    }
}

#[test]
fn a_sensor_that_never_answered_is_distrusted_too() {
    let mut controller = Controller::try_new(ControlConfig::default()).unwrap();
    let input = Input {
        memory: Reading::Unknown,
        ledger_used_bytes: 0,
        live_bytes: None,
        delivered_bytes: 0,
        backlog: false,
    };
    assert!(
        !controller
            .step(&input, Duration::from_secs(100))
            .sensor_stale
    );
    assert!(
        !controller
            .step(&input, Duration::from_secs(102))
            .sensor_stale
    );
    assert!(
        controller
            .step(&input, Duration::from_millis(102_001))
            .sensor_stale
    );
}

/// J12
#[test]
fn a_limit_that_goes_away_takes_everything_with_it() {
    let mut bench = Bench::new(ControlConfig::default());
    bench.set(0.99);
    bench.input.memory = Reading::NoLimit;
    let decision = bench.tick();
    assert_eq!(
        (decision.previous_level, decision.level),
        (Level::Emergency, Level::Normal)
    );
    assert_eq!(decision.pressure, None);
    assert_eq!(decision.rate_bytes_per_second, None);
    assert_eq!(decision.reason, Reason::NoLimit);
    assert_eq!(
        (decision.floor, decision.shed, decision.shutdown),
        (0, false, false)
    );
    assert_eq!(decision.ledger_bytes, 256 * MIB);
}

#[test]
fn neighbours_that_contradict_each_other_are_refused_by_name() {
    let refused = |config: ControlConfig| Controller::try_new(config).unwrap_err().field;
    let base = ControlConfig::default;
    let drain = |setpoint, band| DrainConfig {
        setpoint,
        band,
        ..DrainConfig::default()
    };
    assert_eq!(
        refused(ControlConfig {
            drain: drain(0.70, 0.1),
            ..base()
        }),
        "drain.setpoint"
    );
    assert_eq!(
        refused(ControlConfig {
            drain: drain(0.65, 0.2),
            ..base()
        }),
        "drain.band"
    );
    let nominal = Some(0);
    assert_eq!(
        refused(ControlConfig {
            nominal_bytes_per_second: nominal,
            ..base()
        }),
        "nominal_bytes_per_second"
    );
    let sensor_timeout = Duration::ZERO;
    assert_eq!(
        refused(ControlConfig {
            sensor_timeout,
            ..base()
        }),
        "sensor_timeout"
    );
    let aimd = AimdConfig {
        floor: 2.0,
        ..AimdConfig::default()
    };
    assert_eq!(refused(ControlConfig { aimd, ..base() }), "aimd.floor");
    assert!(
        Controller::try_new(ControlConfig {
            ladder: LadderConfig::late(),
            ..base()
        })
        .is_ok()
    );
}

fn any_bytes() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), 0..200 * MIB, any::<u64>()]
}

fn any_memory() -> impl Strategy<Value = Reading<Memory>> {
    let known = (any_bytes(), any_bytes(), prop::option::of(any_bytes())).prop_map(
        |(unreclaimable_bytes, limit_bytes, soft_limit_bytes)| {
            Reading::Known(Memory {
                unreclaimable_bytes,
                limit_bytes,
                soft_limit_bytes,
            })
        },
    );
    prop_oneof![4 => known, 1 => Just(Reading::Unknown), 1 => Just(Reading::NoLimit)]
}

fn any_input() -> impl Strategy<Value = (Input, u64)> {
    let wait_ns = prop_oneof![Just(0), Just(1), Just(50_000_000), any::<u64>()];
    (
        any_memory(),
        any_bytes(),
        prop::option::of(any_bytes()),
        any_bytes(),
        any::<bool>(),
        wait_ns,
    )
        .prop_map(
            |(memory, ledger_used_bytes, live_bytes, delivered_bytes, backlog, wait_ns)| {
                let input = Input {
                    memory,
                    ledger_used_bytes,
                    live_bytes,
                    delivered_bytes,
                    backlog,
                };
                (input, wait_ns)
            },
        )
}

proptest! {
    /// Whatever is read, at whatever times: every knob gets a value that it can be set to.
    #[test]
    fn every_decision_is_finite_and_in_range(
        law in prop::sample::select(vec![Law::Drain, Law::Aimd, Law::None]),
        inputs in prop::collection::vec(any_input(), 1..60),
    ) {
        let mut controller = Controller::try_new(with_law(law)).unwrap();
        let mut now = Duration::ZERO;
        for (input, wait_ns) in inputs {
            now = now.saturating_add(Duration::from_nanos(wait_ns));
            let d = controller.step(&input, now);
            let rates = [d.rate_bytes_per_second, d.drain_bytes_per_second, d.pressure];
            for value in rates.into_iter().flatten() {
                prop_assert!(value.is_finite() && value >= 0.0, "{:?}", d);
            }
            prop_assert!((0.05..=1.0).contains(&d.scale), "{:?}", d);
            prop_assert!((0.0..=d.scale).contains(&d.lowest_scale), "{:?}", d);
            prop_assert!((1.0..=8.0).contains(&d.cost_factor), "{:?}", d);
            prop_assert!(d.ledger_bytes >= MIB / 2, "{:?}", d);
            prop_assert!(d.floor <= 3 && (d.floor == 3) == (d.level == Level::Emergency));
            prop_assert!(!d.shutdown || d.level == Level::Emergency, "{:?}", d);
            prop_assert!(d.level < Level::Critical || d.shed, "{:?}", d);
        }
    }
}

/// A stall is a second opinion: it holds back what can wait, and moves neither level nor ledger.
#[test]
fn a_stall_refuses_the_lowest_class_and_degrades_the_governor_until_it_is_over() {
    let mut controller = Controller::try_new(ControlConfig::default()).unwrap();
    let memory = Memory {
        unreclaimable_bytes: 30 << 20,
        limit_bytes: 100 << 20,
        soft_limit_bytes: None,
    };
    let input = Input {
        memory: Reading::Known(memory),
        ledger_used_bytes: 0,
        live_bytes: Some(1 << 20),
        delivered_bytes: 0,
        backlog: false,
    };
    let mut step = |level, seconds| {
        controller.note_stall(level);
        let decision = controller.step(&input, Duration::from_secs(seconds));
        assert_eq!((decision.level, decision.shed), (Level::Normal, false));
        (decision.floor, decision.governor.state)
    };
    assert_eq!(step(Level::Warning, 1), (0, GovernorState::Normal));
    assert_eq!(step(Level::Error, 2), (1, GovernorState::Degraded));
    assert_eq!(step(Level::Critical, 3), (1, GovernorState::Degraded));
    assert_eq!(step(Level::Normal, 4), (0, GovernorState::Recovering));
}
