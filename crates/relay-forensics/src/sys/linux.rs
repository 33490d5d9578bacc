//! What this crate asks of Linux, but for folders.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use memmap2::MmapRaw;
use rustix::{
    fs::{FallocateFlags, Mode, OFlags, fallocate, open},
    io::Errno,
    process::{Resource, getrlimit},
    time::{ClockId, Timespec, clock_gettime},
};

/// Opens a file to be read, without waiting, because it may be a pipe that somebody left there.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(File::from(open(path, flags, Mode::empty())?))
}

/// Opens a plain file, which is made when it is missing, with a block for each of so many bytes: without, a write to
/// its mapping is a SIGBUS on a full disk.
pub(crate) fn open_page(path: &Path, bytes: u64) -> io::Result<File> {
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let file = File::from(open(path, flags, mode)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
    }
    file.set_len(bytes)?;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(file),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}

/// Keeps every page of a mapping in memory (`mlock(2)`).
pub(crate) fn lock(map: &MmapRaw) -> io::Result<()> {
    map.lock()
}

/// How many bytes this process may lock; `None` for any number.
pub(crate) fn lockable_bytes() -> Option<u64> {
    getrlimit(Resource::Memlock).current
}

/// The names of the host and of the kernel's release.
pub(crate) fn names() -> (String, String) {
    let system = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
    (text(system.nodename()), text(system.release()))
}

pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

pub(crate) fn boottime_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Boottime))
}

pub(crate) fn real_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

/// Zero before 1970, which no recording needs to tell apart.
fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}
