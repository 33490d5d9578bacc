//! The checks: each makes its limits, asks the witness, and says what was seen or what is wrong.

mod kill;
mod limit;
mod moved;
mod pressure;
mod resize;
mod usage;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::group::{Group, PARENT};
use super::witness::Witness;
use crate::stress::cgroup::Version;
use crate::stress::container::{self, Plan};
use crate::stress::place::Place;

/// Of bytes that have to agree: the kernel charges ahead by up to 256 KiB for each processor, and programs need a little
/// for themselves.
const NEAR_BYTES: u64 = 4 * MIB;

pub(super) const MIB: u64 = 1 << 20;

/// One check, by its name in the report.
pub(super) struct Check {
    pub(super) name: &'static str,
    /// The version that it holds on; `None` for both.
    only_on: Option<Version>,
    pub(super) run: fn(&Stage) -> Result<String>,
}

pub(super) const CHECKS: &[Check] = &[
    both("limit of the container", limit::of_the_container),
    both("limit above the machine's memory", limit::above_the_machine),
    both("parent lower than leaf", limit::of_the_parent),
    both("parent outside the container", limit::of_a_hidden_parent),
    both("soft limit", limit::soft),
    both("swap limit", limit::of_swap),
    both("processor quota", limit::of_processors),
    both("own growth", usage::own_growth),
    both("sibling eats the parent's headroom", usage::sibling),
    both("page cache is no usage", usage::page_cache),
    both("tmpfs is usage", usage::tmpfs),
    both("resize of the container", resize::container),
    both("resize of the parent", resize::parent),
    both("kill is counted", kill::counted),
    v2("group kill", kill::of_the_group),
    both("moved to another group", moved::moved),
    both("own group removed", moved::removed),
    both("pressure files", pressure::files),
    both("pressure triggers", pressure::triggers),
];

/// What every check is given.
pub(super) struct Stage {
    pub(super) witness: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) place: Place,
    pub(super) version: Version,
    pub(super) psi: bool,
}

const fn both(name: &'static str, run: fn(&Stage) -> Result<String>) -> Check {
    Check {
        name,
        only_on: None,
        run,
    }
}

const fn v2(name: &'static str, run: fn(&Stage) -> Result<String>) -> Check {
    Check {
        name,
        only_on: Some(Version::V2),
        run,
    }
}

// === impl Check ===

impl Check {
    pub(super) fn holds_on(&self, version: Version) -> bool {
        self.only_on.is_none_or(|only| only == version)
    }
}

// === impl Stage ===

impl Stage {
    /// A witness in a container of that limit.
    fn container(&self, name: &str, limit_bytes: u64) -> Result<Witness> {
        let memory = json!({ "memory": { "limit": limit_bytes, "swap": limit_bytes } });
        self.container_with(name, &format!("{PARENT}/{name}"), &memory)
    }

    /// A witness in a container, in that cgroup, with these resources.
    fn container_with(&self, name: &str, cgroup: &str, resources: &Value) -> Result<Witness> {
        let folder = self.folder.join(name);
        container::fresh(&folder)?;
        let plan = Plan {
            name,
            binary: &self.witness,
            arguments: &[],
            folder: &folder,
            limit_bytes: 0,
            user: 0,
        };
        Witness::in_container(&plan, cgroup, resources)
    }

    /// A witness as a plain process.
    fn process(&self, group: &Group) -> Result<Witness> {
        Witness::in_group(&self.witness, group)
    }

    fn source(&self) -> &'static str {
        match self.version {
            Version::V1 => "cgroup-v1",
            Version::V2 => "cgroup-v2",
        }
    }
}

/// A number of bytes in an answer.
fn bytes(answer: &Value, field: &str) -> Result<u64> {
    let value = answer[field].as_u64();
    value.with_context(|| format!("{field} is {}", answer[field]))
}

fn equal(what: &str, found: &Value, expected: impl Into<Value>) -> Result<()> {
    let expected = expected.into();
    ensure!(*found == expected, "{what} is {found}, not {expected}");
    Ok(())
}

fn near(what: &str, found: u64, expected: u64) -> Result<()> {
    if found.abs_diff(expected) > NEAR_BYTES {
        bail!("{what} is {}, not about {}", mib(found), mib(expected));
    }
    Ok(())
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB as f64)
}

/// A number from the first line of a kernel file that begins so.
fn kernel_number(path: &Path, prefix: &str) -> Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    let number = lines
        .next()
        .and_then(|rest| rest.split_ascii_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("no {prefix} in {}", path.display()))
}
