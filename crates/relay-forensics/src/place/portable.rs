//! No folders: what makes one safe (locks on a folder, names relative to it, blocks set aside) is Linux's.

use std::{
    convert::Infallible,
    ffi::{OsStr, OsString},
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{NewFile, PlaceError};
use crate::sys;

/// There is none.
pub(crate) struct Place(Infallible);

// === impl Place ===

impl Place {
    pub(crate) fn open(_: &Path) -> Result<Self, PlaceError> {
        Err(PlaceError::Folder(sys::not_available()))
    }

    pub(crate) fn path_of(&self, _: impl AsRef<OsStr>) -> PathBuf {
        match self.0 {}
    }

    pub(crate) fn take(&self, _: &str) -> Result<Option<File>, PlaceError> {
        match self.0 {}
    }

    pub(crate) fn create(&self, _: &str, _: usize) -> Result<NewFile, PlaceError> {
        match self.0 {}
    }

    pub(crate) fn publish(&self, _: &NewFile, _: &str) -> Result<(), PlaceError> {
        match self.0 {}
    }

    pub(crate) fn discard(&self, _: &NewFile) {
        match self.0 {}
    }

    pub(crate) fn write(&self, _: &str, _: &[u8]) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn remove(&self, _: &OsStr) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn list(&self, _: &str) -> io::Result<Vec<(OsString, u64)>> {
        match self.0 {}
    }
}

/// Whether a living process holds the recording: one that lies on a file system shared with Linux.
pub(crate) fn is_held(file: &File) -> bool {
    let held = file.try_lock_shared();
    if held.is_ok() {
        let _ = file.unlock();
    }
    matches!(held, Err(TryLockError::WouldBlock))
}
