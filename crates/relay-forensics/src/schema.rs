//! What a snapshot consists of: named, typed fields that the file itself describes.
//!
//! A service declares its fields once at start and keeps the handles; a viewer that has never heard
//! of them shows them all the same, by name and with their unit.

use std::marker::PhantomData;

use crate::{layout::SNAPSHOT_BYTES, slot};

/// The most fields a schema can have; an array counts once.
pub const FIELDS_MAX: usize = 72;

/// Bytes of a snapshot for all fields together.
pub const FIELD_BYTES_MAX: usize = SNAPSHOT_BYTES - slot::HEAD_BYTES - slot::TAIL_BYTES;

/// The longest name of a field, in bytes.
pub const NAME_BYTES_MAX: usize = 32;

/// The value of a limit that does not exist. "Unknown" is another value: every bit set.
pub const NO_LIMIT: u64 = u64::MAX - 1;

/// What a field is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Unit {
    /// A number of things.
    Count = 0,
    /// Bytes.
    Bytes = 1,
    /// Bytes a second.
    BytesPerSecond = 2,
    /// Nanoseconds.
    Nanoseconds = 3,
    /// Microseconds.
    Microseconds = 4,
    /// Milliseconds.
    Milliseconds = 5,
    /// Seconds.
    Seconds = 6,
    /// A part of one.
    Ratio = 7,
    /// A number that stands for a state or a reason.
    Code = 8,
    /// A name in the string table.
    Name = 9,
}

/// How a field is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Type {
    /// 1 byte.
    U8 = 0,
    /// 2 bytes.
    U16 = 1,
    /// 4 bytes.
    U32 = 2,
    /// 8 bytes.
    U64 = 3,
    /// 4 bytes, IEEE 754.
    F32 = 4,
    /// 8 bytes, IEEE 754.
    F64 = 5,
    /// 2 bytes: a [`Name`].
    Name = 6,
}

/// A name in the string table of a recording; see [`Recorder::name`](crate::Recorder::name).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name(pub(crate) u16);

/// The handle of a field with values of type `T`.
#[derive(Debug)]
pub struct Field<T> {
    pub(crate) offset: u16,
    pub(crate) kind: PhantomData<fn(T)>,
}

/// The handle of a field with several values of type `T`.
#[derive(Debug)]
pub struct Array<T> {
    pub(crate) offset: u16,
    pub(crate) count: u8,
    pub(crate) kind: PhantomData<fn(T)>,
}

/// The fields of a snapshot, in the order in which they were declared.
///
/// ```
/// use relay_forensics::{Schema, Unit};
///
/// let mut schema = Schema::new();
/// let open_orders = schema.field::<u32>("orders.open", Unit::Count)?;
/// let lag = schema.field::<f64>("replica.lag", Unit::Seconds)?;
/// # let _ = (open_orders, lag);
/// assert!(schema.field::<u64>("orders.open", Unit::Count).is_err(), "a name is used once");
/// # Ok::<(), relay_forensics::SchemaError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Schema {
    fields: Vec<FieldInfo>,
    used: usize,
}

/// What the file says about a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldInfo {
    /// Its name, such as `memory.usage`.
    pub name: String,
    /// What it is measured in.
    pub unit: Unit,
    /// How it is stored.
    pub kind: Type,
    /// How many values it has.
    pub count: u8,
    pub(crate) offset: u16,
}

/// A field that cannot be declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The name is empty, too long, or has characters other than `a-z 0-9 . _`.
    #[error("{0:?} is no name of a field: use up to 32 of a-z, 0-9, '.' and '_'")]
    Name(String),
    /// The name is taken.
    #[error("the field {0:?} is declared twice")]
    Duplicate(String),
    /// There is no room for it.
    #[error("no room for the field {0:?}: a snapshot has 472 bytes and 72 fields")]
    Full(String),
}

/// A type that a field can have.
pub trait Value: Copy + sealed::Value {}

pub(crate) mod sealed {
    /// How a value lies in a snapshot.
    pub trait Value: Copy {
        const TYPE: super::Type;
        fn put(self, bytes: &mut [u8]);
    }
}

macro_rules! values {
    ($($value:ty => $kind:ident),*) => { $(
        impl Value for $value {}
        impl sealed::Value for $value {
            const TYPE: Type = Type::$kind;
            fn put(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )* };
}

values!(u8 => U8, u16 => U16, u32 => U32, u64 => U64, f32 => F32, f64 => F64);

impl Value for Name {}
impl sealed::Value for Name {
    const TYPE: Type = Type::Name;
    fn put(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.to_le_bytes());
    }
}

// === impl Name ===

impl Name {
    /// No name: the table was full, or there is none.
    pub const NONE: Self = Self(u16::MAX);
}

// === impl Field, Array ===

impl<T> Clone for Field<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Field<T> {}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Array<T> {}

impl<T> Array<T> {
    /// How many values it has.
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }
}

// === impl Type, Unit ===

impl Type {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::Name => 2,
            Self::U32 | Self::F32 => 4,
            Self::U64 | Self::F64 => 8,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        use Type::{F32, F64, Name, U8, U16, U32, U64};
        [U8, U16, U32, U64, F32, F64, Name]
            .get(usize::from(code))
            .copied()
    }
}

impl Unit {
    /// How it is written behind a number; empty for a plain one.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Count | Self::Code | Self::Name | Self::Ratio => "",
            Self::Bytes => "B",
            Self::BytesPerSecond => "B/s",
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    /// An unknown unit of a newer file is a plain number.
    pub(crate) fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Bytes,
            2 => Self::BytesPerSecond,
            3 => Self::Nanoseconds,
            4 => Self::Microseconds,
            5 => Self::Milliseconds,
            6 => Self::Seconds,
            7 => Self::Ratio,
            8 => Self::Code,
            9 => Self::Name,
            _ => Self::Count,
        }
    }
}

// === impl Schema ===

/// What the recorder itself writes at the beginning of every snapshot.
pub(crate) struct Own {
    pub(crate) late_us: Field<u32>,
    pub(crate) write_ns: Field<u32>,
    pub(crate) period_us: Field<u32>,
}

pub(crate) const OWN: Own = Own {
    late_us: own(0),
    write_ns: own(4),
    period_us: own(8),
};

const fn own(offset: u16) -> Field<u32> {
    Field {
        offset,
        kind: PhantomData,
    }
}

impl Schema {
    /// The recorder's own fields: how late this snapshot is, how long the one before took to write,
    /// and how far apart they are.
    pub fn new() -> Self {
        let own = |name: &str, unit, offset| FieldInfo {
            name: name.to_owned(),
            unit,
            kind: Type::U32,
            count: 1,
            offset,
        };
        Self {
            fields: vec![
                own("recorder.late", Unit::Microseconds, 0),
                own("recorder.write", Unit::Nanoseconds, 4),
                own("recorder.period", Unit::Microseconds, 8),
            ],
            used: 12,
        }
    }

    /// Declares a field.
    ///
    /// # Errors
    ///
    /// [`SchemaError`]: a name that is none or taken, or no room.
    pub fn field<T: Value>(&mut self, name: &str, unit: Unit) -> Result<Field<T>, SchemaError> {
        self.array::<T>(name, unit, 1).map(|array| Field {
            offset: array.offset,
            kind: PhantomData,
        })
    }

    /// Declares a field of `count` values.
    ///
    /// # Errors
    ///
    /// As for [`field`](Self::field); none at all is no room, too.
    pub fn array<T: Value>(
        &mut self,
        name: &str,
        unit: Unit,
        count: u8,
    ) -> Result<Array<T>, SchemaError> {
        if !is_name(name) {
            return Err(SchemaError::Name(name.to_owned()));
        }
        if self.fields.iter().any(|field| field.name == name) {
            return Err(SchemaError::Duplicate(name.to_owned()));
        }
        let end = self.used + T::TYPE.bytes() * usize::from(count);
        if count == 0 || end > FIELD_BYTES_MAX || self.fields.len() == FIELDS_MAX {
            return Err(SchemaError::Full(name.to_owned()));
        }
        let offset = self.used as u16;
        self.fields.push(FieldInfo {
            name: name.to_owned(),
            unit,
            kind: T::TYPE,
            count,
            offset,
        });
        self.used = end;
        Ok(Array {
            offset,
            count,
            kind: PhantomData,
        })
    }

    /// The declared fields, the recorder's own first.
    pub fn fields(&self) -> &[FieldInfo] {
        &self.fields
    }

    /// How many of [`FIELD_BYTES_MAX`] are used.
    pub fn used_bytes(&self) -> usize {
        self.used
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self::new()
    }
}

/// Plain names need no escaping anywhere, in no output.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'_';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_one_behind_the_other() {
        let mut schema = Schema::new();
        let a = schema.field::<u8>("a", Unit::Count).unwrap();
        let b = schema.array::<u64>("b", Unit::Bytes, 3).unwrap();
        let c = schema.field::<Name>("c", Unit::Name).unwrap();
        assert_eq!((a.offset, b.offset, c.offset), (12, 13, 37));
        assert_eq!((b.count(), schema.used_bytes()), (3, 39));
    }

    #[test]
    fn what_cannot_be_declared_says_why() {
        let mut schema = Schema::new();
        for name in ["", "Upper", "sp ace", "ünder", &"x".repeat(33)] {
            let refused = schema.field::<u8>(name, Unit::Count);
            assert!(matches!(refused, Err(SchemaError::Name(_))), "{name}");
        }
        let taken = schema.field::<u8>("recorder.late", Unit::Count);
        assert!(matches!(taken, Err(SchemaError::Duplicate(_))));
        assert!(schema.array::<u64>("none", Unit::Count, 0).is_err());
        assert!(schema.array::<u64>("many", Unit::Count, 58).is_err());
        schema.array::<u64>("most", Unit::Count, 57).unwrap();
        schema.array::<u8>("rest", Unit::Count, 4).unwrap();
        assert_eq!(schema.used_bytes(), FIELD_BYTES_MAX);
        assert!(schema.field::<u8>("more", Unit::Count).is_err());
    }

    #[test]
    fn at_most_seventy_two_fields() {
        let mut schema = Schema::new();
        for n in schema.fields().len()..FIELDS_MAX {
            schema.field::<u8>(&format!("f{n}"), Unit::Count).unwrap();
        }
        assert!(schema.field::<u8>("one_more", Unit::Count).is_err());
    }

    #[test]
    fn codes_round_trip() {
        for code in 0..7 {
            assert_eq!(Type::from_code(code).unwrap() as u8, code);
        }
        assert_eq!(Type::from_code(7), None);
        for code in 0..10 {
            assert_eq!(Unit::from_code(code) as u8, code);
        }
        assert_eq!(Unit::from_code(200), Unit::Count);
    }
}
