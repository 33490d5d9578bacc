//! The configuration as text: a file that reads back to the same, with or without its reasons.

use std::fmt::Write;

use super::Loaded;
use super::environment::variable_of;
use super::findings::Entry;

/// Every value as a line of TOML. Secrets are masked, so a file with secrets needs them again.
pub fn listing(loaded: &Loaded) -> String {
    let mut text = String::new();
    for (section, entries) in sections(loaded.entries()) {
        let _ = writeln!(
            text,
            "{}[{section}]",
            if text.is_empty() { "" } else { "\n" }
        );
        for entry in entries {
            let _ = writeln!(text, "{} = {}", key(entry), entry.value);
        }
    }
    text
}

/// As [`listing`], each value with its origin, purpose, range and variable as comments.
pub fn explanation(loaded: &Loaded) -> String {
    let mut text = String::from(
        "# Precedence: --set, environment, file, default. Every line below can be put in a file.\n",
    );
    for (section, entries) in sections(loaded.entries()) {
        let _ = writeln!(text, "\n[{section}]");
        let assignments: Vec<String> = entries
            .iter()
            .map(|entry| format!("{} = {}", key(entry), entry.value))
            .collect();
        let width = assignments
            .iter()
            .map(|a| a.chars().count())
            .max()
            .unwrap_or(0)
            .min(48);
        for (entry, assignment) in entries.iter().zip(assignments) {
            let _ = writeln!(
                text,
                "{assignment:width$}  # {}",
                one_line(&entry.origin.to_string())
            );
            let _ = writeln!(text, "    # {}; allowed: {}", entry.doc, entry.allowed);
            let _ = writeln!(text, "    # {}", variable_of(&entry.path));
        }
    }
    text
}

/// The entries by table. A table stays in one piece although its subtables are read in between.
fn sections(entries: &[Entry]) -> Vec<(&str, Vec<&Entry>)> {
    let mut sections: Vec<(&str, Vec<&Entry>)> = Vec::new();
    for entry in entries {
        let section = entry
            .path
            .rsplit_once('.')
            .map_or("", |(section, _)| section);
        match sections.iter_mut().find(|(known, _)| *known == section) {
            Some((_, entries)) => entries.push(entry),
            None => sections.push((section, vec![entry])),
        }
    }
    sections
}

fn key(entry: &Entry) -> &str {
    entry.path.rsplit('.').next().unwrap_or(&entry.path)
}

/// A file's name may hold anything; a comment may not.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}
