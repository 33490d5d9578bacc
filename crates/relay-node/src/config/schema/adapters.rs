//! `[adapters.<id>]`: where events come in.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hyper::header::HeaderName;
use relay_http::{FairBy, PriorityRule};

use crate::adapters::LineFormat;
use crate::config::kind::number::within;
use crate::config::kind::rules::PriorityRules;
use crate::config::kind::text::{address, fair_by, header_name, name, url_path};
use crate::config::kind::{Auto, AutoOr, Choice, Switch};
use crate::config::reader::Section;
use crate::units::ByteSize;

/// One way in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Adapter {
    /// Whether the node starts, and goes on to try, when this one cannot start.
    pub optional: bool,
    /// What it listens to.
    pub source: Source,
}

/// What events come in over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// `kind = "http"`
    Http(HttpAdapter),
    /// `kind = "tcp"`
    Tcp(TcpAdapter),
}

/// Lines over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpAdapter {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What a line is.
    pub format: LineFormat,
    /// Longest line.
    pub max_line: ByteSize,
    /// Most connections at once; `Auto` derives it from the memory limit.
    pub max_connections: Auto<usize>,
    /// How long a connection may stay without a complete line.
    pub idle_timeout: Duration,
    /// Source of events that name none.
    pub source: String,
    /// Topic of events that name none.
    pub topic: String,
}

/// An HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpAdapter {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The path that takes events.
    pub path: String,
    /// Largest body.
    pub max_body: ByteSize,
    /// Most connections at once; `Auto` derives it from the limits on memory and descriptors.
    pub max_connections: Auto<usize>,
    /// Longest time for a whole request, body included.
    pub request_timeout: Duration,
    /// Longest time for its headers.
    pub header_timeout: Duration,
    /// How long a connection may stay without a request.
    pub idle_timeout: Duration,
    /// Source of events that name none.
    pub source: String,
    /// Topic of events that name none.
    pub topic: String,
    /// Header that senders state a priority in, up to high.
    pub priority_header: HeaderName,
    /// Priorities by topic and source; the first rule that matches counts, whatever a sender says.
    pub priority: Vec<PriorityRule>,
    /// By what sources are told apart.
    pub fair_by: FairBy,
}

#[derive(Clone, Copy, PartialEq)]
enum AdapterKind {
    Http,
    Tcp,
}

const KINDS: Choice<AdapterKind> =
    Choice(&[("http", AdapterKind::Http), ("tcp", AdapterKind::Tcp)]);
const FORMATS: Choice<LineFormat> =
    Choice(&[("json", LineFormat::Json), ("text", LineFormat::Text)]);
const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

impl Adapter {
    pub(super) fn read(id: &str, s: &mut Section<'_, '_>) -> Option<Self> {
        let kind = s.kind(id, &KINDS, "how events come in");
        let optional = s.read(
            "optional",
            &Switch,
            false,
            "start without it, and try again until it starts",
        );
        let source = match kind? {
            AdapterKind::Http => Source::Http(HttpAdapter::read(s)),
            AdapterKind::Tcp => Source::Tcp(TcpAdapter::read(s)),
        };
        Some(Self { optional, source })
    }

    /// Where it listens.
    pub(crate) fn listen(&self) -> SocketAddr {
        match &self.source {
            Source::Http(http) => http.listen,
            Source::Tcp(tcp) => tcp.listen,
        }
    }
}

impl TcpAdapter {
    fn read(s: &mut Section<'_, '_>) -> Self {
        Self {
            listen: s.read(
                "listen",
                &address(),
                SocketAddr::from((Ipv4Addr::LOCALHOST, 8090)),
                "where it listens",
            ),
            format: s.read("format", &FORMATS, LineFormat::Json, "what a line is"),
            max_line: s.read(
                "max_line",
                &within(ByteSize::from_bytes(1), ByteSize::from_mib(64)),
                ByteSize::from_kib(64),
                "longest line, longer ones are refused",
            ),
            max_connections: s.read(
                "max_connections",
                &AutoOr(within(1, 1 << 20)),
                Auto::Auto,
                "most connections at once",
            ),
            idle_timeout: s.read(
                "idle_timeout",
                &within(MILLISECOND, HOUR),
                Duration::from_mins(1),
                "how long a connection may stay without a complete line",
            ),
            source: s.read(
                "source",
                &name(),
                "relay/tcp".to_owned(),
                "source of unnamed events",
            ),
            topic: s.read(
                "topic",
                &name(),
                "event".to_owned(),
                "topic of unnamed events",
            ),
        }
    }
}

impl HttpAdapter {
    fn read(s: &mut Section<'_, '_>) -> Self {
        let timeout = within(MILLISECOND, HOUR);
        let request_timeout = s.read(
            "request_timeout",
            &timeout,
            Duration::from_secs(30),
            "longest time for a whole request",
        );
        Self {
            listen: s.read(
                "listen",
                &address(),
                SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
                "where it listens",
            ),
            path: s.read(
                "path",
                &url_path(),
                "/v1/events".to_owned(),
                "path that takes events",
            ),
            max_body: s.read(
                "max_body",
                &within(ByteSize::from_bytes(1), ByteSize::from_mib(1024)),
                ByteSize::from_mib(1),
                "largest body, larger ones get 413",
            ),
            max_connections: s.read(
                "max_connections",
                &AutoOr(within(1, 1 << 20)),
                Auto::Auto,
                "most connections at once",
            ),
            request_timeout,
            header_timeout: s.read(
                "header_timeout",
                &timeout,
                request_timeout.min(Duration::from_secs(10)),
                "longest time for a request's headers",
            ),
            idle_timeout: s.read(
                "idle_timeout",
                &timeout,
                Duration::from_mins(1),
                "how long a connection may stay without a request",
            ),
            source: s.read(
                "source",
                &name(),
                "relay/http".to_owned(),
                "source of unnamed events",
            ),
            topic: s.read(
                "topic",
                &name(),
                "event".to_owned(),
                "topic of unnamed events",
            ),
            priority_header: s.read(
                "priority_header",
                &header_name(),
                HeaderName::from_static("x-relay-priority"),
                "header that states a priority, up to high",
            ),
            priority: s.read(
                "priority",
                &PriorityRules,
                Vec::new(),
                "priorities by topic and source, above what senders say",
            ),
            fair_by: s.read(
                "fair_by",
                &fair_by(),
                FairBy::Source,
                "what tells sources apart that share what can be admitted",
            ),
        }
    }
}
