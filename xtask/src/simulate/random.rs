//! Nodes nobody thought of: every constant of a scenario drawn from a seed, run under the default control.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use fastrand::Rng;

use super::runner::{self, Job};
use super::scenario::{
    Arrivals, Expect, LimitChange, Neighbour, Phase, Scenario, Service, Sizes, Source, Stretch,
};
use super::variant;
use crate::units::{ByteRate, Bytes};

const MIB: u64 = 1 << 20;

/// What came of many random nodes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) first_seed: u64,
    pub(super) runs: usize,
    pub(super) highest_peak: f64,
    pub(super) lowest_goodput: f64,
    pub(super) slowest_recovery: Duration,
    pub(super) broken: Vec<String>,
}

/// A seed that differs from one run to the next.
pub(super) fn seed_of_the_day() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() % 1_000_000 * 1000)
}

/// Runs `count` nodes with seeds from `first_seed` on.
pub(super) fn run(first_seed: u64, count: u64) -> Result<Batch> {
    let seeds = first_seed..first_seed + count;
    let scenarios: Vec<(u64, Scenario)> = seeds.map(|seed| (seed, scenario(seed))).collect();
    let variant = variant::default();
    let jobs: Vec<_> = scenarios
        .iter()
        .map(|(seed, scenario)| Job {
            scenario,
            load: scenario.loads[0],
            variant: &variant,
            seeds: *seed..seed + 1,
        })
        .collect();
    let cells = runner::run(&jobs)?;
    let outcomes = || {
        cells
            .iter()
            .flat_map(|cell| &cell.runs)
            .map(|run| &run.outcome)
    };
    Ok(Batch {
        first_seed,
        runs: cells.len(),
        highest_peak: outcomes().map(|outcome| outcome.peak).fold(0.0, f64::max),
        lowest_goodput: outcomes()
            .filter_map(|outcome| outcome.goodput)
            .fold(f64::INFINITY, f64::min),
        slowest_recovery: outcomes()
            .filter_map(|outcome| outcome.recovery)
            .max()
            .unwrap_or_default(),
        broken: runner::broken(&cells),
    })
}

/// The node of a seed. Its limit leaves room for the process, and its consumer cannot be outrun within one look.
pub(super) fn scenario(seed: u64) -> Scenario {
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let limit = rng.u64(64..=1024);
    let base = limit as f64 * (0.05 + 0.30 * rng.f64());
    let cost = 1.2 + 2.0 * rng.f64();
    // At most a third of the limit's free half is consumed in a second.
    let capacity = limit as f64 * (0.01 + 0.10 * rng.f64());
    let seconds = Duration::from_secs(20 + rng.u64(..15));
    let end = seconds + Duration::from_secs(10);
    let load = 1.2 * 20_f64.powf(rng.f64());
    let mut at = |from: u64, to: u64| Duration::from_millis(rng.u64(from * 1000..to * 1000));
    let (dip, blind, change, neighbour) = (at(3, 8), at(3, 8), at(5, 10), at(5, 10));
    let s = Duration::from_secs(1);
    // Bodies are capped: no event is larger than a 64th of the limit.
    let largest = limit * MIB / 64;
    let sources = sources(&mut rng, largest);
    let mut scenario = Scenario {
        name: "random".to_owned(),
        about: format!("The random node of seed {seed}."),
        limit: Bytes(limit * MIB),
        base: Bytes((base * MIB as f64) as u64),
        capacity: ByteRate((capacity * MIB as f64) as u64),
        cost,
        keeps: Duration::from_millis(rng.u64(..20_000)),
        purge_returns: rng.f64(),
        lumps: Duration::from_millis(rng.u64(2..500)),
        live_known: rng.bool(),
        loads: vec![load],
        sources,
        phases: vec![
            Phase {
                until: seconds,
                times: Some(1.0),
                load: None,
                turns: None,
            },
            Phase {
                until: end,
                times: None,
                load: Some(0.2 + 0.5 * rng.f64()),
                turns: None,
            },
        ],
        service: Vec::new(),
        blind: Vec::new(),
        limits: Vec::new(),
        neighbour: Vec::new(),
        expect: Expect {
            peak: 0.97,
            // A few events, each of a second's worth, come when they come.
            goodput: 0.60,
            // The lowest class waits until what queues of the others, at most 5 s of it, is down to its own mark.
            recovery: 6 * s,
            actions_per_hour: 4800.0,
            ordered: false,
            memory_swing: 1.0,
            admission_swing: 1.0,
            ..Expect::default()
        },
    };
    if !scenario.live_known {
        // Who cannot tell kept pages from used ones holds back until they are gone.
        scenario.expect.goodput = 0.30;
    }
    if rng.u8(..3) == 0 {
        scenario.service.push(Service {
            from: dip,
            to: dip + 4 * s,
            share: rng.f64(),
        });
    }
    if rng.u8(..3) == 0 {
        scenario.blind.push(Stretch {
            from: blind,
            to: blind + 3 * s,
        });
    }
    match rng.u8(..4) {
        0 => scenario.limits.push(LimitChange {
            at: change,
            to: Bytes(limit * MIB / 100 * 85),
        }),
        1 => scenario.neighbour.push(Neighbour {
            at: neighbour,
            over: 3 * s,
            to: Bytes(limit * MIB / 8),
        }),
        _ => {}
    }
    scenario
}

/// One to four, of any class, sizes and arrivals.
fn sources(rng: &mut Rng, largest: u64) -> Vec<Source> {
    let count = rng.usize(1..=4);
    let weights: Vec<f64> = (0..count).map(|_| 0.1 + rng.f64()).collect();
    let sum: f64 = weights.iter().sum();
    let source = |weight: f64| {
        // How many times its average the largest event of a kind is, about.
        let kinds = [
            (Sizes::Fixed, 1.0),
            (Sizes::Exponential, 10.0),
            (Sizes::Pareto, 91.0),
        ];
        let (sizes, spread) = kinds[rng.usize(..3)];
        let average_max = largest as f64 / spread;
        Source {
            // Control is not what a node is overloaded with.
            class: rng.u8(..3),
            share: weight / sum,
            event: Bytes((256.0 * (average_max / 256.0).powf(rng.f64())) as u64),
            sizes,
            arrivals: [Arrivals::Poisson, Arrivals::Steady, Arrivals::Bursts][rng.usize(..3)],
        }
    };
    weights.into_iter().map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_node() {
        let text = |seed| format!("{:?}", scenario(seed));
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
    }
}
