//! The whole picture, once, at the start.

use std::fmt;

use crate::cgroup::View;
use crate::cpu::{self, CpuLimit};
use crate::hierarchy::Hierarchy;
use crate::limit::{self, Inputs, MemoryLimit, SoftLimit};
use crate::pressure::{Availability, Pressure};
use crate::variables::{self, Lookup};
use crate::{Bound, Root, SenseError, meminfo, rlimit, swap};

/// What limits this process.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Detection {
    /// The hard memory limit in force; `None` where it is unknown, since not even the machine's
    /// memory could be read.
    pub memory: Option<MemoryLimit>,
    /// The soft limit, where one lies below the hard one.
    pub soft: Option<SoftLimit>,
    /// How much the control group may swap out. *Unknown* where no group is seen, or where the
    /// kernel keeps no account of swap.
    pub swap: Bound,
    /// Whether there are control groups above those that can be seen, or may be. Their limits would
    /// bind as well.
    pub ancestors_hidden: bool,
    /// The smallest of the limits that stand for one of the whole group (machine, environment, configuration): all that a
    /// sampler has to be told, since it reads those of the groups and of the process itself.
    pub fixed_limit: Bound,
    /// The processors it may use.
    pub cpu: CpuLimit,
    /// Whether memory pressure can be read.
    pub pressure: Availability,
    /// Everything that could not be seen or was ignored, in words.
    pub notes: Vec<String>,
}

/// Finds the limits of a process, with what its surroundings add.
///
/// The limit is the smallest of every control group level that can be seen, the machine's memory,
/// `RLIMIT_AS` and `RLIMIT_DATA`, the environment and the configuration.
///
/// | variable | sets | text |
/// |---|---|---|
/// | `RELAY_MEMORY_LIMIT_BYTES`, `MEMORY_LIMIT_BYTES` | a hard limit | `512MiB`, bytes; `0.8` or `80%` of what was detected; `off`, `max` or empty for none |
/// | `MEMORY_LIMIT` | the same | deprecated: understood, with a note |
/// | `GOMEMLIMIT` | a soft limit | `200MiB`, bytes; `off` or empty for none |
///
/// All of them count, so the smallest wins. One that cannot be understood is ignored, with a note.
///
/// ```
/// use relay_sense::{Detect, LimitSource, Root};
///
/// // In a program: `&|name| std::env::var(name).ok()`.
/// let environment = |name: &str| (name == "MEMORY_LIMIT_BYTES").then(|| "16MiB".to_owned());
///
/// let root = Root::system();
/// let detection = Detect::new(&root)
///     .environment(&environment)
///     .configured(64 << 20)
///     .run()?;
/// let memory = detection.memory.expect("the machine has memory");
/// assert!(memory.bytes <= 16 << 20);
/// if memory.source == LimitSource::Env {
///     assert_eq!(memory.name, Some("MEMORY_LIMIT_BYTES"));
/// }
/// # Ok::<(), relay_sense::SenseError>(())
/// ```
#[derive(Clone, Copy)]
#[must_use = "nothing is read before `run`"]
pub struct Detect<'a> {
    root: &'a Root,
    lookup: &'a Lookup<'a>,
    configured: Option<u64>,
    configured_soft: Option<u64>,
}

/// Finds the limits of this process from kernel files and `configured`, a limit in bytes that the
/// caller wants to hold as well. The short form of [`Detect`], without an environment.
///
/// ```
/// use relay_sense::{Root, detect};
///
/// let detection = detect(&Root::system(), Some(64 << 20))?;
/// if let Some(memory) = detection.memory {
///     assert!(memory.bytes <= 64 << 20);
///     println!("{} bytes, set by {}", memory.bytes, memory.source);
/// }
/// # Ok::<(), relay_sense::SenseError>(())
/// ```
///
/// # Errors
///
/// Those of [`Detect::run`].
pub fn detect(root: &Root, configured: Option<u64>) -> Result<Detection, SenseError> {
    let mut detect = Detect::new(root);
    detect.configured = configured;
    detect.run()
}

// === impl Detect ===

impl<'a> Detect<'a> {
    /// The limits that kernel files tell.
    pub fn new(root: &'a Root) -> Self {
        Self {
            root,
            lookup: &|_| None,
            configured: None,
            configured_soft: None,
        }
    }

    /// Honours the variables that `lookup` returns.
    pub fn environment(mut self, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        self.lookup = lookup;
        self
    }

    /// Holds a limit in bytes as well.
    pub fn configured(mut self, bytes: u64) -> Self {
        self.configured = Some(bytes);
        self
    }

    /// Holds a soft limit in bytes as well.
    pub fn configured_soft(mut self, bytes: u64) -> Self {
        self.configured_soft = Some(bytes);
        self
    }

    /// Looks, once.
    ///
    /// Reads a few dozen small files, allocates, and takes some hundred microseconds: for the start,
    /// not for every tick. A limit can change while the process runs;
    /// [`Sampler`](crate::Sampler) sees that.
    ///
    /// # Errors
    ///
    /// [`SenseError::Root`] if the root folder cannot be listed, [`SenseError::ConfiguredZero`] if
    /// the configured limit is zero. A kernel file that is missing or unreadable is no error but a
    /// note, and so is a variable that cannot be understood.
    pub fn run(self) -> Result<Detection, SenseError> {
        let Self {
            root,
            lookup,
            configured,
            configured_soft,
        } = self;
        root.check()?;
        if configured == Some(0) {
            return Err(SenseError::ConfiguredZero);
        }
        let view = View::load(root);
        let mut notes = Vec::new();
        let hierarchy = Hierarchy::open(root, &view, &mut notes);
        let inputs = Inputs {
            physical: meminfo::total_bytes(root, &mut notes),
            rlimits: rlimit::limits(root).collect(),
            variables: variables::limits(lookup, &mut notes),
            configured,
        };
        let soft_variable = variables::soft(lookup, &mut notes);
        let found = limit::detect(&hierarchy, &inputs, &mut notes);
        let hard = found.limit.as_ref().map(|limit| limit.bytes);
        Ok(Detection {
            soft: limit::soft(&hierarchy, soft_variable, configured_soft, hard),
            memory: found.limit,
            swap: swap::limit(root, &hierarchy),
            ancestors_hidden: hierarchy.ancestors_hidden,
            fixed_limit: found.fixed,
            cpu: cpu::detect(root, &view, &mut notes),
            pressure: Pressure::open(root).availability().clone(),
            notes,
        })
    }
}

impl fmt::Debug for Detect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detect")
            .field("root", &self.root)
            .field("configured", &self.configured)
            .field("configured_soft", &self.configured_soft)
            .finish_non_exhaustive()
    }
}
