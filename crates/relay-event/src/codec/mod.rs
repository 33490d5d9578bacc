//! Events as bytes, for the edges of a system: the `CloudEvents` 1.0 JSON form, and the payload alone.
//!
//! [`Json`] writes and reads one event as a `CloudEvents` *structured* JSON document; [`Elements`] and [`Lines`] read
//! many, one at a time, from a JSON array (the *batch* form) or from newline-delimited JSON. [`Raw`] is the payload
//! and nothing else. Every mistake is answered with its [place](DecodeError): byte, line, column and attribute.
//!
//! ```
//! use relay_event::codec::{Codec, Json};
//! use relay_event::Event;
//!
//! let event = Event::builder("order.created")
//!     .source("/shop")
//!     .header("datacontenttype", "application/json")
//!     .payload("{\"total\": 12}")
//!     .build()?;
//! let mut line = Vec::new();
//! Json::new().encode(&event, &mut line);
//! let again = Json::new().decode(&line)?.build()?;
//! assert_eq!(again.id(), event.id());
//! assert_eq!(again.payload(), event.payload());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sources
//!
//! `CloudEvents` 1.0.2: core specification, "JSON Event Format" and its batch form; RFC 8259 (JSON), RFC 3339 (time),
//! RFC 4648 (base64).

mod data;
mod decode;
mod encode;
mod error;
mod json;
mod many;
mod name;
mod raw;
mod time;

pub use data::is_json;
pub use error::DecodeError;
pub use json::Json;
pub use many::{Elements, Lines};
pub use raw::Raw;
pub use time::parse_time;

use crate::event::{Event, EventBuilder};

/// The most bytes of an event's source: the ledger charges a fixed overhead for it.
pub const MAX_SOURCE_BYTES: usize = 2048;

/// Writes one event as bytes, and reads it back.
pub trait Codec {
    /// Appends `event` to `out`.
    fn encode(&self, event: &Event, out: &mut Vec<u8>);

    /// Reads one event. What it holds is copied out of `bytes`, so a small event never keeps a large buffer alive.
    ///
    /// # Errors
    ///
    /// When `bytes` are not exactly one event of this form; the error names the place.
    fn decode(&self, bytes: &[u8]) -> Result<EventBuilder, DecodeError>;
}

#[cfg(test)]
mod tests;
