//! Reads a tree of values field by field. Each field is named once, with its kind, default and
//! purpose; the typed value, the explanation and the mistakes all come from that one line.

use std::collections::BTreeMap;

use super::findings::{Entry, Findings};
use super::kind::{Choice, Kind, not_a};
use super::origin::Origin;
use super::problem::Problem;
use super::raw::{Raw, RawTable, RawValue};

/// Most adapters or emitters of one node: their ids become metric labels, which are bounded.
const IDS_MAX: usize = 64;
/// Longest id in bytes.
const ID_BYTES_MAX: usize = 64;

/// A table being read.
pub(crate) struct Section<'r, 'f> {
    path: String,
    table: Option<&'r RawTable>,
    at: Origin,
    known: Vec<&'static str>,
    /// False when the names cannot be judged, for want of the kind that says which there are.
    judges_names: bool,
    findings: &'f mut Findings,
}

impl<'r, 'f> Section<'r, 'f> {
    /// Reads the root table; whatever `fields` does not ask for is unknown.
    pub(crate) fn root<T>(
        table: &'r RawTable,
        findings: &'f mut Findings,
        fields: impl FnOnce(&mut Section<'r, '_>) -> T,
    ) -> T {
        let section = Section {
            path: String::new(),
            table: Some(table),
            at: Origin::Default,
            known: Vec::new(),
            judges_names: true,
            findings,
        };
        section.consume(fields)
    }

    /// The field `name`, or `default` when it is absent or wrong.
    pub(crate) fn read<K: Kind>(
        &mut self,
        name: &'static str,
        kind: &K,
        default: K::Value,
        doc: &'static str,
    ) -> K::Value {
        self.read_or(name, kind, (default, Origin::Default), doc)
    }

    /// As [`read`](Self::read), with the reason for the default.
    pub(crate) fn read_or<K: Kind>(
        &mut self,
        name: &'static str,
        kind: &K,
        (default, default_origin): (K::Value, Origin),
        doc: &'static str,
    ) -> K::Value {
        let given = self.given(name).map(|raw| (raw, kind.read(&raw.value)));
        let (value, origin, valid) = match given {
            Some((raw, Ok(value))) => (value, raw.at.clone(), true),
            Some((raw, Err(message))) => {
                self.wrong(name, raw, message, kind);
                (default, raw.at.clone(), false)
            }
            None => (default, default_origin, true),
        };
        self.record(name, kind, &value, (origin, valid), doc);
        value
    }

    /// The field `name`, which has no default; `None` is already reported.
    pub(crate) fn required<K: Kind>(
        &mut self,
        name: &'static str,
        kind: &K,
        doc: &'static str,
    ) -> Option<K::Value> {
        let Some(raw) = self.given(name) else {
            let problem =
                Problem::new(self.at.clone(), self.path_of(name), "required, but missing");
            self.findings.problems.push(problem.allowed(kind.allowed()));
            return None;
        };
        match kind.read(&raw.value) {
            Ok(value) => {
                self.record(name, kind, &value, (raw.at.clone(), true), doc);
                Some(value)
            }
            Err(message) => {
                self.wrong(name, raw, message, kind);
                None
            }
        }
    }

    /// The field `kind`, which defaults to the table's id when that is the name of a kind.
    pub(crate) fn kind<T: Clone + PartialEq>(
        &mut self,
        id: &str,
        kinds: &Choice<T>,
        doc: &'static str,
    ) -> Option<T> {
        let own = kinds
            .0
            .iter()
            .find(|(word, _)| *word == id)
            .map(|(_, own)| own.clone());
        let kind = match own {
            Some(own) if !self.table.is_some_and(|table| table.contains_key("kind")) => {
                Some(self.read("kind", kinds, own, doc))
            }
            _ => self.required("kind", kinds, doc),
        };
        self.judges_names = kind.is_some();
        kind
    }

    /// A field that the other values of this table make meaningless: present is a mistake.
    pub(crate) fn refuse(&mut self, name: &'static str, because: &str) {
        if let Some(raw) = self.given(name) {
            let problem = Problem::new(raw.name_at.clone(), self.path_of(name), because)
                .value(raw.value.to_string());
            self.findings.problems.push(problem);
        }
    }

    /// The table `name` within this one; absent is the same as empty.
    pub(crate) fn section<T>(
        &mut self,
        name: &'static str,
        fields: impl FnOnce(&mut Section<'r, '_>) -> T,
    ) -> T {
        let raw = self.given(name);
        self.descend(name, raw).consume(fields)
    }

    /// A table of tables by id: `fields` reads each. `fallback` is the only id when the table is
    /// absent.
    pub(crate) fn each<T>(
        &mut self,
        name: &'static str,
        fallback: &str,
        mut fields: impl FnMut(&str, &mut Section<'r, '_>) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let raw = self.given(name);
        let mut outer = self.descend(name, raw);
        let members: Vec<(String, Option<&'r Raw>)> = match (raw, outer.table) {
            (None, _) => vec![(fallback.to_owned(), None)],
            (_, Some(table)) => table
                .iter()
                .map(|(id, raw)| (id.clone(), Some(raw)))
                .collect(),
            _ => Vec::new(),
        };
        if members.len() > IDS_MAX {
            let what = format!("{} are too many", members.len());
            let problem = Problem::new(outer.at.clone(), outer.path.clone(), what);
            outer
                .findings
                .problems
                .push(problem.allowed(format!("up to {IDS_MAX}")));
        }
        let mut read = BTreeMap::new();
        for (id, raw) in members.into_iter().take(IDS_MAX) {
            outer.check_id(&id, raw);
            if let Some(value) = outer.descend(&id, raw).consume(|s| fields(&id, s)) {
                read.insert(id, value);
            }
        }
        read
    }

    /// A member that is not a field of its own; `None` when absent.
    fn given(&mut self, name: &'static str) -> Option<&'r Raw> {
        self.known.push(name);
        self.table.and_then(|table| table.get(name))
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn descend(&mut self, name: &str, raw: Option<&'r Raw>) -> Section<'r, '_> {
        let path = self.path_of(name);
        let mut table = None;
        let mut at = self.at.clone();
        match raw {
            Some(Raw {
                value: RawValue::Table(inner),
                name_at,
                ..
            }) => {
                table = Some(inner);
                at = name_at.clone();
            }
            Some(raw) => self.findings.problems.push(
                Problem::new(raw.at.clone(), &path, not_a("a table", &raw.value))
                    .value(raw.value.to_string())
                    .allowed(format!("a table [{path}]")),
            ),
            None => {}
        }
        Section {
            path,
            table,
            at,
            known: Vec::new(),
            judges_names: true,
            findings: self.findings,
        }
    }

    fn consume<T>(mut self, fields: impl FnOnce(&mut Section<'r, '_>) -> T) -> T {
        let value = fields(&mut self);
        for (name, raw) in self.table.into_iter().flatten() {
            if self.judges_names && !self.known.contains(&name.as_str()) {
                let path = self.path_of(name);
                self.findings.unknown(&path, raw, &self.known);
            }
        }
        value
    }

    fn check_id(&mut self, id: &str, raw: Option<&Raw>) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if id.is_empty() || id.len() > ID_BYTES_MAX || !id.chars().all(is_plain) {
            let at = raw.map_or(self.at.clone(), |raw| raw.name_at.clone());
            let problem = Problem::new(at, self.path_of(&id.escape_debug().to_string()), "bad id")
                .allowed(format!(
                    "1 to {ID_BYTES_MAX} of the characters a-z, A-Z, 0-9, _ and -"
                ));
            self.findings.problems.push(problem);
        }
    }

    fn wrong<K: Kind>(&mut self, name: &str, raw: &Raw, message: String, kind: &K) {
        let problem = Problem::new(raw.at.clone(), self.path_of(name), message)
            .value(kind.show_wrong(&raw.value))
            .allowed(kind.allowed());
        self.findings.problems.push(problem);
    }

    fn record<K: Kind>(
        &mut self,
        name: &str,
        kind: &K,
        value: &K::Value,
        (origin, valid): (Origin, bool),
        doc: &'static str,
    ) {
        self.findings.entries.push(Entry {
            path: self.path_of(name),
            value: kind.show(value),
            origin,
            allowed: kind.allowed(),
            doc,
            valid,
        });
    }
}
