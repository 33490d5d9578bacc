//! What reading a configuration turns up: the fields, the mistakes, the warnings.

use super::nearest;
use super::origin::Origin;
use super::problem::{Problem, Warning};
use super::raw::{Raw, RawValue, quoted};
use super::secret::mask_text;

/// One field as it was read, for `relay config` and for checks between neighbours.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Path of the field, such as `control.interval`.
    pub path: String,
    /// The value as a TOML literal, secrets masked.
    pub value: String,
    /// Who chose it.
    pub origin: Origin,
    /// What would be accepted.
    pub allowed: String,
    /// What the field is for, in one line.
    pub doc: &'static str,
    /// False when the given value was refused; `value` is then the default.
    pub(crate) valid: bool,
}

/// Everything found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) entries: Vec<Entry>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
    /// Variables that set nothing; the nearest name is sought once every field is known.
    pub(crate) unknown_variables: Vec<String>,
}

/// How the value of one field must stand to that of another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Relation {
    Below,
    AtMost,
    /// Below by more than the band in which a law acts.
    WellBelow,
    Unlike,
}

impl Findings {
    /// The field at `path`, if it was read.
    pub(crate) fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// Records a relation between two fields that does not hold.
    ///
    /// The blame goes to the value that somebody gave; silent when either is wrong by itself.
    pub(crate) fn require(&mut self, holds: bool, a: &str, relation: Relation, b: &str) {
        let (Some(first), Some(second)) = (self.entry(a), self.entry(b)) else {
            return;
        };
        if holds || !first.valid || !second.valid {
            return;
        }
        let (blamed, other, words) = if second.origin > first.origin {
            (second, first, relation.inverse())
        } else {
            (first, second, relation.words())
        };
        let message = format!(
            "must {words} {} ({}, {})",
            other.path, other.value, other.origin
        );
        let problem = Problem::new(blamed.origin.clone(), &blamed.path, message)
            .value(&blamed.value)
            .allowed(&blamed.allowed);
        self.problems.push(problem);
    }

    /// Records a name that no field of its table has.
    pub(crate) fn unknown(&mut self, path: &str, raw: &Raw, known: &[&str]) {
        if let Origin::Environment(name) = &raw.name_at {
            self.unknown_variables.push(name.clone());
            return;
        }
        let mut has_file_part = !matches!(&raw.value, RawValue::Table(table) if !table.is_empty());
        let mut variables = Vec::new();
        raw.leaves(path, &mut |_, leaf| match &leaf.name_at {
            Origin::Environment(name) => variables.push(name.clone()),
            _ => has_file_part = true,
        });
        self.unknown_variables.extend(variables);
        if has_file_part {
            let name = path.rsplit('.').next().unwrap_or(path);
            let shown = match raw.value.text() {
                Some(text) => quoted(&mask_text(path, text)),
                None => raw.value.to_string(),
            };
            self.problems.push(
                Problem::new(raw.name_at.clone(), path, "unknown key")
                    .value(shown)
                    .nearest(nearest::of(name, known.iter().copied()))
                    .allowed(known.join(", ")),
            );
        }
    }
}

impl Relation {
    const fn words(self) -> &'static str {
        match self {
            Self::Below => "be below",
            Self::AtMost => "be at most",
            Self::WellBelow => "be further below",
            Self::Unlike => "differ from",
        }
    }

    const fn inverse(self) -> &'static str {
        match self {
            Self::Below => "be above",
            Self::AtMost => "be at least",
            Self::WellBelow => "be further above",
            Self::Unlike => "differ from",
        }
    }
}
