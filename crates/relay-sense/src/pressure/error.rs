//! Why there is no trigger, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader;
use crate::sys::{self, Refusal};

/// Why there is no trigger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TriggerError {
    /// The window is outside what the kernel takes.
    #[error("a window of {window:?} is not between 500 ms and 10 s")]
    Window {
        /// The window that was asked for.
        window: Duration,
    },
    /// The stall is zero, shorter than a microsecond, or longer than the window.
    #[error("a stall of {stall:?} is not between 1 µs and the window of {window:?}")]
    Stall {
        /// The stall that was asked for.
        stall: Duration,
        /// The window that was asked for.
        window: Duration,
    },
    /// The own group shows no pressure, and a trigger for the whole machine would tell of others.
    #[error("no pressure file of the own control group: {reason}")]
    NoGroupFile {
        /// Why not.
        reason: String,
    },
    /// The system refused.
    #[error("{}: {}", .path.display(), explain(.source))]
    Refused {
        /// The file, FIFO or socket.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// `MEMORY_PRESSURE_WATCH` is neither an absolute path nor `/dev/null`.
    #[error("MEMORY_PRESSURE_WATCH is {value:?}, which is not an absolute path")]
    NotAPath {
        /// The value.
        value: String,
    },
    /// `MEMORY_PRESSURE_WRITE` is not base64.
    #[error("MEMORY_PRESSURE_WRITE is not base64: {0}")]
    NotBase64(#[from] base64::DecodeError),
}

// === impl TriggerError ===

impl TriggerError {
    pub(super) fn refused(path: &Path, source: io::Error) -> Self {
        Self::Refused {
            path: path.to_owned(),
            source,
        }
    }
}

/// What an answer of the system means here.
fn explain(error: &io::Error) -> String {
    let why = match sys::refusal(error) {
        Some(Refusal::ReadOnly) => "mounted read-only, as in an ordinary container",
        Some(Refusal::OtherUser) => "belongs to another user; a service manager can delegate it",
        Some(Refusal::Unprivileged) => {
            "this kernel lets only privileged processes register triggers"
        }
        Some(Refusal::Invalid) => {
            "the kernel takes this window only from a privileged process; use a multiple of 2 s"
        }
        Some(Refusal::Taken) => "this descriptor has a trigger already",
        _ => return reader::explain(error),
    };
    format!("{why} ({error})")
}

// Elsewhere errors have other numbers, and there is no kernel to refuse.
#[cfg(all(test, target_os = "linux", not(relay_portable)))]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn every_refusal_of_the_kernel_says_what_to_do() {
        let cases = [
            (Errno::ROFS, "read-only"),
            (Errno::ACCESS, "another user"),
            (Errno::PERM, "privileged"),
            (Errno::INVAL, "multiple of 2 s"),
            (Errno::BUSY, "already"),
            (Errno::OPNOTSUPP, "psi=1"),
            (Errno::NOENT, "CONFIG_PSI"),
            (Errno::NODEV, "removed"),
        ];
        for (errno, word) in cases {
            let error = TriggerError::refused(Path::new("/f"), errno.into());
            let text = error.to_string();
            assert!(text.starts_with("/f: ") && text.contains(word), "{text}");
        }
    }
}
