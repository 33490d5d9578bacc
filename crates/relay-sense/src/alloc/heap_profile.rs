//! A profile of jemalloc's heap: which stacks hold how many live bytes.
//!
//! jemalloc takes a stack each 512 KiB of allocations (`lg_prof_sample`), if it was started with `prof:true`: in the
//! variable `_RJEM_MALLOC_CONF`, or built in by `JEMALLOC_SYS_WITH_MALLOC_CONF`. Format and options: `jemalloc(3)`,
//! version 5.3; `jeprof` reads it.

#![allow(unsafe_code)]

use std::ffi::{CString, c_char};
use std::fs::File;
use std::io::{self, Read};

use tikv_jemalloc_ctl::{profiling, raw};

use super::reclaim::Jemalloc;

// === impl Jemalloc ===

impl Jemalloc {
    /// Whether stacks are taken, so that there can be a profile.
    pub fn is_profiling() -> bool {
        profiling::prof::read().unwrap_or(false)
    }

    /// The profile of what is live now, as `jeprof` reads it; at most `bytes_max` of memory and as much again for the
    /// time of the call. Takes every arena's lock one after the other: milliseconds, not for the data path.
    ///
    /// ```no_run
    /// use relay_sense::alloc::Jemalloc;
    ///
    /// if Jemalloc::is_profiling() {
    ///     std::fs::write("shop.heap", Jemalloc::heap_profile(8 << 20)?)?;
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When jemalloc takes no stacks, cannot write them (no descriptor, no `/proc`), or has more than `bytes_max` to say.
    pub fn heap_profile(bytes_max: usize) -> io::Result<Vec<u8>> {
        if !Self::is_profiling() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "jemalloc takes no stacks: start the process with _RJEM_MALLOC_CONF=prof:true",
            ));
        }
        let (mut file, path) = memory_file()?;
        let pointer: *const c_char = path.as_ptr();
        // SAFETY: `prof.dump` takes a pointer to a C string (`jemalloc(3)`), which it reads before it returns; `path` lives
        // until then. Exercised by `tests/heap_profile.rs`.
        unsafe { raw::write(b"prof.dump\0", pointer) }
            .map_err(|error| io::Error::other(format!("jemalloc: prof.dump: {error}")))?;
        let bytes = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if bytes > bytes_max {
            let text = format!("the profile has {bytes} bytes, {bytes_max} are allowed");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        let mut profile = Vec::with_capacity(bytes);
        file.read_to_end(&mut profile)?;
        Ok(profile)
    }
}

/// jemalloc writes to a path. A file in memory has one, needs no folder, and is gone with its descriptor.
#[cfg(all(target_os = "linux", not(relay_portable)))]
fn memory_file() -> io::Result<(File, CString)> {
    use rustix::fs::{MemfdFlags, memfd_create};
    use std::os::fd::AsRawFd;

    let file = File::from(memfd_create("heap-profile", MemfdFlags::CLOEXEC)?);
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok((file, path))
}

#[cfg(any(not(target_os = "linux"), relay_portable))]
fn memory_file() -> io::Result<(File, CString)> {
    let text = "a heap profile takes a file in memory, which only Linux has";
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}
