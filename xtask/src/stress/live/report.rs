//! The report of the live checks: `report.json` and `report.md`, a row a check.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::Outcome;
use crate::machine;
use crate::stress::cgroup::Version;
use crate::stress::place::Place;

/// A column: where, which version of cgroups, and whether the kernel counts pressure.
type Column = (Place, Version, bool);

pub(super) fn write(out: &Path, outcomes: &[Outcome]) -> Result<()> {
    let title = "# Live checks of relay-sense\n\n";
    machine::report(out, title, &json!(outcomes), &table(outcomes))
}

fn table(outcomes: &[Outcome]) -> String {
    let column = |outcome: &Outcome| (outcome.place, outcome.version, outcome.psi);
    let mut columns: Vec<Column> = Vec::new();
    for outcome in outcomes {
        if !columns.contains(&column(outcome)) {
            columns.push(column(outcome));
        }
    }
    let mut text = "\n| check |".to_owned();
    for (place, version, psi) in &columns {
        let psi = if *psi { "" } else { ", psi=0" };
        write!(text, " {place}, {version:?}{psi} |").ok();
    }
    writeln!(text, "\n|---|{}", "---|".repeat(columns.len())).ok();
    let mut checks: Vec<&str> = Vec::new();
    for outcome in outcomes {
        if !checks.contains(&outcome.check.as_str()) {
            checks.push(&outcome.check);
        }
    }
    for check in checks {
        write!(text, "| {check} |").ok();
        for wanted in &columns {
            let mut here = outcomes.iter().filter(|outcome| column(outcome) == *wanted);
            let cell = match here.find(|outcome| outcome.check == check) {
                Some(outcome) if outcome.passed => outcome.detail.clone(),
                Some(outcome) => format!("**failed**: {}", outcome.detail),
                None => "not asked here".to_owned(),
            };
            write!(text, " {} |", cell.replace('|', "\\|").replace('\n', " ")).ok();
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_a_check_and_a_column_a_place() {
        let outcome = |check: &str, version, passed| Outcome {
            check: check.to_owned(),
            place: Place::Here,
            version,
            psi: true,
            passed,
            detail: "a|b".to_owned(),
            seconds: 0.0,
        };
        let outcomes = [
            outcome("limit", Version::V1, true),
            outcome("limit", Version::V2, false),
            outcome("group kill", Version::V2, true),
        ];
        let table = table(&outcomes);
        assert!(
            table.contains("| limit | a\\|b | **failed**: a\\|b |\n"),
            "{table}"
        );
        assert!(
            table.contains("| group kill | not asked here | a\\|b |\n"),
            "{table}"
        );
        assert!(table.contains("| here, V2 |"), "{table}");
        assert!(!table.contains("psi=0"), "{table}");
    }
}
