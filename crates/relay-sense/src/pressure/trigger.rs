//! Asking the kernel, or the service manager, to say when memory is waited for.
//!
//! A trigger is a line `some|full STALL WINDOW` (microseconds) written to a pressure file, whose
//! descriptor then becomes ready with `POLLPRI`, at most once a window, when that much time was lost
//! within one. Sources: kernel `accounting/psi`; the variables are those of systemd's memory pressure
//! protocol (since version 254).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{TriggerError, reader};
use crate::Root;
use crate::sys::PressureFd;

/// The kernel's bounds for the window.
const WINDOW_MIN: Duration = Duration::from_millis(500);
const WINDOW_MAX: Duration = Duration::from_secs(10);

const WATCH: &str = "MEMORY_PRESSURE_WATCH";
const WRITE: &str = "MEMORY_PRESSURE_WRITE";

/// In place of a path: nobody is to watch.
const OFF: &str = "/dev/null";

/// Which waiting a trigger counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StallKind {
    /// At least one task waits.
    Some,
    /// All tasks wait.
    Full,
}

/// A descriptor that becomes ready when memory has been waited for.
///
/// Wait for it by [`wait`](crate::wait()). Closing it, by dropping, ends it.
///
/// ```
/// use std::time::Duration;
/// use relay_sense::{Root, StallKind, Trigger};
///
/// let (stall, window) = (Duration::from_millis(200), Duration::from_secs(2));
/// match Trigger::register(&Root::system(), StallKind::Some, stall, window) {
///     Ok(trigger) => println!("registered at {}", trigger.path().display()),
///     Err(error) => println!("without a trigger: {error}"),
/// }
/// ```
#[derive(Debug)]
pub struct Trigger {
    source: PressureFd,
    path: PathBuf,
    gone: bool,
}

/// What the service manager offers in `MEMORY_PRESSURE_WATCH`.
#[derive(Debug)]
pub enum Delegated {
    /// Nothing: the variable is not set.
    NotOffered,
    /// That nobody is to watch (`/dev/null`): do not register a trigger either.
    Off,
    /// This one; prefer it to one of your own.
    Offered(Trigger),
}

// === impl Trigger ===

impl Trigger {
    /// Registers a trigger at the own group's `memory.pressure`: ready when `stall` was lost within
    /// `window`.
    ///
    /// In an ordinary container this is refused, since the control groups are mounted read-only.
    ///
    /// # Errors
    ///
    /// [`TriggerError::Window`] and [`TriggerError::Stall`] for bounds the kernel would not take,
    /// [`TriggerError::NoGroupFile`] where the own group shows no pressure (version 1, the root group),
    /// and [`TriggerError::Refused`] where the system refuses: mounted read-only (EROFS), the file is
    /// another user's (EACCES), without privilege a window that is no multiple of 2 s (EINVAL, on older
    /// kernels EPERM), pressure turned off (EOPNOTSUPP, ENOENT). Systems other than Linux have no triggers.
    pub fn register(
        root: &Root,
        kind: StallKind,
        stall: Duration,
        window: Duration,
    ) -> Result<Self, TriggerError> {
        let path = reader::own_file(root).map_err(|reason| TriggerError::NoGroupFile { reason })?;
        Self::register_at(&root.path(&path), kind, stall, window)
    }

    /// Registers a trigger at this pressure file, such as `/proc/pressure/memory` for the whole machine.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    pub fn register_at(
        path: &Path,
        kind: StallKind,
        stall: Duration,
        window: Duration,
    ) -> Result<Self, TriggerError> {
        if !(WINDOW_MIN..=WINDOW_MAX).contains(&window) {
            return Err(TriggerError::Window { window });
        }
        if stall.as_micros() == 0 || stall > window {
            return Err(TriggerError::Stall { stall, window });
        }
        // The kernel overwrites the last byte it is given with its own end of text.
        let line = format!(
            "{} {} {}\0",
            kind.as_str(),
            stall.as_micros(),
            window.as_micros()
        );
        Self::behind(PressureFd::kernel(path, Some(line.as_bytes())), path)
    }

    /// Takes what the service manager offers through `MEMORY_PRESSURE_WATCH` and
    /// `MEMORY_PRESSURE_WRITE`. `lookup` finds a variable; this crate does not read the environment.
    /// Ask this first: the manager has opened to this process what it could not open itself.
    ///
    /// # Errors
    ///
    /// [`TriggerError::NotAPath`] and [`TriggerError::NotBase64`] for values that break the protocol,
    /// [`TriggerError::Refused`] for a file, FIFO or socket that cannot be opened or written.
    pub fn delegated(
        root: &Root,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Delegated, TriggerError> {
        let Some(value) = lookup(WATCH).filter(|value| !value.is_empty()) else {
            return Ok(Delegated::NotOffered);
        };
        if value == OFF {
            return Ok(Delegated::Off);
        }
        if !value.starts_with('/') {
            return Err(TriggerError::NotAPath { value });
        }
        let message = lookup(WRITE)
            .map(|text| STANDARD.decode(text.trim()))
            .transpose()?;
        let path = root.path(&value);
        let source = PressureFd::offered(&path, message.as_deref());
        Self::behind(source, &path).map(Delegated::Offered)
    }

    /// Where it is registered.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it will not become ready any more: its group was removed, or the other side has
    /// closed. [`wait`](crate::wait()) passes it over from then on.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether readiness is `POLLPRI`, as for the kernel's own files, or else `POLLIN`. Only needed in a
    /// `poll(2)` of your own.
    pub fn is_priority(&self) -> bool {
        self.source.is_priority()
    }

    pub(crate) fn end(&mut self) {
        self.gone = true;
    }

    /// Throws away what a FIFO or socket has sent, which would keep it ready; the end of it is the
    /// end of the trigger. To be called when it was ready. Waits for nothing and allocates nothing.
    pub fn clear(&mut self) {
        if !self.source.clear() {
            self.end();
        }
    }

    pub(crate) fn source(&self) -> &PressureFd {
        &self.source
    }

    fn behind(source: io::Result<PressureFd>, path: &Path) -> Result<Self, TriggerError> {
        match source {
            Ok(source) => Ok(Self {
                source,
                path: path.to_owned(),
                gone: false,
            }),
            Err(source) => Err(TriggerError::refused(path, source)),
        }
    }
}

// === impl StallKind ===

impl StallKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Some => "some",
            Self::Full => "full",
        }
    }
}
