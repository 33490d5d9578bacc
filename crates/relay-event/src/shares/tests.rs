use super::*;
use crate::clock::frozen;
use crate::{ByteBudget, Gate, Permit, Reason};
use proptest::prelude::*;
use std::collections::VecDeque;

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;
const EVENT_BYTES: u64 = 1000;

/// Jain, Chiu and Hawe (1984): 1 when all have the same, 1 ÷ n when one has everything.
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

/// Sources in front of a gate, and a queue behind it, in a time of their own.
struct Town {
    gate: Gate,
    /// Bytes a second that each source sends.
    demands: Vec<f64>,
    /// Bytes a second that leave the queue; without it nothing is queued.
    drain: Option<f64>,
    /// How far the clock moves at once: the kernel's tick is 1 to 4 ms.
    tick_ms: u64,
    priority: Priority,
    seed: u64,
}

impl Town {
    fn new(gate: Gate, demands: Vec<f64>) -> Self {
        Self {
            gate,
            demands,
            drain: None,
            tick_ms: 4,
            priority: Priority::Normal,
            seed: 7,
        }
    }

    /// Bytes a second that each source got, from the sixth second on.
    fn admitted(&self, seconds: u64) -> Vec<f64> {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let mut queue: VecDeque<Permit> = VecDeque::new();
        let (mut owed, mut leaving) = (vec![0.0; self.demands.len()], 0.0);
        let mut got = vec![0.0; self.demands.len()];
        for ms in 0..seconds * 1000 {
            frozen::set_nanos(SECOND + ms / self.tick_ms * self.tick_ms * MILLISECOND);
            let mut arriving = Vec::new();
            for (source, demand) in self.demands.iter().enumerate() {
                owed[source] += demand / 1000.0 * (0.5 + rng.f64());
                while owed[source] >= EVENT_BYTES as f64 {
                    owed[source] -= EVENT_BYTES as f64;
                    arriving.push(source);
                }
            }
            rng.shuffle(&mut arriving);
            for source in arriving {
                let name = source.to_le_bytes();
                let asked = self.gate.admit_from(&name, EVENT_BYTES, self.priority);
                let Ok(permit) = asked else { continue };
                if ms >= 5000 {
                    got[source] += EVENT_BYTES as f64 / (seconds - 5) as f64;
                }
                if self.drain.is_some() {
                    queue.push_back(permit);
                }
            }
            leaving += self.drain.unwrap_or(0.0) / 1000.0;
            while leaving >= EVENT_BYTES as f64 && queue.pop_front().is_some() {
                leaving -= EVENT_BYTES as f64;
            }
        }
        got
    }
}

fn fair(size_bytes: u64) -> Gate {
    frozen::set_nanos(SECOND);
    let gate = Gate::new(ByteBudget::new(size_bytes));
    gate.set_source_fairness(true);
    gate
}

/// Ten sources of 100 kB/s and one of ten times that.
fn one_in_eleven() -> Vec<f64> {
    let mut demands = vec![1e5; 10];
    demands.push(1e6);
    demands
}

#[test]
fn one_source_at_ten_times_the_others_does_not_starve_them() {
    for (rate, tick_ms) in [(1e6, 4), (1e6, 1), (4e5, 4)] {
        let gate = fair(1 << 30);
        gate.set_rate(Some(rate));
        let town = Town {
            tick_ms,
            ..Town::new(gate, one_in_eleven())
        };
        let got = town.admitted(12);
        let total: f64 = got.iter().sum();
        println!("{rate} B/s, ticks of {tick_ms} ms: {:.3}", jain(&got));
        assert!(jain(&got) > 0.95, "{rate}: {} of {got:?}", jain(&got));
        assert!((0.95..1.05).contains(&(total / rate)), "{total} of {rate}");
    }
}

#[test]
fn without_it_the_greedy_one_gets_half() {
    let gate = fair(1 << 30);
    gate.set_source_fairness(false);
    gate.set_rate(Some(1e6));
    let got = Town::new(gate, one_in_eleven()).admitted(6);
    println!("without: {:.3}", jain(&got));
    assert!(jain(&got) < 0.5, "{got:?}");
}

#[test]
fn shares_hold_also_where_the_ledger_or_the_queue_delay_is_what_limits() {
    for delay in [None, Some(Duration::from_millis(500))] {
        let gate = fair(4_000_000);
        gate.set_drain(Some(1e6));
        gate.set_max_queue_delay(delay);
        let town = Town {
            drain: Some(1e6),
            ..Town::new(gate, one_in_eleven())
        };
        let got = town.admitted(12);
        let total: f64 = got.iter().sum();
        println!("queue delay {delay:?}: {:.3}", jain(&got));
        assert!(jain(&got) > 0.95, "{delay:?}: {} of {got:?}", jain(&got));
        assert!(total > 0.95e6, "{total}");
    }
}

#[test]
fn what_the_modest_do_not_want_goes_to_the_greedy() {
    let gate = fair(1 << 30);
    gate.set_rate(Some(1.5e6));
    let got = Town::new(gate, one_in_eleven()).admitted(12);
    assert!(got[..10].iter().all(|got| *got > 0.92e5), "{got:?}");
    assert!(got[10] > 0.45e6, "{got:?}");
}

#[test]
fn a_source_alone_gets_everything_and_is_told_of_the_rate() {
    let gate = fair(1 << 30);
    gate.set_rate(Some(1e6));
    let town = Town::new(gate.clone(), vec![5e6]);
    let got = town.admitted(8);
    assert!(got[0] > 0.97e6, "{got:?}");
    let ask = || gate.admit_from(&0_usize.to_le_bytes(), 1000, Priority::Normal);
    let refusals = std::iter::repeat_with(ask)
        .take(1000)
        .filter_map(Result::err);
    let reasons: Vec<_> = refusals.map(|refused| refused.reason).collect();
    assert!(reasons.len() > 800);
    assert!(!reasons.contains(&Reason::SourceShare));
}

#[test]
fn while_nothing_is_scarce_nothing_is_counted_and_nobody_refused() {
    let gate = fair(1 << 30);
    gate.set_rate(Some(1e9));
    let got = Town::new(gate.clone(), one_in_eleven()).admitted(7);
    assert!((got[10] / 1e6 - 1.0).abs() < 0.02, "{got:?}");
    assert!(!gate.shares().is_active());
    assert_eq!(gate.source_share(Priority::Normal), None);
}

/// Events of a source: so many bytes each so many milliseconds.
type Stream = (u64, u64);

/// Streams in front of a queue that drains at 16 MB/s; when any was last refused its share.
fn last_refusal(
    gate: &Gate,
    queue: &mut VecDeque<(u64, Permit)>,
    times_ms: std::ops::Range<u64>,
    streams: [Stream; 5],
) -> Option<u64> {
    let (mut leaving, mut last) = (0, None);
    for ms in times_ms {
        frozen::set_nanos(SECOND + ms * MILLISECOND);
        for (source, (bytes, every_ms)) in (0_usize..).zip(streams) {
            if ms % every_ms != 0 {
                continue;
            }
            match gate.admit_from(&source.to_le_bytes(), bytes, Priority::Normal) {
                Ok(permit) => queue.push_back((bytes, permit)),
                Err(refused) if refused.reason == Reason::SourceShare => last = Some(ms),
                Err(_) => {}
            }
        }
        leaving += 16_000;
        while queue.front().is_some_and(|(bytes, _)| *bytes <= leaving) {
            leaving -= queue.pop_front().unwrap().0;
        }
    }
    last
}

/// After an overload the queue still stands at its longest wait, but all that is asked for now would drain.
#[test]
fn what_would_drain_is_admitted_soon_though_the_queue_still_stands() {
    let gate = fair(1 << 30);
    gate.set_drain(Some(16e6));
    gate.set_max_queue_delay(Some(Duration::from_secs(5)));
    let mut queue = VecDeque::new();
    let overload = [
        (100, 1),
        (1_000, 1),
        (10_000, 1),
        (100_000, 4),
        (1_000_000, 21),
    ];
    let refused = last_refusal(&gate, &mut queue, 0..10_000, overload);
    assert!(refused.is_some_and(|ms| ms > 9_900), "{refused:?}");
    let half = overload.map(|(bytes, every_ms)| (bytes, 10 * every_ms));
    let last = last_refusal(&gate, &mut queue, 10_000..13_000, half);
    assert!(
        last.is_none_or(|ms| ms < 10_150),
        "refused until {last:?} ms"
    );
}

#[test]
fn it_ends_soon_after_the_scarcity() {
    let gate = fair(1 << 30);
    gate.set_rate(Some(1e6));
    Town::new(gate.clone(), one_in_eleven()).admitted(7);
    let share = gate.source_share(Priority::Normal).unwrap();
    assert!(
        (0.8e5..1.3e5).contains(&share),
        "a eleventh of a MB/s: {share}"
    );
    gate.set_rate(None);
    for ms in 0..1000 {
        frozen::set_nanos(9 * SECOND + ms * MILLISECOND);
        assert!(gate.admit_from(b"x", 1000, Priority::Normal).is_ok());
    }
    assert_eq!(gate.source_share(Priority::Normal), None);
}

#[test]
fn among_hundreds_of_sources_chance_puts_nobody_behind_for_long() {
    let gate = fair(1 << 30);
    gate.set_rate(Some(6e6));
    let mut demands = vec![4e4; 300];
    demands.push(4e5);
    let got = Town::new(gate, demands).admitted(12);
    let mean = got[..300].iter().sum::<f64>() / 300.0;
    assert!(got[300] < 2.0 * mean, "{} and {mean}", got[300]);
    assert!(jain(&got) > 0.95, "{}", jain(&got));
}

/// Invariant: a share begins to matter where the next lower priority is refused anyway.
#[test]
fn a_share_puts_no_higher_priority_behind_a_lower_one() {
    let gate = fair(1 << 30);
    gate.set_rate(Some(1e6));
    let mut rng = fastrand::Rng::with_seed(11);
    let mut lower_passes = [true; 3];
    let mut refused = 0;
    for step in 0..500_000_u64 {
        frozen::set_nanos(SECOND + step * 20_000);
        let priority = Priority::from_rank(rng.u8(0..3));
        let source = [rng.u8(0..4)];
        let greedy = if rng.bool() { &source[..] } else { b"greedy" };
        // What a lower priority, and a source that was never seen, would be told at this instant.
        for rank in 0..3 {
            let wait = gate.tokens_wait(Priority::from_rank(rank));
            lower_passes[usize::from(rank)] = wait.is_zero();
        }
        if let Err(rejection) = gate.admit_from(greedy, 500, priority)
            && rejection.reason == Reason::SourceShare
        {
            refused += 1;
            let lower = &lower_passes[..priority as usize];
            assert!(!lower.contains(&true), "{priority} behind a lower one");
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn a_claim_allocates_nothing() {
    let gate = fair(1 << 30);
    gate.set_rate(Some(1e6));
    let mut now = SECOND;
    let spent = allocation_counter::measure(|| {
        for i in 0..20_000_u32 {
            now += 100_000;
            frozen::set_nanos(now);
            let _ = gate.admit_from(&i.to_le_bytes()[..2], 1000, Priority::Normal);
        }
    });
    assert_eq!(spent.count_total, 0);
}

proptest! {
    /// The level gives out the capacity, all of it but what does not divide, and nobody more than was asked for.
    #[test]
    fn the_level_is_max_min_fair(
        asked in prop::collection::vec(0_u32..100_000, 1..40),
        capacity in 0_u32..2_000_000,
    ) {
        let total: u64 = asked.iter().map(|asked| u64::from(*asked)).sum();
        match water_level(&asked.iter().copied(), capacity) {
            None => prop_assert!(total <= u64::from(capacity)),
            Some(level) => {
                let given: u64 = asked.iter().map(|asked| u64::from((*asked).min(level))).sum();
                prop_assert!(given <= u64::from(capacity));
                prop_assert!(given + asked.len() as u64 >= u64::from(capacity).min(total));
            }
        }
    }

    /// Whatever comes, an event of a source that was not seen passes where there is room.
    #[test]
    fn a_newcomer_is_never_refused_for_its_share(
        steps in prop::collection::vec((0_u8..20, 1_u64..100_000, 0_u64..200), 1..200),
    ) {
        let gate = fair(1 << 30);
        gate.set_rate(Some(1e6));
        let mut now = SECOND;
        for (source, bytes, ms) in steps {
            now += ms * MILLISECOND;
            frozen::set_nanos(now);
            let _ = gate.admit_from(&[source], bytes, Priority::Normal);
        }
        let shares = gate.shares();
        let newcomer = (0..10_000_u32).map(u32::to_le_bytes).find(|name| {
            let claim = shares.buckets(name);
            let rows = shares.classes()[1].rows.iter().zip(claim);
            rows.clone().all(|(row, bucket)| row.used[bucket].load(Relaxed) == 0)
        }).unwrap();
        if let Err(refused) = gate.admit_from(&newcomer, 1000, Priority::Normal) {
            prop_assert!(refused.reason != Reason::SourceShare);
        }
    }
}
