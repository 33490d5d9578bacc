//! Linux.

mod inotify;
mod pressure;
mod wake;

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

pub(crate) use inotify::Inotify;
pub(crate) use pressure::PressureFd;
pub(crate) use procfs::process::MountInfo;
pub(crate) use wake::{Bell, poll};

use super::Refusal;
use crate::cpu::CpuSet;

/// Whether the running system shows itself in `/proc` and `/sys`.
pub(crate) const HAS_KERNEL_FILES: bool = true;

/// Reads from the beginning of the file, whoever else reads it.
pub(crate) fn read_at_start(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    file.read_at(buffer, 0)
}

/// What an answer means, if anything particular.
pub(crate) fn refusal(error: &io::Error) -> Option<Refusal> {
    Some(match Errno::from_raw_os_error(error.raw_os_error()?) {
        Errno::ROFS => Refusal::ReadOnly,
        Errno::ACCESS => Refusal::OtherUser,
        Errno::PERM => Refusal::Unprivileged,
        Errno::INVAL => Refusal::Invalid,
        Errno::BUSY => Refusal::Taken,
        Errno::OPNOTSUPP => Refusal::TurnedOff,
        Errno::NOENT => Refusal::NotThere,
        Errno::NODEV => Refusal::Removed,
        _ => return None,
    })
}

/// What `/proc` counts in.
pub(crate) fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// How many descriptors this process may have open.
pub(crate) fn descriptors_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The processors that the scheduler allows this thread.
pub(crate) fn allowed_cpus() -> Option<CpuSet> {
    let allowed = rustix::thread::sched_getaffinity(None).ok()?;
    let cpus = 0..rustix::thread::CpuSet::MAX_CPU;
    CpuSet::of(
        cpus.filter(|cpu| allowed.is_set(*cpu))
            .map(|cpu| cpu as u64),
    )
}

/// `/proc/meminfo` has it.
pub(crate) fn total_memory_bytes() -> Option<u64> {
    None
}

/// `/proc/self/statm` has it.
pub(crate) fn resident_bytes() -> Option<u64> {
    None
}

/// Locks these bytes, and the rest of their pages, in memory.
#[allow(unsafe_code)]
pub(crate) fn lock_memory(bytes: &mut [MaybeUninit<u8>]) -> io::Result<()> {
    // SAFETY: the range is borrowed and so mapped; locking it changes none of its bytes. That it stays locked when the
    // borrow ends is harmless, because locking is about pages, not about what lies in them. Exercised by
    // `stack::tests::a_locked_stack_counts_as_locked`.
    unsafe { rustix::mm::mlock(bytes.as_mut_ptr().cast(), bytes.len()) }?;
    Ok(())
}
