//! From the series of a run to its figures: pure functions.

use super::outcome::{Figures, Rest};
use super::scenario::Scenario;
use crate::quantiles::{quantile, swing};
use crate::stress::cgroup::Reading;
use crate::stress::container::Exit;
use crate::stress::end::End;
use crate::stress::load::{Bucket, Counts};
use crate::stress::overload::Observed;
use crate::stress::probe::At;
use crate::stress::state::{Level, State, last_words};
use crate::stress::told::{self, Told};
use crate::stress::{account, measure};

/// The windows in which admission is looked at.
const WINDOW_MS: f64 = 500.0;

/// Memory is looked at in means over this time: a single page more is no swing.
const MEAN_MS: f64 = 100.0;

/// Memory within this share of the limit around its final band is steady.
const STEADY_SHARE: f64 = 0.02;

/// Admission within so many points of its final band is steady, in windows of this length.
const STEADY_POINTS: f64 = 10.0;
const STEADY_WINDOW_MS: f64 = 100.0;

/// Where the level warning begins unless it is configured otherwise.
const WARNING_SHARE: f64 = 0.70;

/// What the node tells when it turns a knob of the gate.
const KNOBS: [&str; 4] = ["GATE_RATE", "GATE_FLOOR", "GOVERNOR_SCALE", "LEDGER_SIZE"];

/// Less payload held says nothing of its cost.
const HELD_BYTES_MIN: f64 = (4 << 20) as f64;

/// What was noted beside the series.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Limits set, and when.
    pub(super) limits: Vec<At<u64>>,
    /// When the neighbour began to eat, and when it gave everything back.
    pub(super) eaten_unix_ms: Option<(f64, f64)>,
    pub(super) neighbour_killed: bool,
    /// The longest time for which the node's threads waited for a processor, all together.
    pub(super) held_up_ms: f64,
    /// Processor time of the node during the load.
    pub(super) cpu_seconds: Option<f64>,
}

/// All figures of a run.
pub(super) fn of(scenario: &Scenario, observed: &Observed, end: &End, notes: &Notes) -> Figures {
    let Observed {
        memory,
        states,
        load,
        ..
    } = observed;
    let start_ms = load.started_unix_ms;
    let at = |seconds: f64| start_ms + seconds * 1000.0;
    let until_ms = end.early_unix_ms.unwrap_or(f64::INFINITY);
    let (from, to) = scenario.overload();
    let (from_ms, to_ms) = (at(from), at(to).min(until_ms));
    let middle_ms = f64::midpoint(from_ms, to_ms);
    let limit = |unix_ms: f64| limit_at(scenario.limit_bytes, &notes.limits, unix_ms);
    let shares = means(memory, |reading| {
        reading.value.working_set_bytes as f64 / limit(reading.unix_ms)
    });
    let steady = between(&shares, middle_ms, to_ms);
    let highest = |bytes: fn(&Reading) -> u64| {
        let shares = memory
            .iter()
            .map(|at| bytes(&at.value) as f64 / limit(at.unix_ms));
        shares.fold(0.0, f64::max)
    };
    let books = last_words(&end.log);
    let last_books = books
        .as_ref()
        .or_else(|| states.last().map(|at| &at.value.books));
    let ingest = last_books.map(|books| &books.account);
    let admission = |window_ms, from_ms: f64| {
        admissions(
            &load.buckets,
            from_ms - start_ms,
            to_ms - start_ms,
            window_ms,
        )
    };
    let points = admission(STEADY_WINDOW_MS, from_ms);
    let final_points = between(&points, middle_ms - start_ms, to_ms - start_ms);
    let told = told::told(&end.log);
    let warning = warning(memory, end, &told, start_ms, limit);
    let delivered = measure::delivered_bytes(states, from_ms, to_ms);
    Figures {
        death: end.death(),
        ended_well: end.is_well(),
        killed: matches!(end.exit, Some(Exit::Signal(_))),
        oom_kills: end.oom_kills,
        neighbour_killed: notes.neighbour_killed,
        lived_seconds: end
            .early_unix_ms
            .map(|ms| (ms - start_ms).max(0.0) / 1000.0),
        peak_share: highest(|reading| reading.working_set_bytes),
        usage_share: highest(|reading| reading.usage_bytes),
        goodput: Some(delivered / scenario.capacity as f64 / seconds(from_ms, to_ms)),
        memory_swing: swing(values(steady)),
        admission_swing: swing(values(&admission(WINDOW_MS, middle_ms))),
        first_action_ms: first_action_ms(
            states,
            from_ms,
            [
                ingest.and_then(|it| it.first_refusal_unix_ms),
                told::first_unix_ms(&told, &KNOBS, from_ms),
            ],
        ),
        told_ms: warning.told_ms,
        lead_seconds: warning.lead_seconds,
        lead_room: warning.lead_room,
        codes: told::codes(&told),
        held_up_ms: notes.held_up_ms,
        first_refusal_ms: ingest
            .and_then(|it| Some(it.first_refusal_unix_ms? - it.first_pressure_unix_ms?)),
        steady_ms: steady_ms(&points, final_points, STEADY_POINTS)
            .map(|at| (at + STEADY_WINDOW_MS - (from_ms - start_ms)).max(0.0)),
        memory_steady_ms: steady_ms(between(&shares, from_ms, to_ms), steady, STEADY_SHARE)
            .map(|at| (at + MEAN_MS - from_ms).max(0.0)),
        recovery_ms: scenario
            .last_fall()
            .filter(|_| end.early_unix_ms.is_none())
            .and_then(|fall| measure::recovery_ms(&load.buckets, fall * 1000.0)),
        highest_level: states.iter().filter_map(|at| at.value.level).max(),
        cpu_us_per_event: notes
            .cpu_seconds
            .map(|seconds| 1e6 * seconds / load.total.sent.max(1) as f64),
        load: load.total,
        without_retry_after: load.without_retry_after,
        failed_by_kind: load.failed_by_kind.clone(),
        account_gaps: match &books {
            Some(books) => account::gaps(load, books),
            None => vec!["no account in the node's log".to_owned()],
        },
        amplification: amplification(scenario, observed),
        limits_seen_ms: notes
            .limits
            .iter()
            .map(|limit| limit_seen_ms(states, limit))
            .collect(),
        yielded: notes
            .eaten_unix_ms
            .and_then(|(from, to)| yielded(states, from, to)),
        rests: rests(scenario, observed),
    }
}

/// How soon the node told that the level warning was reached, and how long before its death.
#[derive(Default)]
struct Warning {
    told_ms: Option<f64>,
    lead_seconds: Option<f64>,
    lead_room: Option<f64>,
}

fn warning(
    memory: &[At<Reading>],
    end: &End,
    told: &[Told],
    start_ms: f64,
    limit: impl Fn(f64) -> f64,
) -> Warning {
    let Some(told) = told::first_unix_ms(told, &["MEM_PRESSURE"], start_ms) else {
        return Warning::default();
    };
    let share = |at: &At<Reading>| at.value.working_set_bytes as f64 / limit(at.unix_ms);
    let crossed = memory.iter().find(|at| share(at) >= WARNING_SHARE);
    let when_told = memory.get(memory.partition_point(|at| at.unix_ms < told));
    Warning {
        told_ms: crossed.map(|crossed| told - crossed.unix_ms),
        lead_seconds: end.early_unix_ms.map(|death| (death - told) / 1000.0),
        lead_room: end.early_unix_ms.and(when_told).map(|at| 1.0 - share(at)),
    }
}

fn limit_at(first: u64, limits: &[At<u64>], unix_ms: f64) -> f64 {
    let last = limits.iter().rev().find(|limit| limit.unix_ms <= unix_ms);
    last.map_or(first, |limit| limit.value) as f64
}

/// A series in means over [`MEAN_MS`].
fn means<T>(series: &[At<T>], value: impl Fn(&At<T>) -> f64) -> Vec<(f64, f64)> {
    let mut means: Vec<(f64, f64)> = Vec::new();
    let mut count = 0.0;
    for at in series {
        match means.last_mut() {
            Some((begin, mean)) if at.unix_ms < *begin + MEAN_MS => {
                count += 1.0;
                *mean += (value(at) - *mean) / count;
            }
            _ => {
                count = 1.0;
                means.push((at.unix_ms, value(at)));
            }
        }
    }
    means
}

fn between(series: &[(f64, f64)], from_ms: f64, to_ms: f64) -> &[(f64, f64)] {
    let from = series.partition_point(|(at, _)| *at < from_ms);
    let to = series.partition_point(|(at, _)| *at < to_ms);
    &series[from.min(to)..to]
}

fn values(series: &[(f64, f64)]) -> Vec<f64> {
    series.iter().map(|(_, value)| *value).collect()
}

/// Accepted ÷ sent in each window of the schedule, in points, with the window's begin. A window that the stretch cuts is left
/// out.
fn admissions(buckets: &[Bucket], from_ms: f64, to_ms: f64, window_ms: f64) -> Vec<(f64, f64)> {
    let mut windows: Vec<(f64, Counts)> = Vec::new();
    for bucket in buckets.iter().filter(|bucket| bucket.offset_ms >= from_ms) {
        let begin = from_ms + ((bucket.offset_ms - from_ms) / window_ms).floor() * window_ms;
        if begin + window_ms > to_ms {
            break;
        }
        if windows.last().is_none_or(|(last, _)| *last < begin) {
            windows.push((begin, Counts::default()));
        }
        if let Some((_, sum)) = windows.last_mut() {
            sum.sent += bucket.counts.sent;
            sum.accepted += bucket.counts.accepted;
        }
    }
    let points = |counts: Counts| 100.0 * counts.accepted as f64 / counts.sent.max(1) as f64;
    windows
        .into_iter()
        .map(|(begin, counts)| (begin, points(counts)))
        .collect()
}

/// A knob other than before the overload as seen from outside, or what the node noted itself, whichever came first.
fn first_action_ms(
    states: &[At<State>],
    from_ms: f64,
    noted_unix_ms: [Option<f64>; 2],
) -> Option<f64> {
    let before = states.iter().rev().find(|at| at.unix_ms < from_ms);
    let knobs = |state: &State| (state.gate.clone(), state.level, state.books.refused());
    let turned = states
        .iter()
        .filter(|at| at.unix_ms >= from_ms)
        .find(|at| before.is_some_and(|before| knobs(&before.value) != knobs(&at.value)))
        .map(|at| at.unix_ms);
    let noted = noted_unix_ms
        .into_iter()
        .flatten()
        .filter(|at| *at >= from_ms);
    let first = noted.chain(turned).reduce(f64::min);
    first.map(|at| at - from_ms)
}

/// Between two moments, and never none.
fn seconds(from_ms: f64, to_ms: f64) -> f64 {
    ((to_ms - from_ms) / 1000.0).max(0.001)
}

/// The last of all values that is further than `tolerance` outside the band of the final ones; the far past when none is.
fn steady_ms(all: &[(f64, f64)], last: &[(f64, f64)], tolerance: f64) -> Option<f64> {
    let mut band = values(last);
    let low = quantile(&mut band, 0.05)? - tolerance;
    let high = quantile(&mut band, 0.95)? + tolerance;
    let outside = all
        .iter()
        .rev()
        .find(|(_, value)| !(low..=high).contains(value));
    Some(outside.map_or(f64::MIN, |(at, _)| *at))
}

fn limit_seen_ms(states: &[At<State>], limit: &At<u64>) -> Option<f64> {
    let seen = states
        .iter()
        .find(|at| at.unix_ms >= limit.unix_ms && at.value.memory.limit_bytes == Some(limit.value));
    seen.map(|at| at.unix_ms - limit.unix_ms)
}

/// How much less the node's queue held at its least while the neighbour stood than at its most before.
fn yielded(states: &[At<State>], from_ms: f64, to_ms: f64) -> Option<f64> {
    let used = |from: f64, to: f64| {
        states
            .iter()
            .filter(move |at| (from..to).contains(&at.unix_ms))
            .map(|at| at.value.ledger.used_bytes as f64)
    };
    let before = used(0.0, from_ms).reduce(f64::max)?;
    let least = used(from_ms, to_ms).reduce(f64::min)?;
    (before > 0.0).then(|| 1.0 - least / before)
}

fn rests(scenario: &Scenario, observed: &Observed) -> Vec<Rest> {
    let start_ms = observed.load.started_unix_ms;
    let rest = |(from, to): (f64, f64)| {
        let (middle_ms, to_ms) = (f64::midpoint(from, to) * 1000.0, to * 1000.0);
        let mut sum = Counts::default();
        let inside = |bucket: &&Bucket| (middle_ms..to_ms).contains(&bucket.offset_ms);
        for bucket in observed.load.buckets.iter().filter(inside) {
            sum.sent += bucket.counts.sent;
            sum.accepted += bucket.counts.accepted;
        }
        let level: Option<Level> = observed
            .states
            .iter()
            .rev()
            .find(|at| at.unix_ms < start_ms + to_ms)
            .and_then(|at| at.value.level);
        Rest {
            admitted: sum.accepted as f64 / sum.sent.max(1) as f64,
            level,
        }
    };
    scenario.rests().into_iter().map(rest).collect()
}

/// Where most payload was held in the turn of each size.
fn amplification(scenario: &Scenario, observed: &Observed) -> Vec<(u64, f64)> {
    let Observed {
        memory,
        states,
        load,
        ..
    } = observed;
    let turns = scenario.turns();
    if turns.len() < 2 {
        return Vec::new();
    }
    let base_bytes = memory.first().map_or(0, |at| at.value.working_set_bytes);
    let ratio = |(size, from, to): (u64, f64, f64)| {
        let ms = |seconds: f64| load.started_unix_ms + seconds * 1000.0;
        let held = |state: &State| {
            let delivered = state.books.emitter().map_or(0, |emitter| emitter.delivered);
            (state.books.account.accepted.saturating_sub(delivered) * size) as f64
        };
        // What the turn before left behind is of another size, and gone by then.
        let turn = ms(from + 2.0)..ms(to);
        let fullest = states
            .iter()
            .filter(|at| turn.contains(&at.unix_ms))
            .max_by(|a, b| held(&a.value).total_cmp(&held(&b.value)))?;
        let held_bytes = held(&fullest.value);
        let at = memory.partition_point(|at| at.unix_ms < fullest.unix_ms);
        let grown = memory
            .get(at)?
            .value
            .working_set_bytes
            .saturating_sub(base_bytes);
        (held_bytes >= HELD_BYTES_MIN).then_some((size, grown as f64 / held_bytes))
    };
    turns.into_iter().filter_map(ratio).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_steady_after_its_last_excursion() {
        let series: Vec<_> = (0..100)
            .map(|n| (f64::from(n), if n < 7 { 0.05 * f64::from(n) } else { 0.5 }))
            .collect();
        assert_eq!(
            steady_ms(&series, between(&series, 50.0, 100.0), 0.02),
            Some(6.0)
        );
        let mut late = series.clone();
        late[40].1 = 0.9;
        assert_eq!(
            steady_ms(&late, between(&late, 50.0, 100.0), 0.02),
            Some(40.0)
        );
        assert_eq!(
            steady_ms(&series, between(&series, 50.0, 100.0), 1.0),
            Some(f64::MIN)
        );
        assert_eq!(steady_ms(&series, &[], 0.0), None);
    }

    #[test]
    fn admission_is_counted_in_whole_windows() {
        let bucket = |offset_ms: u32, accepted| Bucket {
            offset_ms: f64::from(offset_ms),
            counts: Counts {
                sent: 10,
                accepted,
                refused: 10 - accepted,
                failed: 0,
            },
        };
        let mut buckets: Vec<_> = (0..50).map(|n| bucket(n * 20, 5)).collect();
        buckets.extend((50..75).map(|n| bucket(n * 20, 10)));
        let points = |to_ms| values(&admissions(&buckets, 0.0, to_ms, 500.0));
        assert_eq!(points(1500.0), [50.0, 50.0, 100.0]);
        assert_eq!(points(1400.0), [50.0, 50.0]);
    }

    #[test]
    fn the_limit_in_force_is_the_last_one_set() {
        let limits = [
            At {
                unix_ms: 10.0,
                value: 192,
            },
            At {
                unix_ms: 20.0,
                value: 256,
            },
        ];
        assert_eq!(
            [5.0, 10.0, 25.0].map(|at| limit_at(256, &limits, at)),
            [256.0, 192.0, 256.0]
        );
    }
}
