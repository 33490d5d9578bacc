//! The flags of `relay load`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{LoadError, LoadOptions, Phase, Rate};
use crate::units::{ByteSize, parse_duration};

/// Send open-loop load to a node and reconcile what became of it.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// Where the events go, such as `http://127.0.0.1:8080` (path `/v1/events` when none is given).
    #[arg(long, value_name = "URL")]
    to: String,

    /// Events (`500/s`) or payload bytes (`10MiB/s`) a second.
    #[arg(long, value_name = "RATE")]
    rate: Rate,

    /// How long to send at that rate, such as `20s`.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    duration: Duration,

    /// Payload of each event, such as `1KiB`.
    #[arg(long, value_name = "SIZE", default_value = "1KiB")]
    size: ByteSize,

    /// Kept-alive connections.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,

    /// A further phase after the first, such as `0.5MiB/s:5s`; may be repeated.
    #[arg(long = "then", value_name = "RATE:DURATION")]
    further: Vec<Phase>,

    /// The priority asked for with each event.
    #[arg(long, value_parser = PossibleValuesParser::new(["low", "normal", "high"]))]
    priority: Option<String>,

    /// Also write the account as JSON to this file; `-` writes it to standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Width of the time buckets in the JSON account.
    #[arg(long, default_value = "50ms", value_parser = parse_duration)]
    bucket: Duration,

    /// How long an answer may take before the event counts as failed.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
}

// === impl LoadArgs ===

impl LoadArgs {
    /// The checked options that these flags ask for.
    ///
    /// # Errors
    ///
    /// [`LoadError::Invalid`] for a combination that cannot be sent.
    pub fn options(&self) -> Result<LoadOptions, LoadError> {
        let mut phases = vec![Phase {
            rate: self.rate,
            duration: self.duration,
        }];
        phases.extend(&self.further);
        LoadOptions::new(&self.to, phases, self.size)?
            .with_connections(usize::from(self.connections))
            .with_priority(self.priority.clone())
            .with_timeout(self.timeout)
            .with_bucket(self.bucket)
    }

    pub(super) fn json(&self) -> Option<&Path> {
        self.json.as_deref()
    }
}
