//! Where recordings lie: a folder that may be full, read-only, or prepared by somebody else.
//!
//! Everything is done relative to the opened folder, follows no symbolic link, and takes only plain
//! files of this user. While a name is being taken the folder itself is locked, so that two
//! processes with one name cannot both believe they have it. That takes Linux; elsewhere there is no
//! such folder, and recordings stay in memory.

#[cfg(all(target_os = "linux", not(relay_portable)))]
mod linux;
#[cfg(any(relay_portable, not(target_os = "linux")))]
mod portable;

use std::{ffi::OsString, fs::File, io, path::Path};

#[cfg(all(target_os = "linux", not(relay_portable)))]
pub(crate) use linux::{Place, is_held};
#[cfg(any(relay_portable, not(target_os = "linux")))]
pub(crate) use portable::{Place, is_held};

/// What the name of a recording ends with.
pub(crate) const ENDING: &str = ".fdr";

/// What the name of one that was set aside ends with.
pub(crate) const CRASH_ENDING: &str = ".crash.fdr";

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The folder cannot be made or opened: missing rights, a read-only file system, or a symbolic
    /// link in its place.
    #[error("cannot use the folder")]
    Folder(#[source] io::Error),
    /// The folder belongs to somebody who could replace what is in it.
    #[error("the folder belongs to user {owner}: it must be this user's or root's")]
    FolderOwner {
        /// Its owner.
        owner: u32,
    },
    /// Another process has been taking a name in this folder for two seconds.
    #[error("another process keeps the folder locked")]
    FolderBusy,
    /// The name of the recording is taken by something that is no recording of this user.
    #[error("{name}: {found}; remove it or choose another folder or instance")]
    Hostile {
        /// The name in the folder.
        name: String,
        /// What is there.
        found: &'static str,
    },
    /// A living process records under this name.
    #[error("a running process records to {name}: give each process an instance name of its own")]
    InUse {
        /// The name in the folder.
        name: String,
    },
    /// The file cannot be made: no room, over quota, or no rights.
    #[error("cannot make the file")]
    Create(#[source] io::Error),
}

/// A new file, not yet under its name.
pub(crate) struct NewFile {
    pub(crate) file: File,
    pub(crate) allocated: bool,
    pub(crate) on_tmpfs: bool,
    #[cfg(all(target_os = "linux", not(relay_portable)))]
    name: OsString,
}

/// Names and sizes of the plain files in `folder` that end with `ending`.
pub(crate) fn list(folder: &Path, ending: &str) -> io::Result<Vec<(OsString, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let about = entry.metadata()?;
        let wanted = name.to_str().is_some_and(|name| name.ends_with(ending));
        if wanted && about.is_file() {
            found.push((name, about.len()));
        }
    }
    Ok(found)
}

/// The file name of the recording of an instance.
pub(crate) fn file_name(instance: &str) -> String {
    format!("relay-{instance}{ENDING}")
}

/// What can be part of a file name on any system: other characters become `-`.
pub(crate) fn sanitised(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name = name.chars().take(48);
    let name: String = name.map(|c| if plain(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "unnamed".into() } else { name.into() }
}
