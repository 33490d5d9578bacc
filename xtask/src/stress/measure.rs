//! From the series of a run to its figures: pure functions.

use super::load::{Bucket, Counts};
use super::probe::At;
use super::state::State;

/// The window over which admission must have recovered, ms.
const WINDOW_MS: f64 = 200.0;

/// The admitted share that counts as recovered.
const RECOVERED: f64 = 0.95;

/// Payload bytes delivered between two instants, interpolated between the node's reports.
pub(super) fn delivered_bytes(states: &[At<State>], from_ms: f64, to_ms: f64) -> f64 {
    let delivered = |at_ms| {
        interpolate(states, at_ms, |state| {
            state.books.delivered_payload_bytes() as f64
        })
    };
    delivered(to_ms) - delivered(from_ms)
}

fn interpolate<T>(series: &[At<T>], at_ms: f64, value: impl Fn(&T) -> f64) -> f64 {
    let after = series.partition_point(|at| at.unix_ms < at_ms);
    let (Some(left), right) = (series.get(after.saturating_sub(1)), series.get(after)) else {
        return 0.0;
    };
    let right = right.unwrap_or(left);
    let span_ms = right.unix_ms - left.unix_ms;
    let share = if span_ms > 0.0 {
        (at_ms - left.unix_ms) / span_ms
    } else {
        0.0
    };
    value(&left.value) + (value(&right.value) - value(&left.value)) * share.clamp(0.0, 1.0)
}

/// How long after the fall of the load (at `fall_ms` of the schedule) admission had recovered: the
/// start of the first 200 ms window that admits 95 % of what is offered, given that what follows
/// to the end of the run does so too. `None` when that never came.
pub(super) fn recovery_ms(buckets: &[Bucket], fall_ms: f64) -> Option<f64> {
    let fall = buckets.partition_point(|bucket| bucket.offset_ms < fall_ms);
    let after = &buckets[fall..];
    let starts = after
        .iter()
        .enumerate()
        .map(|(index, bucket)| (&after[index..], bucket));
    let recovered = starts.clone().find(|(rest, bucket)| {
        let until = bucket.offset_ms + WINDOW_MS;
        let window = rest.partition_point(|later| later.offset_ms < until);
        admitted(&rest[..window]) >= RECOVERED && admitted(rest) >= RECOVERED
    });
    recovered.map(|(_, bucket)| bucket.offset_ms - fall_ms)
}

/// The accepted share of what was sent.
fn admitted(buckets: &[Bucket]) -> f64 {
    let sum = |field: fn(&Counts) -> u64| -> f64 {
        buckets
            .iter()
            .map(|bucket| field(&bucket.counts))
            .sum::<u64>() as f64
    };
    sum(|counts| counts.accepted) / sum(|counts| counts.sent).max(1.0)
}

/// Resident bytes per byte of payload that the node held, where memory was highest: 24.6 means
/// that 1 MiB of payload took 24.6 MiB. `None` when it held next to nothing.
pub(super) fn amplification(
    states: &[At<State>],
    body_bytes: u64,
    peak_unix_ms: f64,
    grown_bytes: u64,
) -> Option<f64> {
    let held_events = interpolate(states, peak_unix_ms, |state| {
        let delivered = state.books.emitter().map_or(0, |emitter| emitter.delivered);
        state.books.account.accepted.saturating_sub(delivered) as f64
    });
    let held_bytes = held_events * body_bytes as f64;
    (held_bytes >= f64::from(1 << 20)).then(|| grown_bytes as f64 / held_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(offset_ms: u32, sent: u64, accepted: u64) -> Bucket {
        let counts = Counts {
            sent,
            accepted,
            refused: sent - accepted,
            failed: 0,
        };
        Bucket {
            offset_ms: f64::from(offset_ms),
            counts,
        }
    }

    #[test]
    fn recovery_is_the_first_window_that_admits_and_stays() {
        let mut buckets: Vec<_> = (0..50).map(|n| bucket(n * 20, 10, 1)).collect();
        buckets.extend((50..65).map(|n| bucket(n * 20, 10, 2)));
        buckets.extend((65..150).map(|n| bucket(n * 20, 10, 10)));
        assert_eq!(recovery_ms(&buckets, 1000.0), Some(300.0));
        // A relapse: the early window no longer counts.
        for bucket in &mut buckets[100..120] {
            bucket.counts.accepted = 0;
        }
        assert_eq!(recovery_ms(&buckets, 1000.0), Some(1400.0));
        assert_eq!(recovery_ms(&buckets[..65], 1000.0), None);
        assert_eq!(recovery_ms(&[], 0.0), None);
    }

    #[test]
    fn sparse_arrivals_are_judged_by_those_that_came() {
        let buckets: Vec<_> = (0..20).map(|n| bucket(1000 + n * 140, 1, 1)).collect();
        assert_eq!(recovery_ms(&buckets, 1000.0), Some(0.0));
    }

    #[test]
    fn values_between_two_reports_lie_on_the_line() {
        let at = |unix_ms, value| At { unix_ms, value };
        let series = [at(100.0, 0.0), at(200.0, 50.0), at(300.0, 50.0)];
        let read = |at_ms| interpolate(&series, at_ms, |value: &f64| *value);
        assert_eq!(
            [read(0.0), read(150.0), read(250.0), read(900.0)],
            [0.0, 25.0, 50.0, 50.0]
        );
        assert_eq!(interpolate(&[], 1.0, |value: &f64| *value), 0.0);
    }
}
