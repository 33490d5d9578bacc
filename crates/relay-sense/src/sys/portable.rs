//! Systems other than Linux. There is no `/proc`, no control group and nothing to watch; a folder that holds the files
//! of a Linux machine can be read all the same.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use procfs_core::process::MountInfo;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::{Answer, Refusal, not_available};
use crate::cpu::CpuSet;
use crate::watch::FileEvent;

/// What is in a folder was written by a Linux machine, most likely with pages of this size.
const PAGE_BYTES: u64 = 4096;

/// Longer than that nobody waits at once.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// Whether the running system shows itself in `/proc` and `/sys`.
pub(crate) const HAS_KERNEL_FILES: bool = false;

/// Reads from the beginning of the file, whoever else reads it.
pub(crate) fn read_at_start(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_at(file, buffer, 0);
    #[cfg(windows)]
    return std::os::windows::fs::FileExt::seek_read(file, buffer, 0);
    #[cfg(not(any(unix, windows)))]
    return {
        let _ = (file, buffer);
        Err(not_available())
    };
}

/// What an answer means, if anything particular.
pub(crate) fn refusal(error: &io::Error) -> Option<Refusal> {
    (error.kind() == io::ErrorKind::NotFound).then_some(Refusal::NotThere)
}

/// What `/proc` counts in.
pub(crate) fn page_bytes() -> u64 {
    PAGE_BYTES
}

/// How many descriptors this process may have open.
pub(crate) fn descriptors_limit() -> Option<u64> {
    None
}

/// As many processors as this process may use, by no name in particular.
pub(crate) fn allowed_cpus() -> Option<CpuSet> {
    let cpus = thread::available_parallelism()
        .map(NonZeroUsize::get)
        .ok()?;
    CpuSet::of(0..cpus as u64)
}

/// What the machine has.
pub(crate) fn total_memory_bytes() -> Option<u64> {
    let ram = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(ram).ok()?;
    Some(system.total_memory()).filter(|bytes| *bytes > 0)
}

/// The resident size of this process: one call of the system, about a microsecond.
pub(crate) fn resident_bytes() -> Option<u64> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem as u64)
}

/// Locking is not asked of these systems: they do not reclaim at a limit of the process.
pub(crate) fn lock_memory(_: &mut [MaybeUninit<u8>]) -> io::Result<()> {
    Err(not_available())
}

/// Nothing tells of written files: limits are read once a second.
#[derive(Debug)]
pub(crate) struct Inotify(Infallible);

impl Inotify {
    pub(crate) fn new() -> io::Result<Self> {
        Err(not_available())
    }

    pub(crate) fn add(&self, _: &Path) -> io::Result<i32> {
        match self.0 {}
    }

    pub(crate) fn remove(&self, _: i32) {
        match self.0 {}
    }

    pub(crate) fn drain(&self, _: impl FnMut(FileEvent)) {
        match self.0 {}
    }
}

/// Nobody tells that memory was waited for.
#[derive(Debug)]
pub(crate) struct PressureFd(Infallible);

impl PressureFd {
    pub(crate) fn kernel(_: &Path, _: Option<&[u8]>) -> io::Result<Self> {
        Err(not_available())
    }

    pub(crate) fn offered(_: &Path, _: Option<&[u8]>) -> io::Result<Self> {
        Err(not_available())
    }

    pub(crate) fn is_priority(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn clear(&mut self) -> bool {
        match self.0 {}
    }
}

/// A flag to wait for.
#[derive(Debug)]
pub(crate) struct Bell {
    rang: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    // As fallible as on Linux, where it takes a descriptor.
    #[expect(clippy::unnecessary_wraps, reason = "the other side can fail")]
    pub(crate) fn new() -> io::Result<Self> {
        let bell = Self {
            rang: Mutex::new(false),
            changed: Condvar::new(),
        };
        // Some systems set memory aside for a lock at its first use, which may be within an allocation.
        bell.set(true);
        bell.clear();
        Ok(bell)
    }

    pub(crate) fn ring(&self) {
        self.set(true);
    }

    pub(crate) fn clear(&self) {
        self.set(false);
    }

    fn set(&self, rang: bool) {
        *self.rang.lock().unwrap_or_else(PoisonError::into_inner) = rang;
        if rang {
            self.changed.notify_all();
        }
    }

    /// Whether it rang within the time; `None` is for ever.
    fn wait(&self, timeout: Option<Duration>) -> bool {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut rang = self.rang.lock().unwrap_or_else(PoisonError::into_inner);
        while !*rang {
            let left = until.map_or(WAIT_MAX, |until| {
                until.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(rang, left);
            rang = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *rang
    }
}

/// Waits for the bell alone: there is nothing else.
#[expect(clippy::unnecessary_wraps, reason = "the other side can fail")]
pub(crate) fn poll(
    _: Option<&Inotify>,
    _: Option<&PressureFd>,
    wake: Option<&Bell>,
    timeout: Option<Duration>,
) -> io::Result<[Answer; 3]> {
    let mut answers = [Answer::default(); 3];
    match (wake, timeout) {
        (Some(bell), _) => answers[2].ready = bell.wait(timeout),
        (None, Some(timeout)) => thread::sleep(timeout),
        (None, None) => loop {
            thread::park();
        },
    }
    Ok(answers)
}
