//! The memory limit: the smallest of all that hold, and why it is that one.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::cgroup::Version;
use crate::hierarchy::Hierarchy;
use crate::variables::Named;
use crate::{Bound, Quantity};

/// Where a limit comes from. The words it prints as are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitSource {
    /// `memory.max` of cgroup version 2; `memory.high` for a soft limit.
    CgroupV2,
    /// `memory.limit_in_bytes`, or the hierarchical limit, of cgroup version 1.
    CgroupV1,
    /// `RLIMIT_AS` or `RLIMIT_DATA` of the process.
    Rlimit,
    /// An environment variable.
    Env,
    /// The caller's configuration.
    Config,
    /// All the memory the machine has: no smaller limit is known.
    Physical,
}

/// The hard memory limit in force.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimit {
    /// The effective limit: the smallest of every visible level, the machine's memory, the limits of
    /// the process, the environment and the configuration. It may be zero.
    pub bytes: u64,
    /// Which of them it is.
    pub source: LimitSource,
    /// The control group that sets it, for the cgroup sources.
    pub path: Option<PathBuf>,
    /// The name of the variable or resource limit that sets it, for the sources that have one.
    pub name: Option<&'static str>,
}

/// The point from which on the process should hold back, below the hard limit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SoftLimit {
    /// The smallest `memory.high` of all visible levels (there the kernel slows the process down),
    /// `GOMEMLIMIT`, or the configured one.
    pub bytes: u64,
    /// Which of them it is.
    pub source: LimitSource,
    /// The control group that sets it, for the cgroup sources.
    pub path: Option<PathBuf>,
}

/// Everything that may limit, except the groups.
pub(crate) struct Inputs {
    pub(crate) physical: Option<u64>,
    pub(crate) rlimits: Vec<(&'static str, u64)>,
    pub(crate) variables: Vec<Named>,
    pub(crate) configured: Option<u64>,
}

/// The smallest limit, and the smallest of those that stand for a group's.
pub(crate) struct Found {
    pub(crate) limit: Option<MemoryLimit>,
    pub(crate) fixed: Bound,
}

/// The smallest limit so far.
#[derive(Default)]
struct Least<'a> {
    found: Option<(u64, LimitSource)>,
    path: Option<&'a str>,
    name: Option<&'static str>,
    fixed: Option<u64>,
}

/// Finds the limit; there is none where neither a group, nor the machine, nor a person tells one.
pub(crate) fn detect(hierarchy: &Hierarchy, inputs: &Inputs, notes: &mut Vec<String>) -> Found {
    let mut least = Least::default();
    if let Some(bytes) = inputs.physical {
        least.lower_fixed(bytes, LimitSource::Physical, None);
    }
    least.lower_by_groups(hierarchy, notes);
    for (name, bytes) in &inputs.rlimits {
        least.lower_named(*bytes, LimitSource::Rlimit, Some(*name));
    }
    let detected = least.found;
    for (name, quantity) in &inputs.variables {
        match in_bytes(*quantity, detected) {
            Some(bytes) => {
                note_if_above(name, bytes, detected, notes);
                least.lower_fixed(bytes, LimitSource::Env, Some(*name));
            }
            None => notes.push(format!(
                "error: {name} ignored: a part of a limit that is not known"
            )),
        }
    }
    if let Some(bytes) = inputs.configured {
        note_if_above("the configured limit", bytes, detected, notes);
        least.lower_fixed(bytes, LimitSource::Config, None);
    }
    least.into_found()
}

/// The smallest soft limit that lies below the hard one.
pub(crate) fn soft(
    hierarchy: &Hierarchy,
    variable: Option<u64>,
    configured: Option<u64>,
    hard: Option<u64>,
) -> Option<SoftLimit> {
    let throttled = hierarchy.levels.iter().filter_map(|level| {
        let bytes = level.soft_limit().bytes()?;
        Some((bytes, level.version.into(), Some(level.path.as_str())))
    });
    let variable = variable.map(|bytes| (bytes, LimitSource::Env, None));
    let configured = configured.map(|bytes| (bytes, LimitSource::Config, None));
    // The first of equal ones: what the kernel does, then what people ask for.
    let all = throttled.chain(variable).chain(configured);
    let (bytes, source, path) = all.min_by_key(|(bytes, ..)| *bytes)?;
    let means_something = hard.is_none_or(|hard| bytes < hard);
    means_something.then(|| SoftLimit {
        bytes,
        source,
        path: path.map(PathBuf::from),
    })
}

/// What a variable asks for; a share is one of what was detected.
fn in_bytes(quantity: Quantity, detected: Option<(u64, LimitSource)>) -> Option<u64> {
    match quantity {
        Quantity::Bytes(bytes) => Some(bytes),
        Quantity::Share(share) => detected.map(|(bytes, _)| share.of(bytes)),
        Quantity::Unlimited => Some(u64::MAX),
    }
}

fn note_if_above(
    what: &str,
    asked: u64,
    detected: Option<(u64, LimitSource)>,
    notes: &mut Vec<String>,
) {
    if let Some((bytes, source)) = detected.filter(|(bytes, _)| *bytes < asked) {
        notes.push(format!(
            "{what} of {asked} bytes lies above the {bytes} bytes of {source}, which hold"
        ));
    }
}

// === impl MemoryLimit ===

impl MemoryLimit {
    /// Whether nothing but the machine's memory bounds the process, as far as can be seen. That is
    /// seldom what was meant, and others share the machine: configure a limit.
    pub fn is_low_confidence(&self) -> bool {
        self.source == LimitSource::Physical
    }
}

// === impl LimitSource ===

impl From<Version> for LimitSource {
    fn from(version: Version) -> Self {
        match version {
            Version::V1 => Self::CgroupV1,
            Version::V2 => Self::CgroupV2,
        }
    }
}

impl fmt::Display for LimitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CgroupV2 => "cgroup-v2",
            Self::CgroupV1 => "cgroup-v1",
            Self::Rlimit => "rlimit",
            Self::Env => "env",
            Self::Config => "config",
            Self::Physical => "physical",
        })
    }
}

// === impl Least ===

impl<'a> Least<'a> {
    /// Takes a limit into account. The first of two equal ones stays: the machine's memory before a
    /// group's limit that does not lower it, the own group before its ancestors.
    fn lower(&mut self, bytes: u64, source: LimitSource) -> bool {
        let lowers = self.found.is_none_or(|(least, _)| bytes < least);
        if lowers {
            self.found = Some((bytes, source));
            self.path = None;
            self.name = None;
        }
        lowers
    }

    /// One that stands for a limit of the group, and that stays the same while the process runs.
    fn lower_fixed(&mut self, bytes: u64, source: LimitSource, name: Option<&'static str>) {
        self.fixed = Some(self.fixed.map_or(bytes, |fixed| fixed.min(bytes)));
        self.lower_named(bytes, source, name);
    }

    fn lower_named(&mut self, bytes: u64, source: LimitSource, name: Option<&'static str>) {
        if self.lower(bytes, source) {
            self.name = name;
        }
    }

    fn lower_by_group(&mut self, bytes: u64, version: Version, path: &'a str) {
        if self.lower(bytes, version.into()) {
            self.path = Some(path);
        }
    }

    fn lower_by_groups(&mut self, hierarchy: &'a Hierarchy, notes: &mut Vec<String>) {
        for level in &hierarchy.levels {
            match level.limit() {
                Bound::Bytes(bytes) => self.lower_by_group(bytes, level.version, &level.path),
                Bound::Unlimited => {}
                Bound::Unknown => notes.push(format!(
                    "{}: not readable as a limit, level ignored",
                    level.limit_file()
                )),
            }
        }
        if let Some((own, bytes)) = hierarchy.hierarchical_limit() {
            self.lower_by_group(bytes, own.version, &own.path);
        }
    }

    fn into_found(self) -> Found {
        let limit = self.found.map(|(bytes, source)| MemoryLimit {
            bytes,
            source,
            path: self.path.map(|path| Path::new(path).to_owned()),
            name: self.name,
        });
        Found {
            limit,
            fixed: self.fixed.map_or(Bound::Unknown, Bound::Bytes),
        }
    }
}
