//! What can be set, and what is checked before the emitter exists.

use crate::InvalidConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::uri::{Authority, Parts, Scheme};
use http::{HeaderMap, HeaderValue, Uri};
use std::fmt;
use std::time::Duration;

/// How several events make one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchFormat {
    /// A JSON array: `application/cloudevents-batch+json`.
    #[default]
    Batch,
    /// One JSON document a line: `application/x-ndjson`.
    Lines,
}

/// Settings of an [`HttpEmitter`](super::HttpEmitter).
#[derive(Clone, PartialEq)]
pub struct HttpEmitterConfig {
    /// Where to post to: `http` only. `user:password@` in front of the host is sent as basic authentication.
    pub url: String,
    /// How several events make one request: a JSON array.
    pub format: BatchFormat,
    /// How long a request may take, from connecting to the end of the answer: 10 s.
    pub timeout: Duration,
    /// The most requests at once, each with a connection and a buffer of its own: 4. With more than one, order
    /// between batches is not kept.
    pub in_flight: usize,
    /// The longest request: 1 MiB, set aside for each in flight. A batch that is longer makes several requests; one
    /// event that is longer is sent all the same, alone.
    pub max_request_bytes: usize,
    /// Headers of every request; none.
    pub headers: HeaderMap,
}

impl HttpEmitterConfig {
    /// Posts to `url`, with the defaults for everything else.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            format: BatchFormat::default(),
            timeout: Duration::from_secs(10),
            in_flight: 4,
            max_request_bytes: 1 << 20,
            headers: HeaderMap::new(),
        }
    }

    pub(super) fn checked(self) -> Result<Checked, InvalidConfig> {
        let bad = |field, value: &dyn fmt::Display, allowed| {
            Err(InvalidConfig::new(field, value, allowed))
        };
        if !(1..=1024).contains(&self.in_flight) {
            return bad("in_flight", &self.in_flight, "1 to 1024");
        }
        if !((4 << 10)..=(1 << 30)).contains(&self.max_request_bytes) {
            return bad(
                "max_request_bytes",
                &self.max_request_bytes,
                "4 KiB to 1 GiB",
            );
        }
        if !(Duration::from_millis(10)..=Duration::from_hours(1)).contains(&self.timeout) {
            return bad(
                "timeout",
                &format_args!("{:?}", self.timeout),
                "10 ms to 1 h",
            );
        }
        let (uri, authorization) = target_of(&self.url)?;
        Ok(Checked {
            name: masked(&self.url),
            config: self,
            uri,
            authorization,
        })
    }
}

impl fmt::Debug for HttpEmitterConfig {
    /// Masks the password of the URL, and leaves the values of headers out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpEmitterConfig")
            .field("url", &masked(&self.url))
            .field("format", &self.format)
            .field("timeout", &self.timeout)
            .field("in_flight", &self.in_flight)
            .field("max_request_bytes", &self.max_request_bytes)
            .field("headers", &self.headers.keys())
            .finish()
    }
}

/// A configuration that was checked, and what was made of it.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) config: HttpEmitterConfig,
    /// The URL as it may be shown.
    pub(super) name: String,
    /// The URL without user and password.
    pub(super) uri: Uri,
    pub(super) authorization: Option<HeaderValue>,
}

/// The URL to post to, and what its user and password become.
fn target_of(url: &str) -> Result<(Uri, Option<HeaderValue>), InvalidConfig> {
    let bad = |allowed| InvalidConfig::new("url", masked(url), allowed);
    let uri: Uri = url
        .parse()
        .map_err(|_| bad("a URL such as http://host:8080/v1/events"))?;
    if uri.scheme() == Some(&Scheme::HTTPS) {
        return Err(bad(
            "TLS is not spoken here, put a proxy in between and name it with http://",
        ));
    }
    let parts = uri.into_parts();
    let Parts {
        scheme: Some(_),
        authority: Some(authority),
        ..
    } = &parts
    else {
        return Err(bad("a URL such as http://host:8080/v1/events"));
    };
    if parts.scheme != Some(Scheme::HTTP) {
        return Err(bad("a URL that begins with http://"));
    }
    let Some((user, host)) = authority.as_str().rsplit_once('@') else {
        let uri =
            Uri::from_parts(parts).map_err(|_| bad("a URL such as http://host:8080/v1/events"))?;
        return Ok((uri, None));
    };
    let mut authorization = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(user)))
        .map_err(|_| bad("user and password of printable characters"))?;
    authorization.set_sensitive(true);
    let host: Authority = host
        .parse()
        .map_err(|_| bad("a URL such as http://host:8080/v1/events"))?;
    let mut parts = parts;
    parts.authority = Some(host);
    let uri =
        Uri::from_parts(parts).map_err(|_| bad("a URL such as http://host:8080/v1/events"))?;
    Ok((uri, Some(authorization)))
}

/// The URL with user and password hidden, also when it is no URL at all.
fn masked(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://***@{host}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        HttpEmitterConfig::new(url)
            .checked()
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_cannot_work_is_said() {
        assert!(error("https://host/").contains("proxy"));
        for url in ["", "host", "/path", "ftp://host/", "http://"] {
            assert!(error(url).starts_with("url is "), "{url:?}: {}", error(url));
        }
        let config = HttpEmitterConfig {
            in_flight: 0,
            ..HttpEmitterConfig::new("http://host/")
        };
        assert_eq!(config.checked().unwrap_err().field, "in_flight");
    }

    #[test]
    fn a_password_is_sent_and_never_shown() {
        let config = HttpEmitterConfig::new("http://user:secret@host:8080/v1/events");
        assert!(!format!("{config:?}").contains("secret"));
        let checked = config.checked().unwrap();
        assert_eq!(checked.uri.to_string(), "http://host:8080/v1/events");
        assert_eq!(
            checked.authorization.as_ref().unwrap(),
            "Basic dXNlcjpzZWNyZXQ="
        );
        assert!(
            !format!("{checked:?}").contains("dXNl"),
            "nor its encoded form"
        );
        for url in [
            "https://user:secret@host/",
            "user:secret@",
            "http://a:secret@ b/",
        ] {
            assert!(!error(url).contains("secret"), "{}", error(url));
        }
    }
}
