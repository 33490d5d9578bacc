//! What to send, how fast and for how long; valid by existing.

use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;

use super::LoadError;
use crate::units::{self, ByteRate, ByteSize};

/// The most time buckets a report may hold.
const BUCKETS_MAX: u128 = 20_000;

/// The largest body, in bytes: far above what a node admits, far below what would hurt the sender.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// Events per second at most: pacing is in ticks of a millisecond, one core does far less.
const EVENTS_PER_SECOND_MAX: f64 = 10_000_000.0;

/// How fast events are due.
///
/// ```
/// use relay_node::load::Rate;
///
/// let rate: Rate = "10MiB/s".parse()?;
/// assert_eq!(rate.events_per_second(1024), 10_240.0);
/// assert_eq!("500/s".parse(), Ok(Rate::Events(500.0)));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Events per second, written `500/s`.
    Events(f64),
    /// Payload bytes per second, written `10MiB/s`.
    Bytes(f64),
}

/// A stretch of constant rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phase {
    /// How fast events are due.
    pub rate: Rate,
    /// How long the phase lasts.
    pub duration: Duration,
}

/// Everything a run needs to know.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    pub(super) target: Uri,
    pub(super) phases: Vec<Phase>,
    pub(super) body_bytes: u64,
    pub(super) connections: usize,
    pub(super) priority: Option<String>,
    pub(super) bucket: Duration,
    pub(super) timeout: Duration,
}

// === impl Rate ===

impl Rate {
    /// Events per second when each carries `body_bytes`.
    pub fn events_per_second(self, body_bytes: u64) -> f64 {
        match self {
            Self::Events(rate) => rate,
            Self::Bytes(rate) => rate / body_bytes.max(1) as f64,
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().strip_suffix("/s").unwrap_or_default();
        if number.starts_with(|c: char| c.is_ascii_digit())
            && let Ok(events_per_second) = number.parse()
        {
            return Ok(Self::Events(events_per_second));
        }
        let bytes: ByteRate = text.parse().map_err(|error| {
            format!("{error}; write events as 500/s or payload bytes as 10MiB/s")
        })?;
        Ok(Self::Bytes(bytes.bytes_per_second() as f64))
    }
}

// === impl Phase ===

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no phase: write RATE:DURATION, such as 0.5MiB/s:5s");
        let (rate, duration) = text.split_once(':').ok_or_else(wrong)?;
        let duration = units::parse_duration(duration).map_err(|error| error.to_string())?;
        Ok(Self {
            rate: rate.parse()?,
            duration,
        })
    }
}

// === impl LoadOptions ===

impl LoadOptions {
    /// Events with a payload of `body` to `target`, through the `phases` one after the other.
    ///
    /// A target without a path means `/v1/events`. Defaults: 16 connections, no priority, buckets
    /// of 50 ms, 10 s for an answer.
    ///
    /// # Errors
    ///
    /// [`LoadError::Invalid`] when the target is not an `http://` URL with a host, when there is no
    /// phase, when a rate is negative, not finite or above 10 million events a second, or when the
    /// body is larger than 256 MiB.
    pub fn new(target: &str, phases: Vec<Phase>, body: ByteSize) -> Result<Self, LoadError> {
        let body_bytes = body.bytes();
        let target = parse_target(target)?;
        if phases.is_empty() {
            return Err(LoadError::Invalid(
                "at least one phase is needed".to_owned(),
            ));
        }
        if body_bytes > BODY_BYTES_MAX {
            return Err(LoadError::Invalid(format!(
                "a body of {body_bytes} bytes is larger than {BODY_BYTES_MAX}"
            )));
        }
        for phase in &phases {
            let rate = phase.rate.events_per_second(body_bytes);
            if !(0.0..=EVENTS_PER_SECOND_MAX).contains(&rate) {
                return Err(LoadError::Invalid(format!(
                    "{rate} events/s is outside 0..={EVENTS_PER_SECOND_MAX}"
                )));
            }
        }
        Ok(Self {
            target,
            phases,
            body_bytes,
            connections: 16,
            priority: None,
            bucket: Duration::from_millis(50),
            timeout: Duration::from_secs(10),
        })
    }

    /// Spreads the events over this many kept-alive connections, at least one.
    #[must_use]
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Sends this priority with each event.
    #[must_use]
    pub fn with_priority(mut self, priority: Option<String>) -> Self {
        self.priority = priority;
        self
    }

    /// How long an answer may take, counted from sending; also the grace at the end of the run.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The width of the report's time buckets.
    ///
    /// # Errors
    ///
    /// [`LoadError::Invalid`] when the run would need more than 20,000 buckets, or the width is
    /// below a millisecond.
    pub fn with_bucket(mut self, bucket: Duration) -> Result<Self, LoadError> {
        self.bucket = bucket;
        if bucket < Duration::from_millis(1) {
            return Err(LoadError::Invalid(
                "a bucket is at least 1ms wide".to_owned(),
            ));
        }
        let needed = self.duration().as_nanos().div_ceil(bucket.as_nanos());
        if needed > BUCKETS_MAX {
            return Err(LoadError::Invalid(format!(
                "{needed} buckets are more than {BUCKETS_MAX}: take a wider --bucket"
            )));
        }
        Ok(self)
    }

    /// All phases together.
    pub fn duration(&self) -> Duration {
        self.phases.iter().fold(Duration::ZERO, |sum, phase| {
            sum.saturating_add(phase.duration)
        })
    }
}

fn parse_target(text: &str) -> Result<Uri, LoadError> {
    let invalid = |why: &str| LoadError::Invalid(format!("--to {text}: {why}"));
    let uri: Uri = text.parse().map_err(|_| invalid("not a URL"))?;
    if uri.scheme_str() != Some("http") {
        return Err(invalid("must begin with http://"));
    }
    let authority = uri.authority().ok_or_else(|| invalid("names no host"))?;
    if uri.path() != "/" {
        return Ok(uri);
    }
    Uri::builder()
        .scheme("http")
        .authority(authority.clone())
        .path_and_query("/v1/events")
        .build()
        .map_err(|_| invalid("not a URL"))
}
