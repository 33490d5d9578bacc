//! Reading one document in one pass: each attribute is checked where it stands, so that a mistake has a place.

use super::data::{self, is_json};
use super::{DecodeError, MAX_SOURCE_BYTES, name, time};
use crate::event::{Event, EventBuilder};
use crate::id::EventId;
use crate::priority::Priority;
use crate::topic::Topic;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::str;
use std::sync::Arc;
use std::time::SystemTime;

/// The most extension attributes; as many as an event has headers.
const MAX_EXTENSIONS: usize = 64;

/// Reads one document.
pub(super) fn read(bytes: &[u8], priority: Priority) -> Result<EventBuilder, DecodeError> {
    let text = text_of(bytes)?;
    let mut draft = Draft::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = draft.deserialize(&mut json).and_then(|()| json.end());
    if let Err(error) = parsed {
        return Err(draft.mistake(text, &error));
    }
    draft.build(text, priority)
}

/// The text, when it is UTF-8 without a byte order mark.
fn text_of(bytes: &[u8]) -> Result<&str, DecodeError> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(DecodeError::at(
            bytes,
            0,
            "a byte order mark, which JSON does not have",
        ));
    }
    str::from_utf8(bytes).map_err(|error| DecodeError::at(bytes, error.valid_up_to(), "not UTF-8"))
}

/// What has been read of an event.
#[derive(Default)]
struct Draft<'a> {
    version: Option<()>,
    id: Option<EventId>,
    source: Option<Arc<str>>,
    topic: Option<Topic>,
    time: Option<SystemTime>,
    priority: Option<Priority>,
    correlation_id: Option<Box<str>>,
    causation_id: Option<Box<str>>,
    extensions: Vec<(Box<str>, Box<str>)>,
    data: Option<&'a RawValue>,
    data_base64: Option<Vec<u8>>,
    /// The attribute that is being read, and a part of the input that is wrong, for the error if there is one.
    reading: Option<Cow<'a, str>>,
    wrong: Option<&'a str>,
}

/// The text of one attribute; `None` when it is `null`, which stands for absent.
struct Attribute<'a>(Option<Cow<'a, str>>);

// === impl Draft ===

impl<'a> Draft<'a> {
    /// What stopped the parser, and where: at the part that was found wrong, or where the grammar ended.
    fn mistake(&self, text: &str, error: &serde_json::Error) -> DecodeError {
        let mut mistake = DecodeError::json(text.as_bytes(), 0, error);
        if let Some(offset) = self.wrong.and_then(|part| offset_in(text, part)) {
            mistake = DecodeError::at(text.as_bytes(), offset, mistake.message);
        }
        match &self.reading {
            Some(name) => mistake.field(name),
            None => mistake,
        }
    }

    /// Takes one attribute that is no data.
    fn set(&mut self, name: &str, value: Cow<'a, str>) -> Result<(), String> {
        match name {
            "specversion" if value != "1.0" => Err(format!(
                "version {value:.16?} is not known, only \"1.0\" is"
            )),
            "specversion" => once(&mut self.version, ()),
            "id" => once(&mut self.id, value.parse().map_err(text)?),
            "type" => once(&mut self.topic, Topic::new(&value).map_err(text)?),
            "source" if value.is_empty() || value.len() > MAX_SOURCE_BYTES => Err(format!(
                "must have 1 to {MAX_SOURCE_BYTES} bytes, has {}",
                value.len()
            )),
            "source" => once(&mut self.source, Arc::from(value)),
            "time" => once(
                &mut self.time,
                time::parse_time(&value)
                    .ok_or("not an RFC 3339 time such as 2026-11-21T04:15:00Z")?,
            ),
            "relaypriority" => once(&mut self.priority, value.parse().map_err(text)?),
            "correlationid" => once(&mut self.correlation_id, value.into()),
            "causationid" => once(&mut self.causation_id, value.into()),
            "data_base64" => once(
                &mut self.data_base64,
                STANDARD.decode(&*value).map_err(text)?,
            ),
            other => self.extend(
                name::unescape(other).map_or_else(|| other.into(), String::into),
                value,
            ),
        }
    }

    fn extend(&mut self, name: Box<str>, value: Cow<'a, str>) -> Result<(), String> {
        if self.extensions.iter().any(|(have, _)| *have == name) {
            return Err(TWICE.into());
        }
        if self.extensions.len() == MAX_EXTENSIONS {
            return Err(format!("more than {MAX_EXTENSIONS} extension attributes"));
        }
        self.extensions.push((name, value.into()));
        Ok(())
    }

    fn build(self, text: &str, priority: Priority) -> Result<EventBuilder, DecodeError> {
        let missing =
            |name| DecodeError::at(text.as_bytes(), text.len(), "required and missing").field(name);
        let payload = match (self.data, self.data_base64) {
            (Some(_), Some(_)) => {
                let error = DecodeError::at(
                    text.as_bytes(),
                    text.len(),
                    "only one of data and data_base64 is allowed",
                );
                return Err(error.field("data_base64"));
            }
            (Some(data), None) => payload_of(text, data, &self.extensions)?,
            (None, base64) => base64.unwrap_or_default(),
        };
        self.version.ok_or_else(|| missing("specversion"))?;
        let topic = self.topic.ok_or_else(|| missing("type"))?;
        let mut builder = Event::builder(&topic)
            .id(self.id.ok_or_else(|| missing("id"))?)
            .source(self.source.ok_or_else(|| missing("source"))?)
            .priority(self.priority.unwrap_or(priority).min(Priority::High))
            .payload(payload);
        if let Some(time) = self.time {
            builder = builder.time(time);
        }
        if let Some(id) = self.correlation_id {
            builder = builder.correlation_id(id);
        }
        if let Some(id) = self.causation_id {
            builder = builder.causation_id(id);
        }
        Ok(self
            .extensions
            .into_iter()
            .fold(builder, |builder, (name, value)| {
                builder.header(name, value)
            }))
    }
}

const TWICE: &str = "given twice";

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(TWICE.into()),
    }
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

/// Where `part` lies in `text`, when it was borrowed from it.
fn offset_in(text: &str, part: &str) -> Option<usize> {
    let offset = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    (offset <= text.len()).then_some(offset)
}

fn borrowed<'a>(text: &Cow<'a, str>) -> Option<&'a str> {
    match text {
        Cow::Borrowed(text) => Some(text),
        Cow::Owned(_) => None,
    }
}

/// The bytes of `data`: the text of a string when the content type is not JSON, the JSON itself otherwise.
fn payload_of(
    text: &str,
    data: &RawValue,
    extensions: &[(Box<str>, Box<str>)],
) -> Result<Vec<u8>, DecodeError> {
    let json = data.get();
    let start = offset_in(text, json).unwrap_or_default();
    let content_type = extensions
        .iter()
        .find(|(name, _)| &**name == "datacontenttype");
    if json.starts_with('"') && content_type.is_some_and(|(_, value)| !is_json(value)) {
        let unescaped = serde_json::from_str::<String>(json);
        return unescaped.map(String::into_bytes).map_err(|error| {
            DecodeError::json(json.as_bytes(), 0, &error)
                .within(text.as_bytes(), start)
                .field("data")
        });
    }
    data::check(json).map_err(|(at, message)| {
        DecodeError::at(text.as_bytes(), start + at, message).field("data")
    })?;
    Ok(json.as_bytes().to_vec())
}

impl<'a> DeserializeSeed<'a> for &mut Draft<'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for &mut Draft<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event, which is a JSON object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(Attribute(name)) = map.next_key_seed(Attribute(None))? {
            let name = name.unwrap_or_default();
            self.reading = Some(name.clone());
            if name == "data" {
                let data: &RawValue = map.next_value()?;
                self.wrong = Some(data.get());
                once(&mut self.data, data).map_err(M::Error::custom)?;
            } else if let Attribute(Some(value)) = map.next_value_seed(Attribute(None))? {
                self.wrong = borrowed(&value).or_else(|| borrowed(&name));
                self.set(&name, value).map_err(M::Error::custom)?;
            }
            (self.reading, self.wrong) = (None, None);
        }
        Ok(())
    }
}

// === impl Attribute ===

impl<'a> DeserializeSeed<'a> for Attribute<'a> {
    type Value = Self;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Self, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Attribute<'a> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a boolean or an integer")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self, E> {
        Ok(Self(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self, E> {
        Ok(Self(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self, E> {
        Ok(Self(Some(Cow::Borrowed(if value {
            "true"
        } else {
            "false"
        }))))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self, E> {
        Ok(Self(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self, E> {
        Ok(Self(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self(None))
    }
}
