//! Why a load run could not be made.

use std::io;
use std::path::PathBuf;

/// A load run that could not start, or whose account could not be written.
///
/// What goes wrong *during* a run is no error but a line of the account.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The options contradict themselves or leave their range.
    #[error("invalid load: {0}")]
    Invalid(String),
    /// The target's name does not resolve.
    #[error("cannot resolve {host}: check the name given with --to")]
    Resolve {
        /// The host and port asked for.
        host: String,
        /// What the resolver said; `None` when it knew no address.
        source: Option<io::Error>,
    },
    /// The single-threaded runtime could not be built.
    #[error("cannot start the runtime of the load generator")]
    Runtime(#[source] io::Error),
    /// The account could not be written.
    #[error("cannot write the account to {path}")]
    Write {
        /// Where it should have gone.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
