//! A line for each record.

use std::fmt::Write;

use super::{Entry, Window, answers::quantity, level_name, timeline};
use crate::{
    event::EventRecord,
    reader::{FieldValue, Recording, SnapshotView},
    schema::Unit,
    time::{Bytes, Utc},
};

/// The records of the window, a line each, oldest first.
pub fn show(recording: &Recording, window: Window) -> String {
    let mut text = String::new();
    for entry in timeline(recording, window) {
        text.push_str(&entry_line(&entry));
        text.push('\n');
    }
    text
}

/// One record on one line.
pub fn entry_line(entry: &Entry<'_>) -> String {
    let time = Utc(entry.real_ns());
    match entry {
        Entry::Event(event) => {
            format!("{time} {:<8} {}", event.severity.as_str(), event.summary())
        }
        Entry::Snapshot(snapshot) => format!("{time} snapshot {}", summary(*snapshot)),
    }
}

/// The usual figures first; of a service with fields of its own, all of them.
fn summary(snapshot: SnapshotView<'_>) -> String {
    let mut text = String::new();
    let number = |name| snapshot.number(name);
    if let Some(usage) = number("memory.usage") {
        let _ = write!(text, "mem {}", Bytes(usage));
        if let Some(limit) = number("memory.limit").filter(|limit| *limit > 0.0) {
            let _ = write!(text, "/{} {:.1} %", Bytes(limit), usage / limit * 100.0);
        }
    }
    if let Some(level) = number("governor.level") {
        let _ = write!(text, " level {}", level_name(level));
    }
    if let Some(scale) = number("governor.scale") {
        let _ = write!(text, " scale {scale:.2}");
    }
    let others = snapshot.fields().filter(|(field, _)| !is_told(&field.name));
    for (field, values) in others {
        let known: Vec<String> = values.filter_map(|value| shown(value, field.unit)).collect();
        if !known.is_empty() {
            let _ = write!(text, " {}={}", field.name, known.join(","));
        }
    }
    text.trim_start().to_owned()
}

fn is_told(name: &str) -> bool {
    ["memory.usage", "memory.limit", "governor.level", "governor.scale"].contains(&name)
}

/// `None` for what is not known.
pub(super) fn shown(value: FieldValue<'_>, unit: Unit) -> Option<String> {
    match value {
        FieldValue::Unknown => None,
        FieldValue::NoLimit => Some("none".into()),
        FieldValue::Integer(value) => Some(quantity(value as f64, unit)),
        FieldValue::Float(value) => Some(quantity(value, unit)),
        FieldValue::Name(name) => Some(name.to_owned()),
    }
}

impl EventRecord {
    /// Kind, component, numbers and text on one line.
    pub fn summary(&self) -> String {
        let mut text = self.kind.as_str().to_owned();
        if let crate::EventKind::Other(code) = self.kind {
            let _ = write!(text, " {code}");
        }
        if let Some(component) = &self.component {
            let _ = write!(text, " {component}");
        }
        if self.detail != 0 {
            let _ = write!(text, " #{}", self.detail);
        }
        let names = self.kind.value_names();
        for (index, value) in self.values.iter().enumerate() {
            match names.get(index) {
                Some(name) if name.ends_with("_bytes") => {
                    let _ = write!(text, " {}={}", &name[..name.len() - 6], Bytes(*value as f64));
                }
                Some(&"by_ns") => {
                    let seconds = value.cast_signed() as f64 / 1e9;
                    let _ = write!(text, " by={seconds:.3} s");
                }
                Some(&"grace_ns") if *value == u64::MAX => text.push_str(" grace=unknown"),
                Some(&"address") => {
                    let _ = write!(text, " address={value:#x}");
                }
                Some(name) => {
                    let _ = write!(text, " {name}={value}");
                }
                None if *value != 0 => {
                    let _ = write!(text, " v{index}={value}");
                }
                None => {}
            }
        }
        if !self.text.is_empty() {
            let _ = write!(text, ": {}", self.text.replace(char::is_control, " "));
        }
        text
    }
}
