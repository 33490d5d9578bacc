//! What the last event of a connection said. Senders repeat their type, source and content type with each event: what
//! was decoded, checked and set aside once is then shared instead of made anew.

use super::{CONTENT_TYPE_NAME, HeaderError, source, text_of, topic};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use relay_event::{Headers, Topic};
use std::sync::Arc;

/// Longer texts are not kept: a connection that does nothing must not hold much.
const MAX_BYTES: usize = 256;

/// What the last event of a connection said.
///
/// Only a text that was written as it is, without `%XX`, is kept: a value that is equal to it then means it.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    topic: Option<Topic>,
    source: Option<Arc<str>>,
    /// Nothing, or the content type alone.
    headers: Headers,
}

impl Recent {
    pub(super) fn topic(&mut self, value: &HeaderValue) -> Result<Topic, HeaderError> {
        if let Some(known) = &self.topic
            && value == known.as_str()
        {
            return Ok(known.clone());
        }
        let text = text_of("ce-type", value)?;
        let topic = topic("ce-type", &text)?;
        self.topic = keeps(value, &text).then(|| topic.clone());
        Ok(topic)
    }

    pub(super) fn source(&mut self, value: &HeaderValue) -> Result<Arc<str>, HeaderError> {
        if let Some(known) = &self.source
            && value == &**known
        {
            return Ok(Arc::clone(known));
        }
        let text = text_of("ce-source", value)?;
        let source = source(&text)?;
        self.source = keeps(value, &text).then(|| Arc::clone(&source));
        Ok(source)
    }

    /// The headers of an event that has its content type and no extension.
    pub(super) fn content_type(&mut self, value: &HeaderValue) -> Result<Headers, HeaderError> {
        if let Some(known) = self.headers.get(CONTENT_TYPE_NAME)
            && value == known
        {
            return Ok(self.headers.clone());
        }
        let text = text_of(CONTENT_TYPE.as_str(), value)?;
        let is_kept = keeps(value, &text);
        let headers = Headers::from_iter([(CONTENT_TYPE_NAME, text)]);
        self.headers = if is_kept {
            headers.clone()
        } else {
            Headers::default()
        };
        Ok(headers)
    }
}

fn keeps(value: &HeaderValue, text: &str) -> bool {
    value == text && text.len() <= MAX_BYTES
}
