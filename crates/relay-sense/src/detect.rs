//! The whole picture, once, at the start.

use crate::cgroup::View;
use crate::cpu::{self, CpuLimit};
use crate::hierarchy::Hierarchy;
use crate::limit::{self, MemoryLimit};
use crate::{Root, SenseError};

/// What limits this process.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Detection {
    /// The memory limit in force; `None` where it is unknown, since not even the machine's memory
    /// could be read.
    pub memory: Option<MemoryLimit>,
    /// The processors it may use.
    pub cpu: CpuLimit,
    /// Everything that could not be seen, those of [`MemoryLimit::notes`] included, in words.
    pub notes: Vec<String>,
}

/// Finds the limits of this process: the smallest of every control group level that can be seen, the
/// machine's memory, and `configured`, a limit in bytes that the caller wants to hold as well.
///
/// Reads a few dozen small files, allocates, and takes some hundred microseconds: for the start, not
/// for every tick. A limit can change while the process runs; [`Sampler`](crate::Sampler) sees that.
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
/// [`SenseError::Root`] if the root folder cannot be listed, [`SenseError::ConfiguredZero`] if
/// `configured` is zero. A kernel file that is missing or unreadable is no error but a note.
pub fn detect(root: &Root, configured: Option<u64>) -> Result<Detection, SenseError> {
    root.check()?;
    if configured == Some(0) {
        return Err(SenseError::ConfiguredZero);
    }
    let view = View::load(root);
    let mut notes = Vec::new();
    let hierarchy = Hierarchy::open(root, &view, &mut notes);
    let memory = limit::detect(root, &hierarchy, configured, &mut notes);
    let cpu = cpu::detect(root, &view, &mut notes);
    Ok(Detection { memory, cpu, notes })
}
