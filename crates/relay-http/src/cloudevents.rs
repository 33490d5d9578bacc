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

/// How a body holds its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Structured,
    Batch,
    Lines,
    /// The body is the payload.
    Payload,
}

/// What the headers of a request say, as far as it is needed before the body is read.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) form: Form,
    pub(crate) priority: Option<Priority>,
    /// What the texts of the event will be charged, about.
    pub(crate) text_bytes: u64,
    has_attributes: bool,
}

/// What a plain body is about, and where it comes from, when its headers do not say.
#[derive(Debug)]
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

impl Binding {
    /// Reads the headers, in one pass; `priority_header` names the one that carries a priority.
    pub(crate) fn read(
        headers: &HeaderMap,
        priority_header: &HeaderName,
    ) -> Result<Self, HeaderError> {
        let mut this = Self {
            form: Form::Payload,
            priority: None,
            text_bytes: 0,
            has_attributes: false,
        };
        let mut own_priority = None;
        for (name, value) in headers {
            if name == CONTENT_TYPE {
                this.form = form_of(value)?;
                this.count("datacontenttype", value);
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
                this.has_attributes = true;
                this.count(attribute, value);
                if attribute == "relaypriority" {
                    own_priority = Some(priority_of(name, value)?);
                }
            }
        }
        this.priority = this.priority.or(own_priority);
        Ok(this)
    }

    fn count(&mut self, name: &str, value: &HeaderValue) {
        self.text_bytes += (name.len() + value.len() + HEADER_SLOT_BYTES) as u64;
    }

    /// Starts the event whose payload is the body.
    pub(crate) fn event(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        defaults: &Defaults,
    ) -> Result<EventBuilder, HeaderError> {
        let attributes = if self.has_attributes {
            Attributes::read(headers)?
        } else {
            Attributes::default()
        };
        let topic = match (attributes.topic, query.and_then(topic_of)) {
            (Some(topic), _) => topic,
            (None, Some(text)) => {
                Topic::new(&text).map_err(|error| invalid("topic", error.to_string()))?
            }
            (None, None) => defaults.topic.clone(),
        };
        let mut builder = Event::builder(&topic)
            .source(
                attributes
                    .source
                    .unwrap_or_else(|| Arc::clone(&defaults.source)),
            )
            .priority(self.priority.unwrap_or_default());
        if let Some(id) = attributes.id {
            let id = id
                .parse::<EventId>()
                .map_err(|error| invalid("ce-id", error.to_string()))?;
            builder = builder.id(id);
        }
        if let Some(time) = attributes.time {
            builder = builder.time(parse_time(&time).ok_or_else(|| {
                invalid(
                    "ce-time",
                    "not an RFC 3339 time such as 2026-11-21T04:15:00Z",
                )
            })?);
        }
        if let Some(id) = attributes.correlation_id {
            builder = builder.correlation_id(id);
        }
        if let Some(id) = attributes.causation_id {
            builder = builder.causation_id(id);
        }
        for (name, value) in attributes.extensions {
            builder = builder.header(name, value);
        }
        match headers.get(CONTENT_TYPE) {
            Some(value) => {
                Ok(builder.header("datacontenttype", text_of(CONTENT_TYPE.as_str(), value)?))
            }
            None => Ok(builder),
        }
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

// === Attributes ===

/// The `ce-` headers of one request.
#[derive(Debug, Default)]
struct Attributes<'a> {
    id: Option<Cow<'a, str>>,
    topic: Option<Topic>,
    source: Option<Arc<str>>,
    time: Option<Cow<'a, str>>,
    correlation_id: Option<Cow<'a, str>>,
    causation_id: Option<Cow<'a, str>>,
    extensions: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Attributes<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, HeaderError> {
        let mut this = Self::default();
        let mut is_binary = false;
        for (header, value) in headers {
            let Some(name) = header.as_str().strip_prefix(PREFIX) else {
                continue;
            };
            let value = text_of(header.as_str(), value)?;
            match name {
                "specversion" if value != "1.0" => {
                    return Err(invalid(
                        header.as_str(),
                        format!("version {value:.16?} is not known, only \"1.0\" is"),
                    ));
                }
                "specversion" => is_binary = true,
                "id" => once(header, &mut this.id, value)?,
                "type" => {
                    let topic = Topic::new(&value)
                        .map_err(|error| invalid(header.as_str(), error.to_string()))?;
                    once(header, &mut this.topic, topic)?;
                }
                "source" if value.is_empty() || value.len() > MAX_SOURCE_BYTES => {
                    return Err(invalid(
                        header.as_str(),
                        format!(
                            "must have 1 to {MAX_SOURCE_BYTES} bytes, has {}",
                            value.len()
                        ),
                    ));
                }
                "source" => once(header, &mut this.source, value.into())?,
                "time" => once(header, &mut this.time, value)?,
                "correlationid" => once(header, &mut this.correlation_id, value)?,
                "causationid" => once(header, &mut this.causation_id, value)?,
                // The first was read with the request, the second is said by Content-Type.
                "relaypriority" | "datacontenttype" => {}
                extension => this.extensions.push((extension, value)),
            }
        }
        if is_binary { this.complete() } else { Ok(this) }
    }

    /// What claims to be a `CloudEvents` message has to have the required attributes.
    fn complete(self) -> Result<Self, HeaderError> {
        let missing = [
            ("ce-id", self.id.is_none()),
            ("ce-source", self.source.is_none()),
            ("ce-type", self.topic.is_none()),
        ];
        match missing.into_iter().find(|(_, missing)| *missing) {
            Some((name, _)) => Err(invalid(name, "required and missing")),
            None => Ok(self),
        }
    }
}

fn once<T>(header: &HeaderName, slot: &mut Option<T>, value: T) -> Result<(), HeaderError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid(header.as_str(), "given twice")),
    }
}

/// The text of a header, with `%XX` decoded.
fn text_of<'a>(name: &str, value: &'a HeaderValue) -> Result<Cow<'a, str>, HeaderError> {
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
