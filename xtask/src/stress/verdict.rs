//! What a run must reach.

use super::overload::RunResult;

/// Peak working set at most, as a share of the limit.
const PEAK_SHARE_MAX: f64 = 0.85;

/// From the crossing of a threshold to the first refusal, at most.
const FIRST_REFUSAL_MS_MAX: f64 = 50.0;

/// From the fall of the load to full admission, at most.
const RECOVERY_MS_MAX: f64 = 1000.0;

/// Goodput at least, as a share of the capacity, up to this multiple of it. Beyond, the cost of
/// refusing is not bounded by a promise.
const GOODPUT_MIN: [(f64, f64); 3] = [(2.0, 0.90), (5.0, 0.80), (10.0, 0.70)];

/// Above that the emitter drained more than its capacity, and the multiples mean nothing.
const GOODPUT_MAX: f64 = 1.10;

/// What the run failed to reach; empty when it passed.
pub(super) fn failures(run: &RunResult) -> Vec<String> {
    if run.cell.protection {
        protected(run)
    } else {
        unprotected(run)
    }
}

fn unprotected(run: &RunResult) -> Vec<String> {
    let mut failures = Vec::new();
    // Below that, a naive pipeline may well live through the run.
    if run.cell.rate.0 >= 10.0 && run.oom_kills == 0 {
        failures.push(format!(
            "not OOM-killed ({}): the other side is not real",
            run.death
        ));
    }
    failures
}

fn protected(run: &RunResult) -> Vec<String> {
    let mut failures = Vec::new();
    let mut must = |reached: bool, what: String| {
        if !reached {
            failures.push(what);
        }
    };
    must(
        run.oom_kills == 0,
        format!("OOM-killed {} times", run.oom_kills),
    );
    must(run.ended_well, format!("ended with {}", run.death));
    let peak = run.peak_share();
    must(
        peak <= PEAK_SHARE_MAX,
        format!("peak {peak:.2} of the limit > {PEAK_SHARE_MAX}"),
    );
    let goal = GOODPUT_MIN
        .into_iter()
        .find(|(times, _)| run.cell.rate.0 <= *times);
    if let Some((_, goal)) = goal {
        must(
            run.goodput >= goal,
            format!("goodput {:.3} C < {goal} C", run.goodput),
        );
    }
    must(
        run.goodput <= GOODPUT_MAX,
        format!("goodput {:.3} C: the emitter is faster than C", run.goodput),
    );
    must(
        run.without_retry_after == 0,
        format!("{} refusals without Retry-After", run.without_retry_after),
    );
    for (kind, count) in &run.failed_by_kind {
        must(*count == 0, format!("{count} without an answer: {kind}"));
    }
    must(
        run.account_gaps.is_empty(),
        format!("account open: {}", run.account_gaps.join("; ")),
    );
    let delay = run.first_refusal_ms.unwrap_or(0.0);
    must(
        delay <= FIRST_REFUSAL_MS_MAX,
        format!("first refusal {delay:.0} ms after the threshold > {FIRST_REFUSAL_MS_MAX} ms"),
    );
    let recovery = run.recovery_ms.unwrap_or(f64::INFINITY);
    must(
        recovery <= RECOVERY_MS_MAX,
        format!("95 % admission {recovery:.0} ms after the fall > {RECOVERY_MS_MAX} ms"),
    );
    failures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stress::overload::sample_result;

    type Change = fn(&mut RunResult);

    #[test]
    fn a_good_run_passes_and_each_shortcoming_is_named() {
        assert_eq!(failures(&sample_result()), Vec::<String>::new());
        let changes: [(&str, Change); 10] = [
            ("OOM-killed 1", |run| run.oom_kills = 1),
            ("ended with", |run| run.ended_well = false),
            ("peak 0.90", |run| {
                run.peak_working_set_bytes = run.cell.limit.0 / 10 * 9;
            }),
            ("goodput 0.600", |run| run.goodput = 0.6),
            ("faster than C", |run| run.goodput = 1.2),
            ("without Retry-After", |run| run.without_retry_after = 2),
            ("without an answer: reset", |run| {
                run.failed_by_kind.insert("reset".to_owned(), 1);
            }),
            ("account open: x", |run| {
                run.account_gaps.push("x".to_owned());
            }),
            ("first refusal 51", |run| run.first_refusal_ms = Some(51.0)),
            ("95 % admission inf", |run| run.recovery_ms = None),
        ];
        for (expected, change) in changes {
            let mut run = sample_result();
            change(&mut run);
            let found = failures(&run);
            assert!(
                found.len() == 1 && found[0].contains(expected),
                "{expected}: {found:?}"
            );
        }
    }

    #[test]
    fn an_unprotected_node_that_lives_fails_the_comparison() {
        let mut run = sample_result();
        run.cell.protection = false;
        assert_eq!(failures(&run).len(), 1);
        run.oom_kills = 1;
        assert!(failures(&run).is_empty());
    }
}
