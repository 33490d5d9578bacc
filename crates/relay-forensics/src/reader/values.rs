//! The values of a snapshot, found by the name of their field.

use super::Recording;
use crate::schema::{FieldInfo, NO_LIMIT, Type};

/// All fields of one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SnapshotRecord {
    /// Its number in its section, from 1.
    pub seq: u64,
    /// Whether it is one of those kept for the longer story.
    pub coarse: bool,
    /// When, on the monotonic clock.
    pub monotonic_ns: u64,
    /// When, since 1970.
    pub real_ns: u64,
    pub(super) body: Vec<u8>,
}

/// A snapshot with the fields it consists of.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotView<'a> {
    pub(super) recording: &'a Recording,
    /// The record itself.
    pub record: &'a SnapshotRecord,
}

/// One value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldValue<'a> {
    /// Not known at that moment.
    Unknown,
    /// A limit that does not exist.
    NoLimit,
    /// A whole number.
    Integer(u64),
    /// Any other number.
    Float(f64),
    /// A name.
    Name(&'a str),
}

// === impl SnapshotView ===

impl<'a> SnapshotView<'a> {
    /// Every field with its values.
    pub fn fields(self) -> impl Iterator<Item = (&'a FieldInfo, impl Iterator<Item = FieldValue<'a>>)> {
        let fields = self.recording.header.fields.iter();
        fields.map(move |field| {
            let values = (0..usize::from(field.count)).map(move |index| self.value(field, index));
            (field, values)
        })
    }

    /// One value of the field of this name.
    pub fn get(self, name: &str, index: usize) -> FieldValue<'a> {
        let fields = &self.recording.header.fields;
        match fields.iter().find(|field| field.name == name) {
            Some(field) if index < usize::from(field.count) => self.value(field, index),
            _ => FieldValue::Unknown,
        }
    }

    /// The first value of a field when it is a known number.
    pub fn number(self, name: &str) -> Option<f64> {
        self.number_at(name, 0)
    }

    /// Any value of a field when it is a known number.
    pub fn number_at(self, name: &str, index: usize) -> Option<f64> {
        match self.get(name, index) {
            FieldValue::Integer(value) => Some(value as f64),
            FieldValue::Float(value) => Some(value),
            _ => None,
        }
    }

    /// A record of another length than the fields need has the missing ones unknown.
    fn value(self, field: &FieldInfo, index: usize) -> FieldValue<'a> {
        let width = field.kind.bytes();
        let at = usize::from(field.offset) + index * width;
        let Some(bytes) = self.record.body.get(at..at + width) else {
            return FieldValue::Unknown;
        };
        if bytes.iter().all(|byte| *byte == 0xff) {
            return FieldValue::Unknown;
        }
        let integer = bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        match field.kind {
            Type::F32 => float(f64::from(f32::from_bits(integer as u32))),
            Type::F64 => float(f64::from_bits(integer)),
            Type::Name => self.name(integer as u16),
            _ if integer == NO_LIMIT => FieldValue::NoLimit,
            _ => FieldValue::Integer(integer),
        }
    }

    fn name(self, number: u16) -> FieldValue<'a> {
        let name = self.recording.names.get(&number);
        name.map_or(FieldValue::Unknown, |name| FieldValue::Name(name))
    }
}

fn float(value: f64) -> FieldValue<'static> {
    if value.is_finite() {
        FieldValue::Float(value)
    } else {
        FieldValue::Unknown
    }
}
