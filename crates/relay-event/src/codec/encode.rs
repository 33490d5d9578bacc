//! Writing one document, straight into a buffer.

use super::data::{self, Form};
use super::{name, time};
use crate::event::Event;
use crate::priority::Priority;
use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use serde::Serializer as _;
use std::fmt::Display;
use std::io::Write as _;

pub(super) fn write(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"specversion":"1.0","id":"#);
    write_string(event.id(), out);
    out.extend_from_slice(br#","source":"#);
    write_string(event.source(), out);
    out.extend_from_slice(br#","type":"#);
    write_string(event.topic(), out);
    write_time(event, out);
    if event.priority() != Priority::Normal {
        write_member("relaypriority", event.priority().as_str(), out);
    }
    if let Some(id) = event.correlation_id() {
        write_member("correlationid", id, out);
    }
    if let Some(id) = event.causation_id() {
        write_member("causationid", id, out);
    }
    for (name, value) in event.headers().iter() {
        write_header(name, value, out);
    }
    write_payload(event, out);
    out.push(b'}');
}

fn write_time(event: &Event, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(br#","time":""#);
    if time::print_time(event.time(), out) {
        out.push(b'"');
    } else {
        out.truncate(start);
    }
}

fn write_header(header: &str, value: &str, out: &mut Vec<u8>) {
    if name::is_plain(header) {
        return write_member(header, value, out);
    }
    out.extend_from_slice(b",\"");
    name::escape(header, out);
    out.extend_from_slice(b"\":");
    write_string(value, out);
}

fn write_payload(event: &Event, out: &mut Vec<u8>) {
    if event.payload().is_empty() {
        return;
    }
    match Form::of(event.payload(), event.headers().get("datacontenttype")) {
        Form::Json(value) => {
            out.extend_from_slice(br#","data":"#);
            data::write_on_one_line(value, out);
        }
        Form::Text(text) => write_member("data", text, out),
        Form::Binary(bytes) => {
            out.extend_from_slice(br#","data_base64":""#);
            write_base64(bytes, out);
            out.push(b'"');
        }
    }
}

/// A member whose name needs no escapes.
fn write_member(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_string(value, out);
}

/// A JSON string. Writing to a vector cannot fail.
fn write_string<T: Display + ?Sized>(text: &T, out: &mut Vec<u8>) {
    let _ = serde_json::Serializer::new(out).collect_str(text);
}

/// Without a second buffer for the text. Writing to a vector cannot fail.
fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let mut encoder = EncoderWriter::new(out, &STANDARD);
    let _ = encoder.write_all(bytes);
    let _ = encoder.finish();
}
