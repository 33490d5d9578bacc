//! What can be set, and what is checked before the server exists.

use super::importance::{PriorityRule, Rules};
use super::sender::{FairBy, Key};
use crate::InvalidConfig;
use crate::cloudevents::Defaults;
use http::HeaderName;
use relay_engine::PoolBounds;
use relay_event::Topic;
use relay_event::codec::MAX_SOURCE_BYTES;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Settings of an [`HttpServer`](super::HttpServer). The defaults are for small events from senders on the same host.
///
/// A connection costs up to two buffers of `max_header_bytes`, and up to 1 KiB of texts that its last event said, beside
/// what the ledger counts: memory for `max_connections` of them has to be there.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpServerConfig {
    /// Where to listen: 127.0.0.1:8080. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where events are posted: `/v1/events`.
    pub path: String,
    /// What a plain body is about when the sender does not say: `event`.
    pub default_topic: String,
    /// Where an event comes from when the sender does not say: `/http`.
    pub default_source: String,
    /// The header that carries a priority: `x-relay-priority`.
    pub priority_header: String,
    /// How few and how many requests may be worked on at once: 2 to 8. Only decoding and publishing is such work; bodies
    /// are read beside it, so that slow senders hold nobody up. More than the runtime has threads change nothing.
    pub workers: PoolBounds,
    /// Priorities by topic and source, which count more than what a sender says; the first rule that matches: none.
    pub priority_rules: Vec<PriorityRule>,
    /// By what sources are told apart, so that none gets more than its share: by `ce-source`.
    pub fair_by: FairBy,
    /// The longest body: 1 MiB.
    pub max_body_bytes: u64,
    /// The most events of one request: 4096.
    pub max_batch_events: usize,
    /// The most connections at once: 1024. While there are so many nothing is accepted, and those who come wait in
    /// the kernel's backlog (1024 more) until one ends.
    pub max_connections: usize,
    /// The most headers of a request: 64 (100 can be had at most).
    pub max_headers: usize,
    /// The longest head of a request, request line and headers together: 16 KiB.
    pub max_header_bytes: usize,
    /// The longest path and query: 8 KiB.
    pub max_uri_bytes: usize,
    /// How long a head may take, from its first byte to its last: 10 s.
    pub header_timeout: Duration,
    /// How long a body may take: 30 s. The same holds for an answer that the sender does not read.
    pub request_timeout: Duration,
    /// How long a connection may do nothing between two requests: 60 s, and up to a quarter more.
    pub idle_timeout: Duration,
    /// The pace of a body is judged over this time: 5 s.
    pub pace_window: Duration,
    /// A body that comes with fewer bytes a second over a whole window is ended: 1024.
    pub min_bytes_per_second: u64,
}

/// A configuration that was checked, and what was made of it.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub(super) config: HttpServerConfig,
    pub(super) defaults: Defaults,
    pub(super) priority_header: HeaderName,
    pub(super) priority_rules: Rules,
    pub(super) fair_by: Key,
}

impl Default for HttpServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            path: "/v1/events".to_owned(),
            default_topic: "event".to_owned(),
            default_source: "/http".to_owned(),
            priority_header: "x-relay-priority".to_owned(),
            workers: PoolBounds::default(),
            priority_rules: Vec::new(),
            fair_by: FairBy::default(),
            max_body_bytes: 1 << 20,
            max_batch_events: 4096,
            max_connections: 1024,
            max_headers: 64,
            max_header_bytes: 16 << 10,
            max_uri_bytes: 8 << 10,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(1),
            pace_window: Duration::from_secs(5),
            min_bytes_per_second: 1024,
        }
    }
}

impl HttpServerConfig {
    /// Checks every field and every relation between them.
    pub(super) fn checked(self) -> Result<Checked, InvalidConfig> {
        self.check_path()?;
        self.check_counts()?;
        self.check_times()?;
        let topic = Topic::new(&self.default_topic).map_err(|_| {
            let allowed = "1 to 255 bytes without control characters";
            InvalidConfig::new("default_topic", &self.default_topic, allowed)
        })?;
        let priority_header = self.priority_header.parse().map_err(|_| {
            InvalidConfig::new(
                "priority_header",
                &self.priority_header,
                "the name of an HTTP header",
            )
        })?;
        let source = self.default_source.as_str();
        if source.is_empty() || source.len() > MAX_SOURCE_BYTES {
            return Err(InvalidConfig::new(
                "default_source",
                source,
                "1 to 2048 bytes",
            ));
        }
        let defaults = Defaults {
            topic,
            source: source.into(),
        };
        Ok(Checked {
            priority_rules: Rules::compile(&self.priority_rules)?,
            fair_by: self.fair_by.checked()?,
            config: self,
            defaults,
            priority_header,
        })
    }

    fn check_path(&self) -> Result<(), InvalidConfig> {
        if self.path.starts_with('/') && !self.path.contains(['?', '#', ' ']) {
            return Ok(());
        }
        let allowed = "a path begins with / and has no query, such as /v1/events";
        Err(InvalidConfig::new("path", &self.path, allowed))
    }

    fn check_counts(&self) -> Result<(), InvalidConfig> {
        // hyper has room for 100 headers without an allocation for each request, and buffers of 8 KiB at least.
        let max_uri = self.max_header_bytes as u64;
        for (field, value, min, max, allowed) in [
            (
                "max_body_bytes",
                self.max_body_bytes,
                1,
                1 << 30,
                "1 byte to 1 GiB",
            ),
            (
                "max_batch_events",
                self.max_batch_events as u64,
                1,
                1 << 20,
                "1 to 1048576",
            ),
            (
                "max_connections",
                self.max_connections as u64,
                1,
                1 << 20,
                "1 to 1048576",
            ),
            ("max_headers", self.max_headers as u64, 1, 100, "1 to 100"),
            (
                "max_header_bytes",
                max_uri,
                8 << 10,
                1 << 20,
                "8 KiB to 1 MiB",
            ),
            (
                "max_uri_bytes",
                self.max_uri_bytes as u64,
                1,
                max_uri,
                "1 byte to max_header_bytes",
            ),
        ] {
            if !(min..=max).contains(&value) {
                return Err(InvalidConfig::new(field, value, allowed));
            }
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), InvalidConfig> {
        for (field, value) in [
            ("header_timeout", self.header_timeout),
            ("request_timeout", self.request_timeout),
            ("idle_timeout", self.idle_timeout),
            ("pace_window", self.pace_window),
        ] {
            if !(Duration::from_millis(10)..=Duration::from_hours(24)).contains(&value) {
                return Err(InvalidConfig::new(
                    field,
                    format_args!("{value:?}"),
                    "10 ms to 24 h",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        let field = |change: fn(&mut HttpServerConfig)| {
            let mut config = HttpServerConfig::default();
            change(&mut config);
            config.checked().unwrap_err().field
        };
        assert!(HttpServerConfig::default().checked().is_ok());
        assert_eq!(field(|config| config.path = "events".into()), "path");
        assert_eq!(
            field(|config| config.default_topic = String::new()),
            "default_topic"
        );
        assert_eq!(
            field(|config| config.default_source = String::new()),
            "default_source"
        );
        assert_eq!(
            field(|config| config.priority_header = "a b".into()),
            "priority_header"
        );
        assert_eq!(field(|config| config.max_headers = 101), "max_headers");
        assert_eq!(
            field(|config| config.max_uri_bytes = 17 << 10),
            "max_uri_bytes"
        );
        assert_eq!(
            field(|config| config.idle_timeout = Duration::ZERO),
            "idle_timeout"
        );
    }
}
