//! What must hold in every run: whatever the seed, under the variants that promise it.

use super::outcome::Outcome;
use super::scenario::Scenario;
use super::variant::Variant;

/// Differences of sums of millions of floats.
const ROUNDING: f64 = 1e-6;

/// Everything that does not hold, in words.
pub(super) fn broken(scenario: &Scenario, variant: &Variant, outcome: &Outcome) -> Vec<String> {
    let mut broken = Vec::new();
    let expect = &scenario.expect;
    let mut must = |holds: bool, what: String| {
        if !holds {
            broken.push(what);
        }
    };
    must(
        outcome.unaccounted < ROUNDING,
        format!(
            "a share of {:e} of the bytes is not accounted for",
            outcome.unaccounted
        ),
    );
    must(
        outcome.inversions == 0,
        format!(
            "{} refusals where a lower class would have passed",
            outcome.inversions
        ),
    );
    if expect.survive.iter().any(|name| name == variant.name) {
        let died = outcome.died_at.map_or(0.0, |at| at.as_secs_f64());
        must(
            outcome.died_at.is_none(),
            format!("killed after {died:.1} s"),
        );
    }
    if variant.name != "default" || outcome.died_at.is_some() {
        return broken;
    }
    must(
        outcome.peak <= expect.peak,
        format!("memory peaks at {:.3}, above {}", outcome.peak, expect.peak),
    );
    let at_most = |what: &str, found: Option<f64>, most: f64| {
        let found = found.filter(|found| *found > most)?;
        Some(format!("{what} is {found:.3}, above {most}"))
    };
    let goodput = outcome.goodput.unwrap_or(f64::INFINITY);
    must(
        goodput >= expect.goodput,
        format!("goodput is {goodput:.3}, below {}", expect.goodput),
    );
    for too_much in [
        at_most(
            "the swing of memory",
            outcome.memory_swing,
            expect.memory_swing,
        ),
        at_most(
            "the swing of admission",
            outcome.admission_swing,
            expect.admission_swing,
        ),
        at_most(
            "actions an hour",
            Some(outcome.actions_per_hour),
            expect.actions_per_hour,
        ),
    ] {
        must(too_much.is_none(), too_much.unwrap_or_default());
    }
    if outcome.recovers {
        let recovered = outcome.recovery.is_some_and(|time| time <= expect.recovery);
        let found = outcome.recovery;
        must(
            recovered,
            format!("recovery takes {found:?}, more than {:?}", expect.recovery),
        );
    }
    must(
        outcome.latch_ups == 0,
        format!(
            "{} times shut for memory that nobody used",
            outcome.latch_ups
        ),
    );
    let passed: Vec<f64> = outcome.passed[..3].iter().flatten().copied().collect();
    must(
        !expect.ordered || passed.windows(2).all(|pair| pair[0] <= pair[1] + 0.01),
        format!("a lower class fares better than a higher one: {passed:.3?}"),
    );
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{model, variant};

    type Break = fn(&mut Outcome);

    /// An invariant that nothing can break proves nothing: each is broken once here.
    #[test]
    fn what_does_not_hold_is_found() {
        let scenario = Scenario::find("overload").unwrap();
        let default = variant::default();
        let good = model::run(&scenario, 2.0, &default, 1).unwrap();
        assert_eq!(broken(&scenario, &default, &good), Vec::<String>::new());
        let breaks: [(Break, &str); 10] = [
            (|o| o.unaccounted = 0.1, "accounted"),
            (|o| o.inversions = 1, "lower class would"),
            (
                |o| o.died_at = Some(std::time::Duration::from_secs(3)),
                "killed after 3.0 s",
            ),
            (|o| o.peak = 0.81, "peaks"),
            (|o| o.goodput = Some(0.94), "goodput"),
            (|o| o.recovery = None, "recovery"),
            (|o| o.memory_swing = Some(0.06), "memory"),
            (|o| o.actions_per_hour = 1e4, "actions"),
            (|o| o.latch_ups = 1, "shut"),
            (
                |o| o.passed = [Some(0.9), Some(0.5), None, None],
                "fares better",
            ),
        ];
        for (change, word) in breaks {
            let mut outcome = good.clone();
            change(&mut outcome);
            let found = broken(&scenario, &default, &outcome);
            assert!(
                found.len() == 1 && found[0].contains(word),
                "{word}: {found:?}"
            );
        }
    }

    #[test]
    fn bare_variants_promise_nothing_but_their_accounts() {
        let scenario = Scenario::find("overload").unwrap();
        let off = variant::all()
            .into_iter()
            .find(|one| one.name == "off")
            .unwrap();
        let outcome = model::run(&scenario, 20.0, &off, 1).unwrap();
        assert!(outcome.died_at.is_some());
        assert_eq!(broken(&scenario, &off, &outcome), Vec::<String>::new());
    }
}
