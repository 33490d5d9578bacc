//! The merged tree of values before anyone knows what they mean.

use std::collections::BTreeMap;
use std::fmt;

use super::origin::Origin;

/// A table of named values, in the order of their names.
pub(crate) type RawTable = BTreeMap<String, Raw>;

/// A value with its two positions.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) value: RawValue,
    /// Where the value stands.
    pub(crate) at: Origin,
    /// Where its name stands, for mistakes in the name.
    pub(crate) name_at: Origin,
}

/// What TOML can say, and what a variable or flag can.
#[derive(Clone, Debug)]
pub(crate) enum RawValue {
    Text(String),
    /// Unquoted text of a variable or flag: whoever reads it knows the type it should have.
    Loose(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(Vec<Raw>),
    Table(RawTable),
    /// A date, or a number beyond any range: right for no field.
    Other(&'static str, String),
}

/// What a person is shown of a value; longer ones are cut.
const SHOWN_CHARS_MAX: usize = 60;

// === impl Raw ===

impl Raw {
    pub(crate) fn new(value: RawValue, at: Origin) -> Self {
        Self {
            value,
            name_at: at.clone(),
            at,
        }
    }

    pub(crate) fn empty_table(at: Origin) -> Self {
        Self::new(RawValue::Table(RawTable::new()), at)
    }

    /// The values that are no tables, with their paths below `path`.
    pub(crate) fn leaves<'a>(&'a self, path: &str, visit: &mut dyn FnMut(String, &'a Raw)) {
        match &self.value {
            RawValue::Table(table) if !table.is_empty() => {
                for (name, raw) in table {
                    raw.leaves(&format!("{path}.{name}"), visit);
                }
            }
            _ => visit(path.to_owned(), self),
        }
    }
}

/// Lays `above` over `below`: tables merge name by name, anything else replaces.
pub(crate) fn merge(below: &mut RawTable, above: RawTable) {
    for (name, raw) in above {
        match below.get_mut(&name) {
            Some(Raw {
                value: RawValue::Table(into),
                ..
            }) if matches!(raw.value, RawValue::Table(_)) => {
                if let RawValue::Table(from) = raw.value {
                    merge(into, from);
                }
            }
            _ => {
                below.insert(name, raw);
            }
        }
    }
}

/// Puts `raw` at `path`, making the tables on the way.
///
/// `alike` says whether a name that exists is the one meant: variables know no lower case.
pub(crate) fn insert(
    table: &mut RawTable,
    path: &[String],
    raw: Raw,
    alike: fn(&str, &str) -> bool,
) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let name = table
        .keys()
        .find(|known| alike(known, first))
        .unwrap_or(first)
        .clone();
    if rest.is_empty() {
        merge(table, RawTable::from([(name, raw)]));
        return;
    }
    let at = raw.at.clone();
    let slot = table
        .entry(name)
        .or_insert_with(|| Raw::empty_table(at.clone()));
    if !matches!(slot.value, RawValue::Table(_)) {
        *slot = Raw::empty_table(at);
    }
    if let RawValue::Table(inner) = &mut slot.value {
        insert(inner, rest, raw, alike);
    }
}

// === impl RawValue ===

impl RawValue {
    /// The type in the words of TOML.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Loose(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
            Self::Other(name, _) => name,
        }
    }

    /// The text, quoted or loose.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Loose(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_loose(&self) -> bool {
        matches!(self, Self::Loose(_))
    }
}

impl fmt::Display for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Loose(text) => f.write_str(&quoted(text)),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Boolean(yes) => write!(f, "{yes}"),
            Self::Array(items) if items.is_empty() => f.write_str("[]"),
            Self::Array(_) => f.write_str("[…]"),
            Self::Table(_) => f.write_str("{…}"),
            Self::Other(_, text) => f.write_str(&cut(text)),
        }
    }
}

/// The text in quotes, control characters escaped, cut when long.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", cut(text))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
