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
/// A value for each field of control and of a subscription that is not its default, for tests that go through all of them.
#[cfg(test)]
pub(crate) const OTHER: &[&str] = &[
    "control.mode=observe",
    "control.law=aimd",
    "control.interval=60ms",
    "control.idle_interval=2s",
    "control.max_queue_delay=4s",
    "control.ledger_share=40%",
    "control.preset=late",
    "control.ladder.warning=71%",
    "control.ladder.error=84%",
    "control.ladder.critical=91%",
    "control.ladder.emergency=97%",
    "control.ladder.relief=54%",
    "control.aimd.enter=71%",
    "control.aimd.exit=54%",
    "control.aimd.increase=6%",
    "control.aimd.decrease_factor=40%",
    "control.aimd.floor=11%",
    "control.aimd.lowest_floor=5%",
    "control.aimd.cooldown=20s",
    "control.drain.setpoint=60%",
    "control.red.min_threshold=50%",
    "control.red.max_threshold=90%",
    "control.red.max_probability=20%",
    "control.red.low_weight=3",
    "control.red.normal_weight=0.9",
    "control.red.high_weight=0.4",
    "control.source_fairness=false",
    "control.arbiter.interval=2s",
    "control.arbiter.cooldown=20s",
    "control.arbiter.max_actions=2",
    "control.queue.start=100",
    "control.queue.min=9",
    "control.queue.max=60000",
    "emitters.file.topics=a.*",
    "emitters.file.sources=s*",
    "emitters.file.delivery=reliable",
    "emitters.file.overflow=drop-oldest",
    "emitters.file.queue_events=1000",
    "emitters.file.queue_start=500",
    "emitters.file.queue_min=10",
    "emitters.file.queue_bytes=1MiB",
    "emitters.file.batch_events=100",
    "emitters.file.batch_bytes=1KiB",
    "emitters.file.linger=1ms",
];
