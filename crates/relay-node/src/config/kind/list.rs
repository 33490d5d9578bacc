//! Values of several parts: lists of patterns, tables of headers.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use relay_event::Pattern;

use super::text::literal;
use super::{Kind, not_a};
use crate::config::raw::{RawValue, quoted};
use crate::config::secret::MASK;

/// Most parts that one list or table holds.
const PARTS_MAX: usize = 64;

/// Headers that frame the message: another value would break it.
const RESERVED: &[&str] = &["connection", "content-length", "host", "transfer-encoding"];

/// Glob patterns.
pub(crate) struct Patterns;

/// HTTP headers; the values are secrets.
pub(crate) struct Headers;

// === impl Patterns ===

impl Kind for Patterns {
    type Value = Vec<String>;

    fn read(&self, raw: &RawValue) -> Result<Vec<String>, String> {
        let patterns: Vec<&str> = match raw {
            RawValue::Loose(text) if text.is_empty() => Vec::new(),
            RawValue::Loose(text) => text.split(',').map(str::trim).collect(),
            RawValue::Array(items) => items
                .iter()
                .map(|item| {
                    item.value
                        .text()
                        .ok_or_else(|| not_a("strings only", &item.value))
                })
                .collect::<Result<_, _>>()?,
            other => return Err(not_a("an array of strings", other)),
        };
        if patterns.len() > PARTS_MAX {
            return Err(format!("{} patterns are too many", patterns.len()));
        }
        if let Some(wrong) = patterns
            .iter()
            .find(|pattern| Pattern::new(pattern).is_err())
        {
            let shown = quoted(wrong);
            return Err(format!(
                "pattern {shown} is empty, too long or holds a control character"
            ));
        }
        Ok(patterns.into_iter().map(str::to_owned).collect())
    }

    fn show(&self, value: &Vec<String>) -> String {
        let items: Vec<String> = value.iter().map(|pattern| literal(pattern)).collect();
        format!("[{}]", items.join(", "))
    }

    fn allowed(&self) -> String {
        format!("up to {PARTS_MAX} patterns of 1 to 255 bytes, such as [\"orders.*\"]")
    }
}

// === impl Headers ===

impl Kind for Headers {
    type Value = HeaderMap;

    fn read(&self, raw: &RawValue) -> Result<HeaderMap, String> {
        let RawValue::Table(table) = raw else {
            let found = if raw.is_loose() {
                "text"
            } else {
                raw.type_name()
            };
            return Err(format!("expected a table of headers, found {found}"));
        };
        if table.len() > PARTS_MAX {
            return Err(format!("{} headers are too many", table.len()));
        }
        let mut headers = HeaderMap::new();
        for (name, member) in table {
            let key: HeaderName = name
                .parse()
                .map_err(|_| format!("`{}` is not a header name", name.escape_debug()))?;
            let text = member
                .value
                .text()
                .ok_or_else(|| format!("header `{name}`: {}", not_a("a string", &member.value)))?;
            let mut value: HeaderValue = text
                .parse()
                .map_err(|_| format!("header `{name}`: not valid in a header"))?;
            value.set_sensitive(true);
            if RESERVED.contains(&key.as_str()) {
                return Err(format!("header `{name}` is set by the emitter itself"));
            }
            if headers.insert(key, value).is_some() {
                return Err(format!("header `{name}` is given twice in different case"));
            }
        }
        Ok(headers)
    }

    fn show(&self, value: &HeaderMap) -> String {
        if value.is_empty() {
            return "{}".to_owned();
        }
        let items: Vec<String> = value
            .keys()
            .map(|name| format!("{name} = \"{MASK}\""))
            .collect();
        format!("{{ {} }}", items.join(", "))
    }

    fn allowed(&self) -> String {
        format!("up to {PARTS_MAX} headers, such as {{ x-tenant = \"a\" }}")
    }

    fn show_wrong(&self, raw: &RawValue) -> String {
        match raw {
            RawValue::Table(_) | RawValue::Array(_) => raw.to_string(),
            _ => MASK.to_owned(),
        }
    }
}
