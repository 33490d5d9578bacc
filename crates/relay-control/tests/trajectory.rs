//! Overload as a course of events: a small model of a node, driven by the real controller.
//!
//! The model is pessimistic where it can be: arrivals do not slow down, bytes are resident the
//! moment they are admitted, and the controller sees memory only once a tick.

use std::time::Duration;

use relay_control::{ControlConfig, Controller, Decision, Input, Level, Memory, Reading, Reason};

const MIB: f64 = (1 << 20) as f64;
const STEP_S: f64 = 0.005;
const STEPS_PER_TICK: usize = 10;

/// A node: arrivals, a gate, a queue of bytes, a consumer, and pages.
struct Node {
    controller: Controller,
    decision: Decision,
    limit: f64,
    base: f64,
    /// Resident bytes for each queued byte.
    cost: f64,
    drain: f64,
    queued: f64,
    delivered: f64,
    tokens: f64,
    /// Seconds that the allocator keeps what is freed.
    keeps_s: f64,
    resident: f64,
    step: usize,
    backlog: bool,
}

/// What happened during one stretch of constant load.
#[derive(Debug, Default)]
struct Stretch {
    offered: f64,
    admitted: f64,
    delivered: f64,
    peak: f64,
    lowest: f64,
    highest_level: Level,
    /// Admitted bytes of each tick.
    ticks: Vec<f64>,
}

impl Node {
    fn new(limit_mib: f64, config: ControlConfig) -> Self {
        let mut controller = Controller::try_new(config).expect("valid configuration");
        let limit = limit_mib * MIB;
        let base = 8.0 * MIB;
        let input = input(base, limit, 0.0, 0.0, false);
        Self {
            decision: controller.step(&input, Duration::ZERO),
            controller,
            limit,
            base,
            cost: 1.6,
            drain: MIB,
            queued: 0.0,
            delivered: 0.0,
            tokens: 0.0,
            keeps_s: 0.0,
            resident: base,
            step: 0,
            backlog: false,
        }
    }

    /// `seconds` of `load_mib` MiB/s offered.
    fn run(&mut self, seconds: f64, load_mib: f64) -> Stretch {
        let mut stretch = Stretch {
            lowest: f64::INFINITY,
            ..Stretch::default()
        };
        for _ in 0..(seconds / STEP_S).round() as usize {
            if self.step.is_multiple_of(STEPS_PER_TICK) {
                self.tick();
                stretch.ticks.push(0.0);
            }
            self.step += 1;
            let offered = load_mib * MIB * STEP_S;
            let admitted = self.admit(offered);
            let delivered = self.deliver();
            stretch.offered += offered;
            stretch.admitted += admitted;
            stretch.delivered += delivered;
            *stretch.ticks.last_mut().expect("one tick at least") += admitted;
            stretch.peak = stretch.peak.max(self.resident / self.limit);
            stretch.lowest = stretch.lowest.min(self.resident / self.limit);
            stretch.highest_level = stretch.highest_level.max(self.decision.level);
        }
        stretch
    }

    fn admit(&mut self, offered: f64) -> f64 {
        let by_rate = match self.decision.admitted_bytes_per_second() {
            None => f64::INFINITY,
            Some(rate) => {
                self.tokens = (self.tokens + rate * STEP_S).min(rate * 0.05);
                self.tokens
            }
        };
        let by_ledger = (self.decision.ledger_bytes as f64 - self.queued).max(0.0);
        let by_floor = if self.decision.floor > 1 {
            0.0
        } else {
            f64::INFINITY
        };
        let admitted = offered.min(by_rate).min(by_ledger).min(by_floor);
        self.tokens = (self.tokens - admitted).max(0.0);
        self.queued += admitted;
        admitted
    }

    fn deliver(&mut self) -> f64 {
        let delivered = self.queued.min(self.drain * STEP_S);
        self.queued -= delivered;
        self.delivered += delivered;
        self.backlog &= self.queued > 0.0;
        let live = self.base + self.cost * self.queued;
        let kept = if self.keeps_s > 0.0 {
            self.resident - (self.resident - live) * STEP_S / self.keeps_s
        } else {
            live
        };
        self.resident = live.max(kept);
        delivered
    }

    fn tick(&mut self) {
        let now = Duration::from_secs_f64(self.step as f64 * STEP_S);
        let input = input(
            self.resident,
            self.limit,
            self.queued,
            self.delivered,
            self.backlog,
        );
        self.decision = self.controller.step(&input, now);
        self.backlog = self.queued > 0.0;
    }
}

impl Stretch {
    fn share_admitted(&self) -> f64 {
        self.admitted / self.offered
    }

    /// Spread of memory, as a share of the limit.
    fn swing(&self) -> f64 {
        self.peak - self.lowest
    }
}

fn input(resident: f64, limit: f64, queued: f64, delivered: f64, backlog: bool) -> Input {
    Input {
        memory: Reading::Known(Memory {
            unreclaimable_bytes: resident as u64,
            limit_bytes: limit as u64,
            soft_limit_bytes: None,
        }),
        ledger_used_bytes: queued as u64,
        live_bytes: None,
        delivered_bytes: delivered as u64,
        backlog,
    }
}

fn node(limit_mib: f64) -> Node {
    Node::new(limit_mib, ControlConfig::default())
}

#[test]
fn overload_from_1_4_to_20_times_peaks_below_three_quarters_and_keeps_the_consumer_busy() {
    for limit_mib in [64.0, 256.0] {
        for load in [1.4, 2.0, 5.0, 10.0, 20.0] {
            let mut node = node(limit_mib);
            let run = node.run(60.0, load);
            let case = format!("{load} x at {limit_mib} MiB: {:.3}", run.peak);
            assert!(run.peak <= 0.75, "{case}");
            assert!(run.delivered / (60.0 * MIB) >= 0.98, "{case}");
            assert_eq!(run.highest_level, Level::Normal, "{case}");
        }
    }
}

#[test]
fn a_steady_overload_does_not_swing() {
    for limit_mib in [64.0, 256.0] {
        for load in [2.0, 5.0, 20.0] {
            let mut node = node(limit_mib);
            node.run(150.0, load);
            let mut steady = node.run(30.0, load);
            assert!(steady.swing() < 0.02, "{load} x: {}", steady.swing());
            steady.ticks.sort_by(f64::total_cmp);
            let percentile =
                |share: f64| steady.ticks[(steady.ticks.len() as f64 * share) as usize];
            let points = (percentile(0.95) - percentile(0.05)) / (MIB * 0.05) * 100.0;
            assert!(
                points < 10.0,
                "{load} x at {limit_mib} MiB: {points:.1} points"
            );
        }
    }
}

#[test]
fn when_the_load_falls_to_half_all_of_it_is_admitted_within_a_second() {
    for limit_mib in [64.0, 256.0] {
        for load in [1.4, 5.0, 20.0] {
            let mut node = node(limit_mib);
            node.run(60.0, load);
            assert!(node.queued > MIB, "the backlog stands");
            node.run(1.0, 0.5);
            let after = node.run(1.0, 0.5);
            assert!(after.share_admitted() >= 0.95, "{load} x: {after:?}");
        }
    }
}

#[test]
fn pages_that_the_allocator_keeps_neither_cut_goodput_nor_hold_the_gate_shut() {
    let mut node = node(64.0);
    node.keeps_s = 20.0;
    let overload = node.run(60.0, 5.0);
    assert!(overload.delivered / (60.0 * MIB) >= 0.98);
    assert!(overload.peak <= 0.75, "{}", overload.peak);
    for second in 0..60 {
        let after = node.run(1.0, 0.5);
        assert!(
            after.share_admitted() >= 0.95,
            "second {second}: {:?}",
            node.decision
        );
    }
}

#[test]
fn a_cost_twice_as_high_as_believed_is_held_all_the_same() {
    for load in [2.0, 5.0, 20.0] {
        let mut node = node(64.0);
        node.cost = 3.2;
        let run = node.run(60.0, load);
        assert!(run.peak <= 0.75, "{load} x: {}", run.peak);
        assert!(run.delivered / (60.0 * MIB) >= 0.98, "{load} x");
    }
}

#[test]
fn a_consumer_so_fast_that_memory_could_fill_in_a_second_is_matched_too() {
    for load in [2.0, 5.0, 20.0] {
        let mut node = node(64.0);
        node.drain = 40.0 * MIB;
        let run = node.run(20.0, 40.0 * load);
        assert!(run.peak <= 0.85, "{load} x: {}", run.peak);
        assert!(run.delivered / (20.0 * 40.0 * MIB) >= 0.98, "{load} x");
        node.run(1.0, 20.0);
        assert!(node.run(1.0, 20.0).share_admitted() >= 0.95, "{load} x");
    }
}

#[test]
fn a_stall_of_five_seconds_at_half_load_refuses_nothing() {
    let mut node = node(64.0);
    node.run(20.0, 0.5);
    node.drain = 0.0;
    assert!(node.run(5.0, 0.5).share_admitted() >= 0.999);
    node.drain = MIB;
    let after = node.run(20.0, 0.5);
    assert!(after.share_admitted() >= 0.999);
    assert!(node.queued < 0.1 * MIB, "and the backlog is gone");
}

#[test]
fn a_consumer_that_dies_is_not_fed_beyond_the_setpoint_and_is_met_when_it_returns() {
    let mut node = node(64.0);
    node.run(20.0, 10.0);
    node.drain = 0.0;
    let dead = node.run(60.0, 10.0);
    assert!(dead.peak <= 0.75, "{}", dead.peak);
    node.drain = MIB;
    let back = node.run(20.0, 10.0);
    assert!(back.delivered / (20.0 * MIB) >= 0.98);
    assert!(back.peak <= 0.75);
}

#[test]
fn a_slow_minute_long_ago_does_not_hold_back_a_burst() {
    let mut node = node(256.0);
    node.drain = 0.1 * MIB;
    node.run(20.0, 0.2);
    node.drain = 20.0 * MIB;
    node.run(30.0, 0.01);
    assert_eq!(node.decision.drain_bytes_per_second, None, "forgotten");
    assert!(node.run(5.0, 19.0).share_admitted() >= 0.999);
}

#[test]
fn a_slow_moment_just_now_does_not_hold_back_a_burst_for_long() {
    let mut node = node(256.0);
    node.drain = 0.1 * MIB;
    node.run(5.0, 0.2);
    node.drain = 20.0 * MIB;
    node.run(5.0, 0.01);
    node.run(1.0, 19.0);
    assert!(node.run(5.0, 19.0).share_admitted() >= 0.99);
}

#[test]
fn load_below_the_drain_is_never_slowed() {
    for load in [0.1, 0.5, 0.95] {
        let mut node = node(64.0);
        let run = node.run(60.0, load);
        assert_eq!(run.admitted, run.offered);
        assert!(matches!(
            node.decision.reason,
            Reason::NoBacklog | Reason::DrainUnknown
        ));
    }
}

/// AM02: more load never means less delivered.
#[test]
fn the_goodput_curve_has_no_cliff() {
    let goodput = [0.5, 0.9, 1.1, 1.4, 2.0, 5.0, 20.0, 100.0]
        .map(|load| node(64.0).run(30.0, load).delivered);
    for pair in goodput.windows(2) {
        assert!(pair[1] >= 0.99 * pair[0], "{goodput:?}");
    }
}
