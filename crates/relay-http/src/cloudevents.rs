//! `CloudEvents` 1.0 over HTTP: what the headers of a request say about the event in its body.
//!
//! | mode | how it is told | the event is |
//! |---|---|---|
//! | structured | `Content-Type: application/cloudevents+json` | the body |
//! | batch | `application/cloudevents-batch+json` | each element of the body, a JSON array |
//! | lines | `application/x-ndjson` (also `application/ndjson`, `application/jsonl`) | each line of the body |
//! | binary | `ce-specversion: 1.0`, any other content type | the `ce-` headers, and the body as payload |
//! | plain | anything else | the body as payload, whatever `ce-` headers there are |
//!
//! Source: `CloudEvents` 1.0.2, "HTTP Protocol Binding", sections 3.1 (binary), 3.2 (structured), 3.3 (batched).

mod recent;

pub(crate) use recent::Recent;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use relay_event::codec::{MAX_SOURCE_BYTES, parse_time};
use relay_event::{Event, EventBuilder, EventId, Priority, Topic};
use std::borrow::Cow;
use std::str;
use std::sync::Arc;

/// What one header costs beside its text: a slot of two boxed strings.
const HEADER_SLOT_BYTES: usize = 32;

const PREFIX: &str = "ce-";
const VERSION: &str = "1.0";
/// What a content type is called among the headers of an event.
const CONTENT_TYPE_NAME: &str = "datacontenttype";

/// How a body holds its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Structured,
    Batch,
    Lines,
    /// The body is the payload.
    Payload,
}

/// What the headers of a request say. What is needed before the body is read is read; the attributes are kept as they
/// came until the body turns out to be a payload.
#[derive(Debug)]
pub(crate) struct Binding<'a> {
    pub(crate) form: Form,
    pub(crate) priority: Option<Priority>,
    /// What the texts of the event will be charged, about.
    pub(crate) text_bytes: u64,
    content_type: Option<&'a HeaderValue>,
    attributes: Attributes<'a>,
}

/// The `ce-` headers of one request, neither decoded nor checked.
#[derive(Debug, Default)]
struct Attributes<'a> {
    version: Option<&'a HeaderValue>,
    id: Option<&'a HeaderValue>,
    topic: Option<&'a HeaderValue>,
    source: Option<&'a HeaderValue>,
    time: Option<&'a HeaderValue>,
    correlation_id: Option<&'a HeaderValue>,
    causation_id: Option<&'a HeaderValue>,
    extensions: Vec<(&'a HeaderName, &'a HeaderValue)>,
    /// An attribute that was given twice.
    repeated: Option<&'a HeaderName>,
}

/// What a plain body is about, and where it comes from, when its headers do not say.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    pub(crate) topic: Topic,
    pub(crate) source: Arc<str>,
}

/// Headers that are wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// The body has a form that we do not read.
    Unsupported(String),
    /// One of them is not what it should be.
    Invalid { field: String, message: String },
}

// === impl Binding ===

impl<'a> Binding<'a> {
    /// Reads the headers, in one pass; `priority_header` names the one that carries a priority.
    pub(crate) fn read(
        headers: &'a HeaderMap,
        priority_header: &HeaderName,
    ) -> Result<Self, HeaderError> {
        let mut this = Self {
            form: Form::Payload,
            priority: None,
            text_bytes: 0,
            content_type: None,
            attributes: Attributes::default(),
        };
        let mut own_priority = None;
        for (name, value) in headers {
            if name == CONTENT_TYPE {
                this.form = form_of(value)?;
                this.content_type = Some(value);
                this.count(CONTENT_TYPE_NAME, value);
            } else if name == priority_header {
                this.priority = Some(priority_of(name, value)?);
            } else if name == CONTENT_ENCODING
                && !value.as_bytes().eq_ignore_ascii_case(b"identity")
            {
                let encoding = value.to_str().unwrap_or("?");
                return Err(HeaderError::Unsupported(format!(
                    "content encoding {encoding:.32} is not read, send it plain"
                )));
            } else if let Some(attribute) = name.as_str().strip_prefix(PREFIX) {
                this.count(attribute, value);
                if attribute == "relaypriority" {
                    own_priority = Some(priority_of(name, value)?);
                } else {
                    this.attributes.keep(name, attribute, value);
                }
            }
        }
        this.priority = this.priority.or(own_priority);
        Ok(this)
    }

    /// The `ce-source` header, as it came.
    pub(crate) fn source(&self) -> Option<&'a HeaderValue> {
        self.attributes.source
    }

    /// Topic and source of the event whose payload is the body. One that is no text is empty here and refused later.
    pub(crate) fn names<'b>(
        &self,
        query: Option<&str>,
        defaults: &'b Defaults,
    ) -> (Cow<'b, str>, Cow<'b, str>)
    where
        'a: 'b,
    {
        let text = |value| text_of("", value).unwrap_or_default();
        let topic = match (self.attributes.topic, query.and_then(topic_of)) {
            (Some(value), _) => text(value),
            (None, Some(topic)) => Cow::Owned(topic),
            (None, None) => Cow::Borrowed(defaults.topic.as_str()),
        };
        let source = self.attributes.source.map(text);
        (topic, source.unwrap_or(Cow::Borrowed(&defaults.source)))
    }

    fn count(&mut self, name: &str, value: &HeaderValue) {
        self.text_bytes += (name.len() + value.len() + HEADER_SLOT_BYTES) as u64;
    }

    /// Starts the event whose payload is the body.
    pub(crate) fn event(
        &self,
        query: Option<&str>,
        defaults: &Defaults,
        recent: &mut Recent,
    ) -> Result<EventBuilder, HeaderError> {
        let given = &self.attributes;
        given.check()?;
        let topic = match (given.topic, query.and_then(topic_of)) {
            (Some(value), _) => recent.topic(value)?,
            (None, Some(text)) => topic("topic", &text)?,
            (None, None) => defaults.topic.clone(),
        };
        let source = match given.source {
            Some(value) => recent.source(value)?,
            None => Arc::clone(&defaults.source),
        };
        let mut builder = Event::builder(topic)
            .source(source)
            .priority(self.priority.unwrap_or_default());
        if let Some(id) = given.id {
            let id = text_of("ce-id", id)?.parse::<EventId>();
            builder = builder.id(id.map_err(|error| invalid("ce-id", error.to_string()))?);
        }
        if let Some(time) = given.time {
            let time = parse_time(&text_of("ce-time", time)?).ok_or_else(|| {
                invalid(
                    "ce-time",
                    "not an RFC 3339 time such as 2026-11-21T04:15:00Z",
                )
            })?;
            builder = builder.time(time);
        }
        if let Some(id) = given.correlation_id {
            builder = builder.correlation_id(text_of("ce-correlationid", id)?);
        }
        if let Some(id) = given.causation_id {
            builder = builder.causation_id(text_of("ce-causationid", id)?);
        }
        if let Some(value) = self.content_type
            && given.extensions.is_empty()
        {
            return Ok(builder.headers(recent.content_type(value)?));
        }
        for (header, value) in &given.extensions {
            let name = &header.as_str()[PREFIX.len()..];
            builder = builder.header(name, text_of(header.as_str(), value)?);
        }
        if let Some(value) = self.content_type {
            builder = builder.header(CONTENT_TYPE_NAME, text_of(CONTENT_TYPE.as_str(), value)?);
        }
        Ok(builder)
    }
}

fn form_of(value: &HeaderValue) -> Result<Form, HeaderError> {
    let essence = value
        .as_bytes()
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    let essence = essence.trim_ascii();
    let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
    if is("application/cloudevents+json") {
        Ok(Form::Structured)
    } else if is("application/cloudevents-batch+json") {
        Ok(Form::Batch)
    } else if is("application/x-ndjson") || is("application/ndjson") || is("application/jsonl") {
        Ok(Form::Lines)
    } else if essence
        .get(..23)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"application/cloudevents"))
    {
        let essence = String::from_utf8_lossy(essence);
        Err(HeaderError::Unsupported(format!(
            "CloudEvents are read as JSON, not as {essence:.64}"
        )))
    } else {
        Ok(Form::Payload)
    }
}

/// What comes from outside is never [`Priority::Control`].
fn priority_of(name: &HeaderName, value: &HeaderValue) -> Result<Priority, HeaderError> {
    let priority = text_of(name.as_str(), value)?.parse::<Priority>();
    priority
        .map(|priority| priority.min(Priority::High))
        .map_err(|error| invalid(name.as_str(), error.to_string()))
}

/// The value of `topic` in a query, with `%XX` and `+` decoded.
fn topic_of(query: &str) -> Option<String> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("topic="))?;
    Some(String::from_utf8_lossy(&percent_decoded(value.replace('+', " ").as_bytes())).into_owned())
}

// === impl Attributes ===

impl<'a> Attributes<'a> {
    fn keep(&mut self, header: &'a HeaderName, attribute: &str, value: &'a HeaderValue) {
        let slot = match attribute {
            "specversion" => &mut self.version,
            "id" => &mut self.id,
            "type" => &mut self.topic,
            "source" => &mut self.source,
            "time" => &mut self.time,
            "correlationid" => &mut self.correlation_id,
            "causationid" => &mut self.causation_id,
            // Said by Content-Type.
            CONTENT_TYPE_NAME => return,
            _ => return self.extensions.push((header, value)),
        };
        if slot.replace(value).is_some() {
            self.repeated = Some(header);
        }
    }

    /// What claims to be a `CloudEvents` message has to be of a version that is known, with the required attributes.
    fn check(&self) -> Result<(), HeaderError> {
        if let Some(header) = self.repeated {
            return Err(invalid(header.as_str(), "given twice"));
        }
        let Some(version) = self.version else {
            return Ok(());
        };
        if version != VERSION {
            let text = text_of("ce-specversion", version)?;
            if text != VERSION {
                let message = format!("version {text:.16?} is not known, only {VERSION:?} is");
                return Err(invalid("ce-specversion", message));
            }
        }
        let missing = [
            ("ce-id", self.id.is_none()),
            ("ce-source", self.source.is_none()),
            ("ce-type", self.topic.is_none()),
        ];
        match missing.into_iter().find(|(_, missing)| *missing) {
            Some((name, _)) => Err(invalid(name, "required and missing")),
            None => Ok(()),
        }
    }
}

fn topic(field: &str, text: &str) -> Result<Topic, HeaderError> {
    Topic::new(text).map_err(|error| invalid(field, error.to_string()))
}

fn source(text: &str) -> Result<Arc<str>, HeaderError> {
    if text.is_empty() || text.len() > MAX_SOURCE_BYTES {
        let bytes = text.len();
        return Err(invalid(
            "ce-source",
            format!("must have 1 to {MAX_SOURCE_BYTES} bytes, has {bytes}"),
        ));
    }
    Ok(text.into())
}

/// The text of a header, with `%XX` decoded.
fn text_of<'a>(name: &str, value: &'a HeaderValue) -> Result<Cow<'a, str>, HeaderError> {
    // Printable ASCII, as nearly every value is, costs one look at each byte instead of three.
    if let Ok(text) = value.to_str()
        && !text.contains('%')
    {
        return Ok(Cow::Borrowed(text));
    }
    let not_text = |_| invalid(name, "not UTF-8");
    match percent_decoded(value.as_bytes()) {
        Cow::Borrowed(bytes) => str::from_utf8(bytes).map(Cow::Borrowed).map_err(not_text),
        Cow::Owned(bytes) => {
            let text = String::from_utf8(bytes).map_err(|error| not_text(error.utf8_error()))?;
            Ok(Cow::Owned(text))
        }
    }
}

/// `%XX` decoded; a `%` that is not followed by two hexadecimal digits stays as it is.
fn percent_decoded(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        match after {
            [high, low, after @ ..] if *first == b'%' => {
                if let (Some(high), Some(low)) = (digit(*high), digit(*low)) {
                    decoded.push(high << 4 | low);
                    rest = after;
                    continue;
                }
            }
            _ => {}
        }
        decoded.push(*first);
        rest = after;
    }
    Cow::Owned(decoded)
}

fn invalid(field: &str, message: impl Into<String>) -> HeaderError {
    HeaderError::Invalid {
        field: field.to_owned(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests;
