//! `[memory]`, `[psi]`, `[errors]`, `[log]`, `[admin]`, `[shutdown]` and `[runtime]`: the node itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::log_filter::LogFilter;
use crate::config::kind::number::{between, within};
use crate::config::kind::text::{Parsed, address};
use crate::config::kind::{Auto, AutoOr, Choice, NoneOr, Switch};
use crate::config::reader::Section;
use crate::units::{ByteSize, Ratio};

/// `[memory]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// The hard limit; `Auto` takes the smallest that the kernel enforces.
    pub limit: Auto<ByteSize>,
    /// A softer one below it, which the levels up to critical are measured against.
    pub soft_limit: Option<ByteSize>,
}

/// `[errors]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Errors {
    /// Error events that one subscriber of the error bus may lag behind.
    pub buffer: usize,
    /// Within such a time repeats of one code become one event with a count; `None` tells each.
    pub fold: Option<Duration>,
}

/// `[psi]`: how long tasks wait for memory; shown and told, never decided by.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Psi {
    /// Whether it is read.
    pub enabled: bool,
    /// Share of the time from which it is worth telling.
    pub threshold: Ratio,
    /// How long it must have been so.
    pub sustain: Duration,
    /// How often it is read.
    pub poll_interval: Duration,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Log {
    /// What is logged.
    pub level: LogFilter,
    /// How it is written.
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `Human` on a terminal, `Json` otherwise.
    Auto,
    /// A line for a person.
    Human,
    /// An object a line.
    Json,
}

/// `[admin]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admin {
    /// Whether the admin endpoint runs.
    pub enabled: bool,
    /// Where it listens.
    pub listen: SocketAddr,
}

/// `[shutdown]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// How long accepted events may take to drain.
    pub deadline: Duration,
}

/// `[runtime]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Runtime {
    /// Worker threads; `Auto` follows the CPU quota.
    pub workers: Auto<usize>,
}

const HOUR: Duration = Duration::from_hours(1);
const MILLISECOND: Duration = Duration::from_millis(1);

const LOG_FORMATS: Choice<LogFormat> = Choice(&[
    ("auto", LogFormat::Auto),
    ("human", LogFormat::Human),
    ("json", LogFormat::Json),
]);

impl Memory {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let size = || within(ByteSize::from_mib(4), ByteSize::from_bytes(1 << 50));
        Self {
            limit: s.read(
                "limit",
                &AutoOr(size()),
                Auto::Auto,
                "hard memory limit; auto takes the smallest the kernel enforces",
            ),
            soft_limit: s.read(
                "soft_limit",
                &NoneOr(size()),
                None,
                "limit that levels up to critical are measured against",
            ),
        }
    }
}

impl Errors {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let buffer = s.read(
            "buffer",
            &within(1, 65_536),
            32,
            "error events a subscriber of the error bus may lag behind",
        );
        let fold = s.read(
            "fold",
            &NoneOr(within(MILLISECOND, HOUR)),
            Some(Duration::from_secs(1)),
            "in such a time at most eight events of one code are told apart, the rest become one with a count",
        );
        Self { buffer, fold }
    }
}

impl Psi {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        Self {
            enabled: s.read(
                "enabled",
                &Switch,
                true,
                "watch how long tasks wait for memory",
            ),
            threshold: s.read(
                "threshold",
                &between(Ratio::percent(0), Ratio::percent(30)),
                Ratio::percent(20),
                "share of the time from which waiting is told; a ratio: 0.2 is 20 %",
            ),
            sustain: s.read(
                "sustain",
                &within(MILLISECOND, Duration::from_mins(1)),
                Duration::from_secs(2),
                "how long it must have been so",
            ),
            poll_interval: s.read(
                "poll_interval",
                &within(Duration::from_millis(50), HOUR),
                Duration::from_secs(1),
                "how often it is read",
            ),
        }
    }
}

impl Log {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let filter = Parsed {
            parse: |text| text.parse::<LogFilter>(),
            print: LogFilter::to_string,
            allowed: "off, error, warn, info, debug, trace, also per target: info,relay_http=debug",
        };
        Self {
            level: s.read("level", &filter, LogFilter::default(), "what is logged"),
            format: s.read(
                "format",
                &LOG_FORMATS,
                LogFormat::Auto,
                "auto: human on a terminal, json otherwise",
            ),
        }
    }
}

impl Admin {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        Self {
            enabled: s.read("enabled", &Switch, true, "serve metrics, health and state"),
            listen: s.read(
                "listen",
                &address(),
                SocketAddr::from((Ipv4Addr::LOCALHOST, 9600)),
                "where the admin endpoint listens",
            ),
        }
    }
}

impl Shutdown {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let deadline = s.read(
            "deadline",
            &within(MILLISECOND, HOUR),
            Duration::from_secs(10),
            "how long accepted events may take to drain",
        );
        Self { deadline }
    }
}

impl Runtime {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let workers = s.read(
            "workers",
            &AutoOr(within(1, 1024)),
            Auto::Auto,
            "worker threads; auto follows the CPU quota",
        );
        Self { workers }
    }
}
