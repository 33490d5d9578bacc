//! The configuration file: TOML with positions, and every syntax error of it.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::origin::Origin;
use super::problem::Problem;
use super::raw::{Raw, RawTable, RawValue, quoted};
use super::secret::mask_text;

/// A larger file is certainly not a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A text and how to name places in it.
struct Source<'t> {
    path: Arc<Path>,
    text: &'t str,
}

/// Reads the file and lists its syntax errors; what could be read is returned beside them.
pub(crate) fn read(path: &Path, problems: &mut Vec<Problem>) -> RawTable {
    match contents(path) {
        Ok(text) => parse(path, &text, problems),
        Err(what) => {
            let origin = Origin::File {
                path: path.into(),
                line: 1,
                column: 1,
            };
            problems.push(Problem::new(origin, "", what));
            RawTable::new()
        }
    }
}

/// Parses TOML text that stands in for the file `path`.
pub(crate) fn parse(path: &Path, text: &str, problems: &mut Vec<Problem>) -> RawTable {
    let source = Source {
        path: path.into(),
        text,
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    problems.extend(errors.iter().map(|error| source.problem(error)));
    source.table(document.get_ref())
}

/// Parses one TOML value that a variable or flag gave; `None` when it is not one.
pub(crate) fn parse_value(text: &str, origin: &Origin) -> Option<RawValue> {
    let value = DeValue::parse(text).ok()?;
    Some(convert(value.get_ref(), &|_| origin.clone()))
}

fn contents(path: &Path) -> Result<String, String> {
    let reading = |error| {
        format!("cannot read the configuration file: {error}; check the path and its permissions")
    };
    let file = File::open(path).map_err(reading)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(reading)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("the configuration file is larger than 1MiB; is it the right file?".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("the configuration file is not UTF-8 at byte {at}; save it as UTF-8")
    })
}

// === impl Source ===

impl Source<'_> {
    fn at(&self, span: &Range<usize>) -> Origin {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line_start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |i| i + 1);
        Origin::File {
            path: Arc::clone(&self.path),
            line: String::from_utf8_lossy(before).matches('\n').count() + 1,
            column: String::from_utf8_lossy(&before[line_start..])
                .chars()
                .count()
                + 1,
        }
    }

    fn table(&self, table: &DeTable<'_>) -> RawTable {
        convert_table(table, &|span| self.at(span))
    }

    fn problem(&self, error: &toml::de::Error) -> Problem {
        let span = error.span().unwrap_or(0..0);
        let found = self.text.get(span.clone()).unwrap_or("").trim();
        let origin = self.at(&span);
        let path = self.path_of(&span);
        match error.message() {
            "duplicate key" => {
                Problem::new(origin, path, "defined a second time; keep one of the two")
            }
            message if message.starts_with("string values must be quoted") => {
                if found.is_empty() {
                    return Problem::new(origin, path, "the value is missing after `=`");
                }
                let shown = mask_text(&path, found);
                let fix = quoted(&shown);
                Problem::new(origin, path, format!("text needs quotes: write {fix}")).value(shown)
            }
            message => Problem::new(origin, path, format!("not valid TOML: {message}")),
        }
    }

    /// The dotted path that a mistake stands in: its line's key below the last `[header]`.
    fn path_of(&self, span: &Range<usize>) -> String {
        let start = span.start.min(self.text.len());
        let line_start = self.text.as_bytes()[..start]
            .iter()
            .rposition(|b| *b == b'\n');
        let line_start = line_start.map_or(0, |i| i + 1);
        let line = self.text[line_start..].lines().next().unwrap_or("");
        let header = |line: &str| {
            let inner = line.trim_start().strip_prefix('[')?;
            Some(
                inner
                    .split(']')
                    .next()
                    .unwrap_or("")
                    .trim_matches(['[', ' '])
                    .to_owned(),
            )
        };
        if let Some(own) = header(line) {
            return own;
        }
        let above = self.text[..line_start].lines().rev().find_map(header);
        let key = line.split_once('=').map(|(key, _)| key.trim());
        match (above, key) {
            (Some(above), Some(key)) => format!("{above}.{key}"),
            (above, key) => above.or(key.map(str::to_owned)).unwrap_or_default(),
        }
    }
}

/// How a span becomes an origin: a place in a file, or the variable that held the text.
type Locate<'l> = dyn Fn(&Range<usize>) -> Origin + 'l;

fn convert_table(table: &DeTable<'_>, locate: &Locate<'_>) -> RawTable {
    let member = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
        let raw = Raw {
            value: convert(value.get_ref(), locate),
            at: locate(&value.span()),
            name_at: locate(&key.span()),
        };
        (key.get_ref().to_string(), raw)
    };
    table.iter().map(member).collect()
}

fn convert(value: &DeValue<'_>, locate: &Locate<'_>) -> RawValue {
    match value {
        DeValue::String(text) => RawValue::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(
                |_| RawValue::Other("an integer beyond 64 bits", integer.to_string()),
                RawValue::Integer,
            ),
        DeValue::Float(float) => float.as_str().parse().map_or_else(
            |_| RawValue::Other("not a number", float.to_string()),
            RawValue::Float,
        ),
        DeValue::Boolean(yes) => RawValue::Boolean(*yes),
        DeValue::Datetime(date) => RawValue::Other("a date", date.to_string()),
        DeValue::Array(items) => RawValue::Array(
            items
                .iter()
                .map(|item| Raw::new(convert(item.get_ref(), locate), locate(&item.span())))
                .collect(),
        ),
        DeValue::Table(table) => RawValue::Table(convert_table(table, locate)),
    }
}
