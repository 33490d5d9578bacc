//! The command line: what can be asked for, and nothing of how it is done.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{Environment, Sources};
use crate::load::LoadArgs;
use crate::profile::Profile;

/// Move events within a memory limit without being killed for it.
#[derive(Clone, Debug, Parser)]
#[command(name = "relay", version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `relay`.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the node. SIGTERM drains it and ends it.
    Run(RunArgs),
    /// Check a configuration: every mistake at once, exit code 2 if there is one.
    Check(ConfigArgs),
    /// Say what is sensed, from where, and what is not available and why.
    Doctor(DoctorArgs),
    /// Send open-loop load to a node and reconcile what became of it.
    Load(LoadArgs),
    /// Print each error event of a running node as it happens.
    Events(EventsArgs),
    /// Print the configuration in force, as a file that could replace it.
    Config(ConfigCommandArgs),
    /// Read what a dead process left: why it died, and what came before.
    Blackbox(BlackboxArgs),
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML); the variable `RELAY_CONFIG` names one too.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one value over file and environment, such as `control.interval=100ms`; may be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

/// `relay run`
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where the machine is.
    #[command(flatten)]
    pub root: RootArgs,
}

/// Where kernel files are.
#[derive(Clone, Debug, Default, Args)]
pub struct RootArgs {
    /// Read every kernel file below DIR: a folder of files is a machine.
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// `relay doctor`
#[derive(Clone, Debug, Default, Args)]
pub struct DoctorArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where the machine is.
    #[command(flatten)]
    pub root: RootArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `relay events`
#[derive(Clone, Debug, Args)]
pub struct EventsArgs {
    /// Admin address of the node.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9600")]
    pub admin: SocketAddr,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

/// `relay config`
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigCommandArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Add to each value who set it, what it is for, what is allowed and its variable.
    #[arg(long)]
    pub explain: bool,
    /// Print a configuration to begin with instead, as a file to keep and change.
    #[arg(long, value_enum, conflicts_with_all = ["config", "set", "explain"])]
    pub profile: Option<Profile>,
}

/// `relay blackbox`
#[derive(Clone, Debug, Args)]
pub struct BlackboxArgs {
    /// What to look at.
    #[command(subcommand)]
    pub command: BlackboxCommand,
}

/// The commands of `relay blackbox`.
#[derive(Clone, Debug, Subcommand)]
pub enum BlackboxCommand {
    /// Say in one paragraph why the process ended, then answer the questions of the first minute.
    ///
    /// Exit codes: 0 clean or still running, 10 killed for memory, 11 panic, 12 fatal signal,
    /// 13 power loss or reboot, 14 killed otherwise or unknown, 1 not readable.
    #[command(verbatim_doc_comment)]
    Why {
        /// Which recording.
        #[command(flatten)]
        source: BlackboxSource,
        /// How to show it.
        #[command(flatten)]
        format: BlackboxFormat,
    },
    /// Show the records, oldest first.
    Show {
        /// Which recording.
        #[command(flatten)]
        source: BlackboxSource,
        /// How to show it.
        #[command(flatten)]
        format: BlackboxFormat,
        /// Only the last N records.
        #[arg(long, value_name = "N")]
        tail: Option<usize>,
        /// Only what is so long before the last record, such as -30s.
        #[arg(long, value_name = "-TIME", allow_hyphen_values = true, value_parser = before_the_end)]
        since: Option<Duration>,
    },
    /// Count slots, gaps and lateness; exit code 1 when a part of the file is missing.
    Verify {
        /// Which recording.
        #[command(flatten)]
        source: BlackboxSource,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print the records of a running process as they come, until it ends.
    Follow {
        /// Which recording.
        #[command(flatten)]
        source: BlackboxSource,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
}

/// Which recording to read.
#[derive(Clone, Debug, Args)]
pub struct BlackboxSource {
    /// A recording, or a folder of them: then the last run that has ended. Without it, the folder where `relay run`
    /// records by default or by `RELAY_BLACKBOX__DIR`.
    #[arg(value_name = "FILE|DIR")]
    pub path: Option<PathBuf>,
    /// The file was copied from another machine: that it was restarted since cannot be told.
    #[arg(long)]
    pub elsewhere: bool,
}

/// How to show a recording.
#[derive(Clone, Debug, Default, Args)]
pub struct BlackboxFormat {
    /// Print JSON, one object a line.
    #[arg(long, conflicts_with_all = ["csv", "html"])]
    pub json: bool,
    /// Print the snapshots as CSV.
    #[arg(long, conflicts_with = "html")]
    pub csv: bool,
    /// Write one self-contained page; `-` prints it.
    #[arg(long, value_name = "OUT")]
    pub html: Option<PathBuf>,
}

impl BlackboxCommand {
    pub(crate) fn source(&self) -> &BlackboxSource {
        match self {
            Self::Why { source, .. }
            | Self::Show { source, .. }
            | Self::Verify { source, .. }
            | Self::Follow { source, .. } => source,
        }
    }

    pub(crate) fn is_why(&self) -> bool {
        matches!(self, Self::Why { .. })
    }
}

/// `-30s` and `30s` are the same moment: what comes after the last record is nothing.
fn before_the_end(text: &str) -> Result<Duration, String> {
    let text = text.strip_prefix('-').unwrap_or(text);
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

const AFTER_HELP: &str = "\
Precedence: --set, then RELAY_SECTION__KEY variables, then the file, then defaults.
Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 75 emergency shutdown;\n\
`relay blackbox why` says by 10 to 14 how a process ended.";

impl ConfigArgs {
    /// The sources these flags name, beside the environment.
    pub fn sources(&self, environment: &Environment) -> Sources {
        Sources {
            file: self.config.clone(),
            environment: environment.clone(),
            set: self.set.clone(),
        }
    }
}

impl RootArgs {
    /// The machine to look at.
    pub fn root(&self) -> relay_sense::Root {
        self.root
            .as_ref()
            .map_or_else(relay_sense::Root::system, relay_sense::Root::at)
    }
}
