//! Text that must be something: an address, a path, a URL, a header's name.

use std::net::SocketAddr;
use std::path::PathBuf;

use hyper::header::HeaderName;
use relay_event::{Topic, TopicError};
use relay_http::FairBy;

use super::{Kind, not_a};
use crate::config::raw::{RawValue, quoted};
use crate::config::secret::{TargetUrl, mask_userinfo};

/// Longest text of any field, in bytes: that of a path on Linux.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;

/// Text that a function turns into a value, or says why not.
pub(crate) struct Parsed<T> {
    pub(crate) parse: fn(&str) -> Result<T, String>,
    pub(crate) print: fn(&T) -> String,
    pub(crate) allowed: &'static str,
}

impl<T> Kind for Parsed<T> {
    type Value = T;

    fn read(&self, raw: &RawValue) -> Result<T, String> {
        let text = raw.text().ok_or_else(|| not_a("a string", raw))?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("longer than {TEXT_BYTES_MAX} bytes"));
        }
        (self.parse)(text)
    }

    fn show(&self, value: &T) -> String {
        literal(&(self.print)(value))
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }

    fn show_wrong(&self, raw: &RawValue) -> String {
        raw.text()
            .map_or_else(|| raw.to_string(), |text| quoted(&mask_userinfo(text)))
    }
}

/// An IP address and port to listen on.
pub(crate) const fn address() -> Parsed<SocketAddr> {
    Parsed {
        parse: |text| {
            text.parse()
                .map_err(|_| "not an IP address with a port".to_owned())
        },
        print: SocketAddr::to_string,
        allowed: "IP:PORT such as 127.0.0.1:8080 or [::1]:8080, port 0 for any free one",
    }
}

/// A file to write.
pub(crate) const fn file_path() -> Parsed<PathBuf> {
    Parsed {
        parse: |text| match text {
            "" => Err("the path is empty".to_owned()),
            text if text.contains('\0') => Err("the path holds a NUL".to_owned()),
            text if text.ends_with('/') => Err("this names a directory, not a file".to_owned()),
            text => Ok(PathBuf::from(text)),
        },
        print: |path| path.display().to_string(),
        allowed: "the path of a file",
    }
}

/// A folder, which is made when it is missing.
pub(crate) const fn directory_path() -> Parsed<PathBuf> {
    Parsed {
        parse: |text| match text {
            "" => Err("the path is empty".to_owned()),
            text if text.contains('\0') => Err("the path holds a NUL".to_owned()),
            text => Ok(PathBuf::from(text)),
        },
        print: |path| path.display().to_string(),
        allowed: "the path of a folder",
    }
}

/// The path part of a URL that requests come in on.
pub(crate) const fn url_path() -> Parsed<String> {
    Parsed {
        parse: |text| {
            let is_plain = |c: char| c.is_ascii_graphic() && !"?#{}*\"<>\\^`|".contains(c);
            if text.starts_with('/') && text.chars().all(is_plain) {
                Ok(text.to_owned())
            } else {
                Err("not the path of a URL".to_owned())
            }
        },
        print: String::clone,
        allowed: "a path such as /v1/events, without query or wildcard",
    }
}

/// Where an HTTP emitter sends.
pub(crate) const fn target_url() -> Parsed<TargetUrl> {
    Parsed {
        parse: |text| text.parse().map_err(str::to_owned),
        print: TargetUrl::to_string,
        allowed: "a URL such as http://127.0.0.1:9000/events",
    }
}

/// The name of an HTTP header.
pub(crate) const fn header_name() -> Parsed<HeaderName> {
    Parsed {
        parse: |text| {
            text.parse()
                .map_err(|_| "not the name of a header".to_owned())
        },
        print: HeaderName::to_string,
        allowed: "a header name such as x-relay-priority",
    }
}

/// What tells one source from another.
pub(crate) const fn fair_by() -> Parsed<FairBy> {
    Parsed {
        parse: |text| match (text, text.split_once(':')) {
            ("source", _) => Ok(FairBy::Source),
            ("peer", _) => Ok(FairBy::Peer),
            ("none", _) => Ok(FairBy::Nothing),
            (_, Some(("header", name))) => name
                .parse::<HeaderName>()
                .map(|name| FairBy::Header(name.to_string()))
                .map_err(|_| "not the name of a header".to_owned()),
            _ => Err("no such choice".to_owned()),
        },
        print: |key| match key {
            FairBy::Header(name) => format!("header:{name}"),
            FairBy::Peer => "peer".to_owned(),
            FairBy::Nothing => "none".to_owned(),
            _ => "source".to_owned(),
        },
        allowed: "\"source\", \"peer\", \"none\", or a header such as \"header:x-tenant\"",
    }
}

/// A topic, or a source, which follows the same rules here.
pub(crate) const fn name() -> Parsed<String> {
    Parsed {
        parse: |text| {
            let topic = Topic::new(text).map_err(|error| match error {
                TopicError::Empty => "must not be empty",
                TopicError::TooLong(_) => "too long",
                _ => "holds a control character",
            })?;
            Ok(topic.as_str().to_owned())
        },
        print: String::clone,
        allowed: "1 to 255 bytes of text",
    }
}

/// A TOML string literal. JSON's escapes are a subset of TOML's.
pub(crate) fn literal(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}
