//! Where a value came from: kept for every value, shown in errors and by `relay config --explain`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a configuration value came from, in ascending order of precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// Nobody set it, and `control.preset` chose another default.
    Preset(&'static str),
    /// The configuration file.
    File {
        /// The file as it was named.
        path: Arc<Path>,
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// `--set`, with the path as it was typed.
    Set(String),
}

impl Origin {
    /// Whether somebody chose this value, rather than Relay.
    pub const fn is_given(&self) -> bool {
        !matches!(self, Self::Default | Self::Preset(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.pad("default"),
            Self::Preset(name) => f.pad(&format!("default of preset {name}")),
            Self::File { path, line, column } => {
                f.pad(&format!("{}:{line}:{column}", path.display()))
            }
            Self::Environment(name) => f.pad(&format!("env {name}")),
            Self::Set(path) => f.pad(&format!("--set {path}")),
        }
    }
}
