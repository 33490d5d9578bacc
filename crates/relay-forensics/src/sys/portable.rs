//! Other systems, and here with `--cfg relay_portable`: recordings in memory, and reading the files of others.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    sync::OnceLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use memmap2::MmapRaw;

/// The error of whoever asks for what only Linux has.
pub(crate) fn not_available() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "not available on this system")
}

/// Opens a file to be read.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// A page that others read while this process lives needs a mapping with a block for each byte.
pub(crate) fn open_page(_: &Path, _: u64) -> io::Result<File> {
    Err(not_available())
}

pub(crate) fn write_all_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

pub(crate) fn lock(_: &MmapRaw) -> io::Result<()> {
    Err(not_available())
}

/// Nothing is locked.
pub(crate) fn lockable_bytes() -> Option<u64> {
    None
}

/// The host is unknown; in place of a kernel's release, the name of the system.
pub(crate) fn names() -> (String, String) {
    (String::new(), std::env::consts::OS.to_owned())
}

/// Since it was first asked.
pub(crate) fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Suspended time is not told apart.
pub(crate) fn boottime_ns() -> u64 {
    monotonic_ns()
}

pub(crate) fn real_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
