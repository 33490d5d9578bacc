//! The seam between Linux and the rest: everything that one system has and another lacks, in one place.
//!
//! | side | chosen | has |
//! |---|---|---|
//! | `linux` | on Linux | kernel files, inotify, pressure triggers, `poll(2)`, `mlock(2)` |
//! | `portable` | elsewhere, and under `--cfg relay_portable` | what std and two small crates tell: memory of the machine and of this process, processors |
//!
//! Both have the same names, so that no other module asks where it runs. Parsing is not here: a folder that holds
//! the files of a Linux machine reads alike everywhere ([`Root::at`](crate::Root::at)).

use std::io;

#[cfg(all(target_os = "linux", not(relay_portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(relay_portable)))]
pub(crate) use linux::*;

#[cfg(any(relay_portable, not(target_os = "linux")))]
mod portable;
#[cfg(any(relay_portable, not(target_os = "linux")))]
pub(crate) use portable::*;

/// In place of a figure, a descriptor or a file that only Linux has.
pub(crate) const NOT_AVAILABLE: &str = "not available on this system";

/// What a poll says of one thing that was waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// It has something to say.
    pub(crate) ready: bool,
    /// It will not say anything any more.
    pub(crate) ended: bool,
}

/// Answers of the kernel that mean something particular here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    any(relay_portable, not(target_os = "linux")),
    expect(dead_code, reason = "only Linux answers so")
)]
pub(crate) enum Refusal {
    /// EROFS.
    ReadOnly,
    /// EACCES.
    OtherUser,
    /// EPERM.
    Unprivileged,
    /// EINVAL.
    Invalid,
    /// EBUSY.
    Taken,
    /// EOPNOTSUPP.
    TurnedOff,
    /// ENOENT.
    NotThere,
    /// ENODEV: what the file belonged to was removed.
    Removed,
}

impl Answer {
    pub(crate) const fn any(self) -> bool {
        self.ready || self.ended
    }
}

/// The error of whoever asks for what only Linux has.
#[cfg_attr(
    all(target_os = "linux", not(relay_portable)),
    expect(dead_code, reason = "Linux has it")
)]
pub(crate) fn not_available() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, NOT_AVAILABLE)
}
