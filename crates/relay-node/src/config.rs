//! The node's configuration: where it is read from, what it can say, what is wrong with it.
//!
//! Four sources, the later over the earlier: defaults, a TOML file, environment variables
//! (`RELAY_SECTION__KEY`), `--set path=value`. Every value keeps its [`Origin`]. Reading never
//! stops at the first mistake: an [`InvalidConfig`] lists them all.
//!
//! ```text
//! file ──▶ tree ◀── environment ◀── --set          raw values, each with its origin
//!           │ schema: each field once
//!           ▼
//!         Config   entries (explain)   problems, warnings
//! ```
//!
//! ```
//! use relay_node::config::{Environment, Sources};
//!
//! let sources = Sources {
//!     file: None,
//!     environment: Environment::new([("RELAY_MEMORY__LIMIT", "256MiB")]),
//!     set: vec!["control.interval=100ms".to_owned()],
//! };
//! let config = sources.load()?.into_config();
//! assert_eq!(config.control.interval.as_millis(), 100);
//! # Ok::<(), relay_node::config::InvalidConfig>(())
//! ```

mod environment;
mod explain;
mod file;
mod findings;
mod kind;
mod nearest;
mod origin;
mod overrides;
mod problem;
mod raw;
mod reader;
mod schema;
mod secret;
mod summary;
mod validate;

use std::path::{Path, PathBuf};

pub use environment::Environment;
pub use explain::{explanation, listing};
pub use findings::Entry;
pub use kind::Auto;
pub use origin::Origin;
pub use problem::{InvalidConfig, Problem, Warning};
pub use schema::Config;
pub use schema::actuators::{Arbiter, Queue};
pub use schema::adapters::{Adapter, HttpAdapter, Source, TcpAdapter};
pub use schema::blackbox::Blackbox;
pub use schema::breaker::{Breaker, BreakerWindow};
pub use schema::control::{Aimd, Control, Drain, Ladder, Law, Mode, Preset, Red};
pub use schema::emitters::{Emitter, FileTarget, Fsync, HttpFormat, HttpTarget, Target};
pub use schema::log_filter::LogFilter;
pub use schema::pools::Pools;
pub use schema::process::{Admin, Errors, Log, LogFormat, Memory, Psi, Runtime, Shutdown};
pub use schema::subscription::{Delivery, Overflow, Subscription};
pub use secret::TargetUrl;
pub use summary::{LimitFacts, summary};

use findings::Findings;
use raw::RawTable;
use reader::Section;

/// Where a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file of `--config`; without it the one that `RELAY_CONFIG` names, if any.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Environment,
    /// The assignments of `--set`, in their order.
    pub set: Vec<String>,
}

/// A valid configuration, with the origin of each value.
#[derive(Clone, Debug)]
pub struct Loaded {
    config: Config,
    entries: Vec<Entry>,
    warnings: Vec<Warning>,
}

impl Sources {
    /// The configuration file, if one is named anywhere.
    pub fn config_file(&self) -> Option<&Path> {
        self.file
            .as_deref()
            .or_else(|| self.environment.config_file())
    }

    /// Reads, merges and checks everything.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] with every mistake found: an unreadable file, TOML syntax, unknown keys,
    /// wrong types and units, values out of range, values at odds with their neighbours.
    pub fn load(&self) -> Result<Loaded, InvalidConfig> {
        let mut findings = Findings::default();
        let tree = self
            .config_file()
            .map(|path| file::read(path, &mut findings.problems))
            .unwrap_or_default();
        self.finish(tree, findings)
    }

    /// As [`load`](Self::load), with `text` in place of the file's contents.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_text(&self, text: &str) -> Result<Loaded, InvalidConfig> {
        let mut findings = Findings::default();
        let path = self.config_file().unwrap_or(Path::new("relay.toml"));
        let tree = file::parse(path, text, &mut findings.problems);
        self.finish(tree, findings)
    }

    fn finish(&self, mut tree: RawTable, mut findings: Findings) -> Result<Loaded, InvalidConfig> {
        self.environment.overlay(&mut tree, &mut findings);
        overrides::overlay(&mut tree, &self.set, &mut findings.problems);
        let config = Section::root(&tree, &mut findings, Config::read);
        validate::relations(&config, &mut findings);
        validate::warnings(&config, &mut findings);
        environment::warn_unknown(&mut findings);
        let Findings {
            entries,
            problems,
            warnings,
            ..
        } = findings;
        if problems.is_empty() {
            Ok(Loaded {
                config,
                entries,
                warnings,
            })
        } else {
            Err(InvalidConfig::new(problems, warnings))
        }
    }
}

impl Loaded {
    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The configuration, without its origins.
    pub fn into_config(self) -> Config {
        self.config
    }

    /// The configuration, and every field of it.
    pub(crate) fn into_parts(self) -> (Config, Vec<Entry>) {
        (self.config, self.entries)
    }

    /// Every field with its value, origin, range and purpose.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is legal, but worth knowing.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}
