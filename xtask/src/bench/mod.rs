//! `cargo xtask bench`: whole programs, measured side by side in one run.

mod ingest;
mod server;

use anyhow::Result;
use clap::Subcommand;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Subject {
    /// CPU per request on one core, beside a bare hyper server.
    Ingest(ingest::Args),
}

pub(crate) fn run(subject: &Subject) -> Result<()> {
    match subject {
        Subject::Ingest(args) => ingest::run(args),
    }
}

/// The ingest measurement with its defaults.
pub(crate) fn ingest() -> Result<()> {
    ingest::run(&ingest::Args::default())
}
