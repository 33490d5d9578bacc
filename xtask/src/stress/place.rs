//! Where a scenario runs: here, in the guest, or both; and the programs that it takes along.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::container::{self, RuntimeKind};
use super::{artifact, vm};

/// The flags of a scenario that runs in several places.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Places {
    /// Where to run [default: both].
    #[arg(long, value_enum, value_name = "PLACE")]
    on: Vec<Place>,
    /// Where reports and run data go [default: target/stress/SCENARIO].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Statically linked programs to use instead of building them.
    #[arg(long, value_name = "DIR", hide = true)]
    programs: Option<PathBuf>,
    /// Write bare results here, one JSON line each, and judge nothing.
    #[arg(long, value_name = "FILE", hide = true)]
    results: Option<PathBuf>,
}

/// A machine with limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    /// Containers on this machine, on whichever version of cgroups it has.
    Here,
    /// The emulated guest, with version 2 alone.
    Guest,
}

/// The static programs of a scenario.
#[derive(Debug)]
pub(super) struct Programs {
    files: Vec<PathBuf>,
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Here => "here",
            Self::Guest => "guest",
        })
    }
}

// === impl Places ===

impl Places {
    pub(super) fn guest_only() -> Self {
        Self {
            on: vec![Place::Guest],
            ..Self::default()
        }
    }

    pub(super) fn here(&self) -> bool {
        self.is_in(Place::Here)
    }

    pub(super) fn guest(&self) -> bool {
        self.is_in(Place::Guest)
    }

    fn is_in(&self, place: Place) -> bool {
        self.on.is_empty() || self.on.contains(&place)
    }

    /// Where this program runs.
    pub(super) fn own(&self) -> Place {
        if self.results.is_some() {
            Place::Guest
        } else {
            Place::Here
        }
    }

    /// Where bare results go; only inside the guest.
    pub(super) fn results(&self) -> Option<&Path> {
        self.results.as_deref()
    }

    pub(super) fn out(&self, scenario: &str) -> PathBuf {
        let default = || crate::workspace::target().join("stress").join(scenario);
        self.out.clone().unwrap_or_else(default)
    }

    /// What this program is called with inside the guest, to run the scenario there.
    pub(super) fn arguments_inside(scenario: &str) -> Vec<String> {
        let words = ["stress", scenario, "--on", "here", "--out"];
        let mut arguments: Vec<_> = words.map(str::to_owned).to_vec();
        arguments.push(format!("{}/{scenario}", vm::DATA));
        for (flag, value) in [("--programs", vm::PROGRAMS), ("--results", vm::RESULTS)] {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        }
        arguments
    }
}

// === impl Programs ===

impl Programs {
    /// Installs what the places need, and builds the programs unless they are there.
    pub(super) fn provide(places: &Places, names: &[&str]) -> Result<Self> {
        if let Some(folder) = &places.programs {
            let files = names.iter().map(|name| folder.join(name));
            return Ok(Self {
                files: files.collect(),
            });
        }
        if places.here() {
            container::ensure_installed(RuntimeKind::Runc)?;
        }
        if places.guest() {
            vm::ensure_installed()?;
        }
        let built = names
            .iter()
            .map(|name| artifact::build("relay-stress", name));
        Ok(Self {
            files: built.collect::<Result<_>>()?,
        })
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub(super) fn path(&self, name: &str) -> Result<&Path> {
        let mut files = self.files.iter();
        let found = files.find(|file| file.file_name().is_some_and(|file| file == name));
        found.map(PathBuf::as_path).context("no such program")
    }
}
