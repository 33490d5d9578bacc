//! Where `/proc` and `/sys` are: a folder can be a machine.

use std::path::{Path, PathBuf};

use crate::{SenseError, sys};

/// The folder that holds `proc/` and `sys/`.
///
/// Every kernel file this crate reads is taken from a `Root`, so that a folder copied from another
/// machine, or built by a test, can be examined like the running system.
///
/// ```
/// use std::path::Path;
/// use relay_sense::Root;
///
/// assert_eq!(Root::system().path("/proc/meminfo"), Path::new("/proc/meminfo"));
/// assert_eq!(Root::at("/srv/copy").path("/proc/meminfo"), Path::new("/srv/copy/proc/meminfo"));
/// ```
///
/// On systems other than Linux the running one has no such files: what it has is asked otherwise, and the rest is
/// unknown. A folder reads alike everywhere.
///
/// Symbolic links are followed by the running system: a copied tree with absolute links leads out of
/// its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    dir: PathBuf,
}

impl Root {
    /// The running system: `/`.
    pub fn system() -> Self {
        Self::at("/")
    }

    /// The machine whose files lie below `dir`.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where the file lies that the machine itself calls `abs`.
    pub fn path(&self, abs: &str) -> PathBuf {
        self.dir.join(abs.trim_start_matches('/'))
    }

    pub(crate) fn is_system(&self) -> bool {
        self.dir == Path::new("/")
    }

    /// Whether there is anything to read: of a running system only Linux shows itself in files, of a folder any.
    pub(crate) fn has_files(&self) -> bool {
        sys::HAS_KERNEL_FILES || !self.is_system()
    }

    /// Refuses a folder that is not there, which would otherwise read as a machine without limits.
    pub(crate) fn check(&self) -> Result<(), SenseError> {
        if !self.has_files() {
            return Ok(());
        }
        match std::fs::read_dir(&self.dir) {
            Ok(_) => Ok(()),
            Err(source) => Err(SenseError::Root {
                dir: self.dir.clone(),
                source,
            }),
        }
    }
}

impl Default for Root {
    fn default() -> Self {
        Self::system()
    }
}
