//! `--set path=value`: the last word.

use super::environment::loose;
use super::origin::Origin;
use super::problem::Problem;
use super::raw::{Raw, RawTable, insert};

/// Lays the assignments over `tree` in their order; the last one of a path wins.
pub(crate) fn overlay(tree: &mut RawTable, assignments: &[String], problems: &mut Vec<Problem>) {
    for assignment in assignments {
        let path: &str = assignment.split('=').next().unwrap_or("").trim();
        let origin = Origin::Set(path.to_owned());
        let parts: Vec<String> = path.split('.').map(|part| part.trim().to_owned()).collect();
        match assignment.split_once('=') {
            Some((_, value)) if parts.iter().all(|part| !part.is_empty()) => {
                let raw = Raw::new(loose(value.trim(), &origin), origin);
                insert(tree, &parts, raw, |known, part| known == part);
            }
            _ => problems.push(
                Problem::new(origin, "", "not an assignment")
                    .allowed("path=value, such as control.interval=100ms"),
            ),
        }
    }
}
