//! Snapshots as a table for a spreadsheet: a column for each field, a row for each moment.

use std::io::{self, Write};

use super::{Entry, Window, timeline};
use crate::reader::{FieldValue, Recording};

/// Writes the snapshots comma-separated (RFC 4180), the names of the fields in the first line. What
/// is unknown is empty.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn csv(recording: &Recording, window: Window, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "time_unix_ns,monotonic_ns,coarse")?;
    for field in &recording.header().fields {
        for index in 0..field.count {
            write!(out, ",{}", field.name)?;
            if field.count > 1 {
                write!(out, ".{index}")?;
            }
        }
    }
    write!(out, "\r\n")?;
    for entry in timeline(recording, window) {
        let Entry::Snapshot(snapshot) = entry else {
            continue;
        };
        let record = snapshot.record;
        let coarse = u8::from(record.coarse);
        write!(out, "{},{},{coarse}", record.real_ns, record.monotonic_ns)?;
        for (_, values) in snapshot.fields() {
            for value in values {
                write!(out, ",{}", cell(value))?;
            }
        }
        write!(out, "\r\n")?;
    }
    Ok(())
}

/// A name that a spreadsheet would take for a formula gets a quote in front.
fn cell(value: FieldValue<'_>) -> String {
    match value {
        FieldValue::Unknown => String::new(),
        FieldValue::NoLimit => "none".into(),
        FieldValue::Integer(value) => value.to_string(),
        FieldValue::Float(value) => value.to_string(),
        FieldValue::Name(name) => {
            let formula = name.starts_with(['=', '+', '-', '@']);
            let quote = if formula { "'" } else { "" };
            format!("\"{quote}{}\"", name.replace('"', "\"\""))
        }
    }
}
