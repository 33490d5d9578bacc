//! One JSON object a line: the header, the verdict, the records in the order of time, the census.
//! Each has a member `record` that says which it is; the header says the version of this schema.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{Entry, Window, timeline};
use crate::{
    previous::PreviousRun,
    reader::{Census, FieldValue, Recording},
    schema::NO_LIMIT,
    time::Utc,
    verdict::{Here, Verdict},
};

/// Grows when a member changes its meaning or goes away; new ones may come at any time.
const SCHEMA: u32 = 1;

/// Writes a recording as lines of JSON.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn json(
    recording: &Recording,
    window: Window,
    here: Here,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}", header(recording))?;
    writeln!(out, "{}", verdict_json(&recording.verdict_at(here)))?;
    for entry in timeline(recording, window) {
        writeln!(out, "{}", json_entry(&entry))?;
    }
    for census in recording.census() {
        writeln!(out, "{}", census_json(census))?;
    }
    Ok(())
}

/// What was found in a section, as one object.
pub fn census_json(census: &Census) -> Value {
    json!({
        "record": "census",
        "section": census.section.as_str(),
        "slots": census.slots(),
        "valid": census.valid,
        "empty": census.empty,
        "torn": census.torn,
        "missing": census.missing,
        "gaps": census.gaps,
        "newest": census.newest,
    })
}

/// How the run before ended, as one object for an admin endpoint.
pub fn previous_json(previous: &PreviousRun) -> Value {
    let mut object = verdict_json(&previous.verdict);
    object["path"] = json!(previous.path.as_ref().map(|path| path.display().to_string()));
    object["header"] = previous.recording.as_ref().map_or(Value::Null, header);
    object
}

/// One record as one object.
pub fn json_entry(entry: &Entry<'_>) -> Value {
    let mut object = json!({
        "time": Utc(entry.real_ns()).to_string(),
        "monotonic_ns": entry.monotonic_ns(),
    });
    match entry {
        Entry::Event(event) => {
            object["record"] = json!("event");
            object["seq"] = json!(event.seq);
            object["kind"] = json!(event.kind.as_str());
            if let crate::EventKind::Other(code) = event.kind {
                object["code"] = json!(code);
            }
            object["severity"] = json!(event.severity.as_str());
            object["component"] = json!(event.component);
            object["detail"] = json!(event.detail);
            object["values"] = json!(event.values);
            let names = event.kind.value_names().iter().zip(event.values);
            for (name, value) in names {
                object[*name] = json!(value);
            }
            object["text"] = json!(event.text);
        }
        Entry::Snapshot(snapshot) => {
            object["record"] = json!("snapshot");
            object["seq"] = json!(snapshot.record.seq);
            object["coarse"] = json!(snapshot.record.coarse);
            let mut fields = Map::new();
            for (field, values) in snapshot.fields() {
                let values: Vec<Value> = values.map(value).collect();
                let shown = match <[Value; 1]>::try_from(values) {
                    Ok([single]) => single,
                    Err(several) => Value::Array(several),
                };
                fields.insert(field.name.clone(), shown);
            }
            object["fields"] = Value::Object(fields);
        }
    }
    object
}

/// Unknown is null, and a limit that does not exist is `"none"`: three values, three forms.
fn value(value: FieldValue<'_>) -> Value {
    match value {
        FieldValue::Unknown => Value::Null,
        FieldValue::NoLimit => json!("none"),
        FieldValue::Integer(value) => json!(value),
        FieldValue::Float(value) => json!(value),
        FieldValue::Name(name) => json!(name),
    }
}

fn header(recording: &Recording) -> Value {
    let header = recording.header();
    let limit = |bytes: Option<u64>| match bytes {
        None => Value::Null,
        Some(NO_LIMIT) => json!("none"),
        Some(bytes) => json!(bytes),
    };
    let state = recording.state();
    json!({
        "record": "header",
        "schema": SCHEMA,
        "minor": header.minor,
        "instance": header.instance,
        "build": header.build,
        "config_hash": format!("{:016x}", header.config_hash),
        "pid": header.identity.pid,
        "host": header.identity.host,
        "kernel": header.identity.kernel,
        "boot_id": header.identity.boot_id.map(hex),
        "started": Utc(header.started.real_ns).to_string(),
        "limit_bytes": limit(header.limits.limit_bytes),
        "high_bytes": limit(header.limits.high_bytes),
        "limit_source": header.limits.source,
        "cgroup_version": header.limits.cgroup_version,
        "host_memory_bytes": header.identity.host_memory_bytes,
        "locked": header.is_locked(),
        "tmpfs": header.is_on_tmpfs(),
        "sync_ms": header.sync_ms,
        "state": state.run.as_str(),
        "state_since": Utc(state.real_ns).to_string(),
        "live": recording.is_live(),
        "lost": recording.lost(),
    })
}

/// A verdict as one object.
pub fn verdict_json(verdict: &Verdict) -> Value {
    json!({
        "record": "verdict",
        "cause": verdict.cause.as_str(),
        "confidence": verdict.confidence.as_str(),
        "exit_code": verdict.cause.exit_code(),
        "sentence": verdict.to_string(),
        "detail": verdict.detail,
        "evidence": verdict.evidence,
        "last_record": (verdict.last_real_ns > 0).then(|| Utc(verdict.last_real_ns).to_string()),
    })
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}
