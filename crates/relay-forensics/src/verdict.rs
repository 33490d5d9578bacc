//! Why a process ended, with the evidence and how much it is worth.
//!
//! A kill leaves no word of its own, so this reasons from what is there: the state that the process
//! was in, the boot it ran under, memory against its limits, and counters that the next start read.
//! The order of the rules matters: what the process itself wrote down comes before any inference.

mod judge;

use std::fmt;

use crate::{identity, reader::Recording, shape::Shape, time::Utc};
use judge::Judge;

/// Why a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// It has not ended.
    Running,
    /// It ended as intended.
    Clean,
    /// The kernel killed it for the memory limit of its own control group.
    Oom,
    /// The kernel killed it for the limit of a control group above it, or for the whole machine.
    OomAncestor,
    /// It was killed because its time to drain was over.
    KilledAfterGrace,
    /// It was killed from outside, not for memory.
    Killed,
    /// A panic that nobody caught.
    Panic,
    /// A signal such as SIGSEGV.
    FatalSignal,
    /// The machine went down: power loss or reboot.
    Reboot,
    /// The recording does not tell.
    Unknown,
}

/// How much the evidence is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// A guess for want of anything better.
    Low,
    /// Other causes are possible.
    Medium,
    /// The process wrote it down, or independent signs agree.
    High,
}

/// Why a process ended, and how that is known. It displays as one sentence.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Verdict {
    /// Why.
    pub cause: Cause,
    /// How sure that is.
    pub confidence: Confidence,
    /// One sentence without cause and confidence, such as where a panic began. May be empty.
    pub detail: String,
    /// What was seen, a line each.
    pub evidence: Vec<String>,
    /// The last record, in nanoseconds since 1970; 0 without one.
    pub last_real_ns: u64,
}

/// Whose machine the verdict is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// The machine that recorded: another boot id is a reboot.
    SameMachine,
    /// Any other: the boot id says nothing.
    Elsewhere,
}

// === impl Cause ===

impl Cause {
    /// The label in metrics and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Clean => "clean",
            Self::Oom => "oom",
            Self::OomAncestor => "oom_ancestor",
            Self::KilledAfterGrace => "killed_after_grace",
            Self::Killed => "killed",
            Self::Panic => "panic",
            Self::FatalSignal => "fatal_signal",
            Self::Reboot => "reboot",
            Self::Unknown => "unknown",
        }
    }

    /// As a person says it.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Running => "still running",
            Self::Clean => "ended clean",
            Self::Oom => "OOM-killed by its own memory limit",
            Self::OomAncestor => {
                "OOM-killed by a limit above its own, or for the memory of the whole node"
            }
            Self::KilledAfterGrace => "killed with SIGKILL because its time to drain was over",
            Self::Killed => "killed from outside, not for memory",
            Self::Panic => "ended by a panic",
            Self::FatalSignal => "ended by a fatal signal",
            Self::Reboot => "ended by a power loss or reboot of the machine",
            Self::Unknown => "ended for a reason that the recording does not tell",
        }
    }

    /// The exit code of `relay blackbox why`: 0 clean or running, 10 OOM, 11 panic, 12 signal,
    /// 13 reboot, 14 killed or unknown.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Running | Self::Clean => 0,
            Self::Oom | Self::OomAncestor => 10,
            Self::Panic => 11,
            Self::FatalSignal => 12,
            Self::Reboot => 13,
            Self::KilledAfterGrace | Self::Killed | Self::Unknown => 14,
        }
    }
}

impl Confidence {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

// === impl Recording ===

impl Recording {
    /// Why the process ended, judged on the machine it ran on.
    pub fn verdict(&self) -> Verdict {
        self.verdict_at(Here::SameMachine)
    }

    /// Why the process ended, judged here or elsewhere.
    pub fn verdict_at(&self, here: Here) -> Verdict {
        let now = match here {
            Here::SameMachine => identity::boot_id(),
            Here::Elsewhere => None,
        };
        Judge::new(self, now).verdict()
    }

    /// What the last records say of memory.
    pub fn shape(&self) -> Shape {
        Shape::of(self)
    }
}

// === impl Verdict ===

impl Verdict {
    /// For a file whose header cannot be read.
    pub(crate) fn damaged() -> Self {
        Self {
            cause: Cause::Unknown,
            confidence: Confidence::Low,
            detail: "the header of the recording is damaged".into(),
            evidence: Vec::new(),
            last_real_ns: 0,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause.sentence())?;
        if !matches!(self.cause, Cause::Clean | Cause::Running) {
            write!(f, " ({} confidence)", self.confidence.as_str())?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        if self.last_real_ns > 0 {
            write!(f, "; last record {}", Utc(self.last_real_ns))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
