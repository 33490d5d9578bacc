//! The scenarios: what is sent, what goes wrong meanwhile, and what must hold.

use super::check::{Check, OURS};
use super::scenario::{Act, Scenario, SinkKind, Sizes, Step, Stretch};
use super::variant::Variant;
use crate::stress::state::Level;
use Check::{
    Acts, Amplification, Dies, FollowsLimit, Goodput, HighestLevel, NeedsUsage, NoRefusal, Peak,
    Recovers, RecoversEachCycle, Steady, Swing, Yields,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const SHIPPED: &[Variant] = &[Variant::Default];
const WITH_NAIVE: &[Variant] = &[Variant::Off, Variant::Default];

/// 64 KiB: few enough events that two cores are not what is measured.
const PLAIN: Sizes = Sizes::InTurn(&[64 * KIB]);

pub(super) fn all() -> Vec<Scenario> {
    vec![
        survival("survival-2x", 2.0, 40.0),
        survival("survival-10x", 10.0, 20.0),
        at_capacity(),
        step(),
        mixed_sizes(),
        sink_stalled(),
        sink_slow(),
        cost_underestimated(),
        limit_moves(),
        neighbour(),
        file_writing(),
        cycles(),
        payload_ramp(),
        oversize(),
    ]
}

fn plain() -> Scenario {
    Scenario {
        name: "",
        about: "",
        limit_bytes: 256 * MIB,
        capacity: 8 * MIB,
        sink: SinkKind::Blackhole,
        sizes: PLAIN,
        stretches: Vec::new(),
        script: Vec::new(),
        settings: &[],
        variants: SHIPPED,
        always: OURS,
        checks: &[],
        naive: &[Dies],
        quick: None,
    }
}

fn survival(name: &'static str, times: f64, seconds: f64) -> Scenario {
    let checks: &[Check] = if times < 6.0 {
        &[
            Goodput(0.95),
            Peak(0.80),
            Swing(0.05, 10.0),
            Recovers(1000.0),
        ]
    } else {
        &[
            Goodput(0.90),
            Peak(0.80),
            Swing(0.05, 10.0),
            Recovers(1000.0),
        ]
    };
    Scenario {
        name,
        about: "Constant overload from the start, then half the capacity, beside a neighbour that holds 140 MiB of the 256: without it \
            the ledger alone, which is never off, would keep memory from where the other laws begin. Every set of laws, side by side.",
        stretches: stretches(&[(times, seconds), (0.5, 3.0)]),
        script: vec![Step {
            at_seconds: 0.0,
            act: Act::Eat(140 * MIB),
        }],
        variants: &Variant::ALL,
        checks,
        ..plain()
    }
}

fn at_capacity() -> Scenario {
    Scenario {
        name: "at-capacity",
        capacity: 4 * MIB,
        sizes: Sizes::InTurn(&[KIB]),
        about: "Control has nothing to do, and does nothing: the load is what the sink takes, almost.",
        stretches: stretches(&[(0.95, 15.0)]),
        variants: WITH_NAIVE,
        checks: &[NoRefusal, HighestLevel(Level::Normal)],
        naive: &[NoRefusal],
        ..plain()
    }
}

fn step() -> Scenario {
    Scenario {
        name: "step",
        about: "From rest to ten times the capacity within 10 ms.",
        stretches: stretches(&[(0.01, 3.0), (10.0, 12.0), (0.5, 3.0)]),
        checks: &[
            Goodput(0.90),
            Peak(0.80),
            Acts(50.0),
            Steady(500.0),
            Recovers(1000.0),
        ],
        quick: Some(0.5),
        ..plain()
    }
}

fn mixed_sizes() -> Scenario {
    Scenario {
        name: "mixed-sizes",
        capacity: 16 * MIB,
        about: "100 B to 1 MiB at five times the capacity.",
        sizes: Sizes::Mixed(&[
            (100, 0.001),
            (KIB, 0.009),
            (10 * KIB, 0.09),
            (100 * KIB, 0.3),
            (MIB, 0.6),
        ]),
        stretches: stretches(&[(5.0, 20.0), (0.5, 3.0)]),
        settings: &["adapters.http.max_body=2MiB"],
        checks: &[Goodput(0.90), Peak(0.80), Recovers(1000.0)],
        ..plain()
    }
}

fn sink_stalled() -> Scenario {
    Scenario {
        name: "sink-stalled",
        about: "The sink answers nothing for a minute, at twice its capacity, and comes back.",
        sink: SinkKind::Http,
        capacity: 8 * MIB,
        limit_bytes: 128 * MIB,
        stretches: stretches(&[(2.0, 80.0), (0.5, 5.0)]),
        script: vec![
            Step {
                at_seconds: 5.0,
                act: Act::SinkRate(0.0),
            },
            Step {
                at_seconds: 65.0,
                act: Act::SinkRate(1.0),
            },
        ],
        checks: &[Peak(0.80), Recovers(2000.0)],
        ..plain()
    }
}

fn sink_slow() -> Scenario {
    Scenario {
        name: "sink-slow",
        about: "The sink takes a quarter of what it took, and later all of it again.",
        sink: SinkKind::Http,
        capacity: 8 * MIB,
        limit_bytes: 128 * MIB,
        stretches: stretches(&[(0.9, 25.0), (0.5, 5.0)]),
        script: vec![
            Step {
                at_seconds: 5.0,
                act: Act::SinkRate(0.25),
            },
            Step {
                at_seconds: 15.0,
                act: Act::SinkRate(1.0),
            },
        ],
        checks: &[Peak(0.80), Recovers(2000.0)],
        ..plain()
    }
}

fn cost_underestimated() -> Scenario {
    Scenario {
        name: "cost-underestimated",
        about: "Events of 128 bytes that may wait a minute: most of what they cost is not payload.",
        limit_bytes: 64 * MIB,
        capacity: 64 * KIB,
        sizes: Sizes::InTurn(&[128]),
        stretches: stretches(&[(4.0, 30.0), (0.5, 3.0)]),
        settings: &[
            "control.max_queue_delay=1m",
            "emitters.sink.queue_events=1048576",
        ],
        checks: &[Peak(0.80)],
        ..plain()
    }
}

fn limit_moves() -> Scenario {
    Scenario {
        name: "limit-moves",
        capacity: 16 * MIB,
        about: "The limit is lowered to three quarters under five times the capacity, and raised again.",
        stretches: stretches(&[(5.0, 18.0), (0.5, 3.0)]),
        script: vec![
            Step {
                at_seconds: 6.0,
                act: Act::Limit(192 * MIB),
            },
            Step {
                at_seconds: 12.0,
                act: Act::Limit(256 * MIB),
            },
        ],
        checks: &[
            Goodput(0.90),
            Peak(0.80),
            FollowsLimit(1000.0),
            Recovers(1000.0),
        ],
        quick: Some(0.5),
        ..plain()
    }
}

fn neighbour() -> Scenario {
    let mut script: Vec<_> = (0..30_u32)
        .map(|n| Step {
            at_seconds: 4.0 + f64::from(n) * 0.1,
            act: Act::Eat(5 * MIB),
        })
        .collect();
    script.push(Step {
        at_seconds: 14.0,
        act: Act::Release,
    });
    Scenario {
        name: "neighbour",
        capacity: 16 * MIB,
        about: "A second process takes 150 MiB of the same 256 MiB within 3 s, at five times the capacity, and leaves.",
        stretches: stretches(&[(5.0, 20.0), (0.5, 3.0)]),
        script,
        settings: &["control.max_queue_delay=1h"],
        checks: &[Peak(0.97), Yields(0.3), Recovers(1000.0)],
        quick: Some(0.5),
        ..plain()
    }
}

fn file_writing() -> Scenario {
    Scenario {
        name: "file-writing",
        capacity: 16 * MIB,
        about: "600 MiB through a file: the page cache fills the container, and nothing of it is pressure.",
        sink: SinkKind::File,
        stretches: stretches(&[(0.999, 38.0)]),
        checks: &[NeedsUsage(0.85), HighestLevel(Level::Normal)],
        ..plain()
    }
}

fn cycles() -> Scenario {
    let cycle = [(10.0, 2.0), (0.3, 2.0)];
    Scenario {
        name: "cycles",
        about: "Ten times load and rest: nothing may latch.",
        stretches: stretches(&cycle.repeat(10)),
        checks: &[Peak(0.80), RecoversEachCycle(0.95)],
        ..plain()
    }
}

fn payload_ramp() -> Scenario {
    Scenario {
        name: "payload-ramp",
        about: "Payloads from 1 KiB to 16 MiB in turn, at one and a half times the capacity, each from an empty queue.",
        capacity: 4 * MIB,
        sizes: Sizes::InTurn(&[
            KIB,
            8 * KIB,
            64 * KIB,
            512 * KIB,
            4 * MIB,
            8 * MIB,
            16 * MIB,
        ]),
        stretches: stretches(&[(1.5, 10.0), (0.0, 6.0)]),
        settings: &[
            "adapters.http.max_body=100MiB",
            "control.max_queue_delay=1m",
        ],
        checks: &[Peak(0.80), Amplification(1.5)],
        ..plain()
    }
}

fn oversize() -> Scenario {
    Scenario {
        name: "oversize",
        about: "Payloads of 100 MiB, which never fit: none of it may be kept. A sender that does not ask first may find its \
            connection closed, because only 1 MiB of a refused body is read away.",
        sizes: Sizes::InTurn(&[100 * MIB]),
        stretches: stretches(&[(2.0, 15.0)]),
        settings: &["adapters.http.max_body=100MiB"],
        always: &[Check::Survives],
        checks: &[Peak(0.50), HighestLevel(Level::Normal)],
        ..plain()
    }
}

fn stretches(of: &[(f64, f64)]) -> Vec<Stretch> {
    of.iter()
        .map(|&(times, seconds)| Stretch { times, seconds })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_are_unique_and_each_scenario_checks_something() {
        let all = all();
        for (index, one) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|other| other.name != one.name));
            assert!(!one.checks.is_empty(), "{}", one.name);
            assert!(one.variants.contains(&Variant::Default), "{}", one.name);
        }
    }

    #[test]
    fn a_step_is_found_and_its_fall() {
        let step = step();
        assert_eq!(step.overload(), (3.0, 15.0));
        assert_eq!(step.last_fall(), Some(15.0));
        assert_eq!(step.scaled(0.5).overload(), (1.5, 7.5));
        assert_eq!(file_writing().last_fall(), None);
        let rests = cycles().rests();
        assert_eq!(
            (rests.len(), rests[0], rests[9]),
            (10, (2.0, 4.0), (38.0, 40.0))
        );
    }

    #[test]
    fn sizes_come_together_or_in_turn() {
        let shares = match mixed_sizes().sizes {
            Sizes::Mixed(sizes) => sizes.iter().map(|(_, share)| share).sum::<f64>(),
            Sizes::InTurn(_) => 0.0,
        };
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        let ramp = payload_ramp();
        let streams = ramp.streams();
        assert_eq!(streams.len(), 7);
        assert_eq!(streams[0].phases.len(), 2);
        assert_eq!(streams[3].phases[0].duration, Duration::from_secs(48));
        assert_eq!(ramp.turns()[3], (512 * KIB, 48.0, 64.0));
    }
}
