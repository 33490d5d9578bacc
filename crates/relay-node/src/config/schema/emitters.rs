//! `[emitters.<id>]`: where events go.

use std::path::PathBuf;
use std::time::Duration;

use hyper::HeaderMap;

use super::actuators::Queue;
use super::breaker::Breaker;
use super::subscription::Subscription;
use crate::config::kind::list::Headers;
use crate::config::kind::number::{Number, Within, within};
use crate::config::kind::text::{file_path, target_url};
use crate::config::kind::{Choice, Kind, NoneOr};
use crate::config::raw::RawValue;
use crate::config::reader::Section;
use crate::config::secret::TargetUrl;
use crate::units::{ByteRate, ByteSize};

/// One way out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Emitter {
    /// What it subscribes to, and how it is queued.
    pub subscription: Subscription,
    /// When to stop trying for a while.
    pub breaker: Breaker,
    /// What it does with the events.
    pub target: Target,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// `kind = "file"`
    File(FileTarget),
    /// `kind = "stdout"`
    Stdout,
    /// `kind = "http"`
    Http(Box<HttpTarget>),
    /// `kind = "blackhole"`: consumes so many bytes per second, or all at once.
    Blackhole {
        /// The capacity; `None` is as fast as can be.
        rate: Option<ByteRate>,
    },
}

/// A file of one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileTarget {
    /// The file; rotated ones get a number.
    pub path: PathBuf,
    /// When it is made durable.
    pub fsync: Fsync,
    /// Size at which it is rotated.
    pub rotate: ByteSize,
    /// How many rotated files are kept.
    pub keep: usize,
}

/// When a file is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// When the kernel likes.
    Never,
    /// After every batch, before it counts as delivered.
    Batch,
    /// So often.
    Interval(Duration),
}

/// An HTTP server to post to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HttpTarget {
    /// Where to.
    pub url: TargetUrl,
    /// Longest time for one attempt.
    pub timeout: Duration,
    /// How often a batch is tried before it is dropped; `None` tries until it is delivered.
    pub attempts: Option<u32>,
    /// First wait between attempts.
    pub backoff_initial: Duration,
    /// Longest wait between attempts.
    pub backoff_max: Duration,
    /// Most requests on their way at once.
    pub in_flight: usize,
    /// Fewest that the node may go down to when memory is short or there is little to send.
    pub in_flight_min: usize,
    /// Headers of every request; marked sensitive.
    pub headers: HeaderMap,
    /// How the events are written.
    pub format: HttpFormat,
}

/// How an HTTP emitter writes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFormat {
    /// A `CloudEvents` batch, `application/cloudevents-batch+json`.
    Batch,
    /// One JSON object a line, `application/x-ndjson`.
    Ndjson,
}

#[derive(Clone, Copy, PartialEq)]
enum TargetKind {
    File,
    Stdout,
    Http,
    Blackhole,
}

/// Reads `fsync`: two words, or how often.
struct FsyncKind(Within<Duration>);

const KINDS: Choice<TargetKind> = Choice(&[
    ("file", TargetKind::File),
    ("stdout", TargetKind::Stdout),
    ("http", TargetKind::Http),
    ("blackhole", TargetKind::Blackhole),
]);
const FORMATS: Choice<HttpFormat> =
    Choice(&[("batch", HttpFormat::Batch), ("ndjson", HttpFormat::Ndjson)]);

const TIB: ByteSize = ByteSize::from_mib(1 << 20);
const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

impl Emitter {
    pub(super) fn read(id: &str, s: &mut Section<'_, '_>, queue: &Queue) -> Option<Self> {
        let kind = s.kind(id, &KINDS, "where events go");
        let subscription = Subscription::read(s, queue);
        let breaker = s.section("breaker", Breaker::read);
        let target = match kind? {
            TargetKind::File => Target::File(FileTarget::read(s)),
            TargetKind::Stdout => Target::Stdout,
            TargetKind::Http => Target::Http(Box::new(HttpTarget::read(s)?)),
            TargetKind::Blackhole => Target::read_blackhole(s),
        };
        Some(Self {
            subscription,
            breaker,
            target,
        })
    }
}

impl Target {
    fn read_blackhole(s: &mut Section<'_, '_>) -> Self {
        let rates = within(
            ByteRate::from_bytes_per_second(1),
            ByteRate::from_bytes_per_second(TIB.bytes()),
        );
        Self::Blackhole {
            rate: s.read("rate", &NoneOr(rates), None, "payload bytes a second"),
        }
    }
}

impl FileTarget {
    fn read(s: &mut Section<'_, '_>) -> Self {
        Self {
            path: s.read(
                "path",
                &file_path(),
                "events.ndjson".into(),
                "file to append to",
            ),
            fsync: s.read(
                "fsync",
                &FsyncKind(within(MILLISECOND, HOUR)),
                Fsync::Never,
                "when the file is made durable",
            ),
            rotate: s.read(
                "rotate",
                &within(ByteSize::from_kib(4), TIB),
                ByteSize::from_mib(64),
                "size at which the file is rotated",
            ),
            keep: s.read("keep", &within(1, 1000), 4, "rotated files that are kept"),
        }
    }
}

impl HttpTarget {
    fn read(s: &mut Section<'_, '_>) -> Option<Self> {
        let wait = within(MILLISECOND, HOUR);
        let url = s.required("url", &target_url(), "where to post");
        let in_flight = s.read("in_flight", &within(1, 1024), 4, "requests at once");
        let backoff_initial = s.read(
            "backoff_initial",
            &wait,
            Duration::from_millis(200),
            "first wait between attempts",
        );
        Some(Self {
            timeout: s.read("timeout", &wait, Duration::from_secs(10), "longest attempt"),
            attempts: s.read(
                "attempts",
                &NoneOr(within(1, 1000)),
                None,
                "how often a batch is tried before it is dropped",
            ),
            backoff_initial,
            backoff_max: s.read(
                "backoff_max",
                &wait,
                backoff_initial.max(Duration::from_secs(10)),
                "longest wait between attempts",
            ),
            in_flight,
            in_flight_min: s.read(
                "in_flight_min",
                &within(1, 1024),
                in_flight.min(2),
                "fewest requests at once, when memory is short or there is little to send",
            ),
            headers: s.read(
                "headers",
                &Headers,
                HeaderMap::new(),
                "headers of every request",
            ),
            format: s.read(
                "format",
                &FORMATS,
                HttpFormat::Batch,
                "how events are written",
            ),
            // Last: a missing URL must not hide mistakes in the other fields.
            url: url?,
        })
    }
}

impl Kind for FsyncKind {
    type Value = Fsync;

    fn read(&self, raw: &RawValue) -> Result<Fsync, String> {
        match raw.text() {
            Some("never") => Ok(Fsync::Never),
            Some("batch") => Ok(Fsync::Batch),
            _ => self.0.read(raw).map(Fsync::Interval),
        }
    }

    fn show(&self, value: &Fsync) -> String {
        match value {
            Fsync::Never => "\"never\"".to_owned(),
            Fsync::Batch => "\"batch\"".to_owned(),
            Fsync::Interval(interval) => interval.literal(),
        }
    }

    fn allowed(&self) -> String {
        format!("\"never\", \"batch\", or {}", self.0.allowed())
    }
}
