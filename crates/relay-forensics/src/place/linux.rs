//! Folders on Linux.

use std::{
    ffi::{OsStr, OsString},
    fs::{DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, fallocate, flock, fstat, fstatfs,
    open, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::{NewFile, PlaceError, list};

/// How long to wait for another process that is taking a name in the same folder.
const FOLDER_TRIES: u32 = 200;

/// A viewer that asks whether a recording is alive holds its lock for a moment.
const FILE_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// `f_type` of tmpfs, `linux/magic.h`.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// A folder of recordings, opened and locked for as long as this lives.
pub(crate) struct Place {
    folder: File,
    path: PathBuf,
}

// === impl Place ===

impl Place {
    /// Opens the folder, which is made with mode 0700 when it is missing, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, PlaceError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(PlaceError::Folder)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty())
            .map_err(|error| PlaceError::Folder(error.into()))?;
        let folder = File::from(folder);
        let owner = folder.metadata().map_err(PlaceError::Folder)?.uid();
        // A mounted volume belongs to root and is writable by a group: that is as safe as it gets.
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(PlaceError::FolderOwner { owner });
        }
        match lock(&folder, FOLDER_TRIES) {
            Ok(true) => Ok(Self {
                folder,
                path: path.to_owned(),
            }),
            Ok(false) => Err(PlaceError::FolderBusy),
            Err(error) => Err(PlaceError::Folder(error)),
        }
    }

    pub(crate) fn path_of(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }

    /// The recording that lies under `name`, locked for this process; `None` when there is none.
    pub(crate) fn take(&self, name: &str) -> Result<Option<File>, PlaceError> {
        let hostile = |found| PlaceError::Hostile {
            name: name.to_owned(),
            found,
        };
        // A pipe in its place must not make the start wait.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(hostile("a symbolic link")),
            Err(Errno::ISDIR) => return Err(hostile("a folder")),
            Err(error) => return Err(PlaceError::Create(error.into())),
        };
        let about = fstat(&file).map_err(|error| PlaceError::Create(error.into()))?;
        if !FileType::from_raw_mode(about.st_mode).is_file() {
            return Err(hostile("no plain file"));
        }
        if about.st_uid != rustix::process::geteuid().as_raw() {
            return Err(hostile("a file of another user"));
        }
        if about.st_nlink > 1 {
            return Err(hostile("a file with a second name"));
        }
        match lock(&file, FILE_TRIES) {
            Ok(true) => Ok(Some(file)),
            Ok(false) => Err(PlaceError::InUse {
                name: name.to_owned(),
            }),
            Err(error) => Err(PlaceError::Create(error)),
        }
    }

    /// A file of `bytes` zeroes with a block for each, mode 0600, locked for this process.
    pub(crate) fn create(&self, name: &str, bytes: usize) -> Result<NewFile, PlaceError> {
        let temporary = OsString::from(format!(".{name}.tmp"));
        // Left by a process that died in between; the lock on the folder says it is not alive.
        let _ = unlinkat(&self.folder, &temporary, AtFlags::empty());
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC;
        let file = openat(&self.folder, &temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| PlaceError::Create(error.into()))?;
        let new = Self::fill(File::from(file), bytes);
        if new.is_err() {
            let _ = unlinkat(&self.folder, &temporary, AtFlags::empty());
        }
        let (file, allocated) = new.map_err(PlaceError::Create)?;
        let on_tmpfs = fstatfs(&file).is_ok_and(|about| about.f_type as u64 == TMPFS_MAGIC);
        Ok(NewFile {
            file,
            allocated,
            on_tmpfs,
            name: temporary,
        })
    }

    /// Without blocks for all of it, writing to the mapping could fail, and that is a SIGBUS.
    fn fill(mut file: File, bytes: usize) -> io::Result<(File, bool)> {
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // Beyond this the kernel does not only refuse, it ends the process (SIGXFSZ).
        let most = getrlimit(Resource::Fsize).current;
        if let Some(most) = most.filter(|most| *most < bytes as u64) {
            return Err(io::Error::other(format!(
                "it needs {bytes} bytes, and no file may have more than {most} (RLIMIT_FSIZE): raise that limit (ulimit -f)"
            )));
        }
        let allocated = match fallocate(
            &file,
            rustix::fs::FallocateFlags::empty(),
            0,
            bytes as u64,
        ) {
            Ok(()) => true,
            // Some network file systems cannot; writing every byte reserves them, too.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => false,
            Err(error) => return Err(error.into()),
        };
        let zeroes = vec![0; 64 << 10];
        let mut left = bytes;
        while left > 0 {
            let part = left.min(zeroes.len());
            file.write_all(&zeroes[..part])?;
            left -= part;
        }
        file.sync_data()?;
        Ok((file, allocated))
    }

    /// Puts a finished file under its name.
    pub(crate) fn publish(&self, new: &NewFile, name: &str) -> Result<(), PlaceError> {
        renameat(&self.folder, &new.name, &self.folder, name)
            .map_err(|error| PlaceError::Create(error.into()))?;
        self.keep_names();
        Ok(())
    }

    /// Makes renames outlive a power cut. Writing a file to the disk does not write the name it goes by: without this
    /// the recording was found under its temporary name in the first seconds (ext4; `cargo xtask stress blackbox`).
    fn keep_names(&self) {
        // A file system that cannot (`EINVAL`) does it in its own time.
        let _ = self.folder.sync_all();
    }

    pub(crate) fn discard(&self, new: &NewFile) {
        let _ = unlinkat(&self.folder, &new.name, AtFlags::empty());
    }

    /// Writes a small file, whole or not at all, mode 0600; an existing one is never replaced.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = format!(".{name}.tmp");
        let _ = unlinkat(&self.folder, &temporary, AtFlags::empty());
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC;
        let file = openat(&self.folder, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        let written = file.write_all(bytes).and_then(|()| file.sync_data());
        let placed = written.and_then(|()| self.rename(&temporary, name));
        match placed {
            Ok(()) => self.keep_names(),
            Err(_) => {
                let _ = unlinkat(&self.folder, &temporary, AtFlags::empty());
            }
        }
        placed
    }

    /// Renames without ever replacing what is there.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let folder = &self.folder;
        match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
            // A file system without the flag; the folder is locked, so nobody comes in between.
            Err(Errno::INVAL | Errno::NOSYS) if !self.path_of(to).exists() => {
                Ok(renameat(folder, from, folder, to)?)
            }
            renamed => Ok(renamed?),
        }
    }

    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    /// Names and sizes of the plain files in the folder that end with `ending`.
    pub(crate) fn list(&self, ending: &str) -> io::Result<Vec<(OsString, u64)>> {
        list(&self.path, ending)
    }
}

/// Locks for this process alone; `false` when another one keeps it.
fn lock(file: &File, tries: u32) -> io::Result<bool> {
    for _ in 0..tries {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK | Errno::INTR) => thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Whether a living process holds the recording.
pub(crate) fn is_held(file: &File) -> bool {
    let held = flock(file, FlockOperation::NonBlockingLockShared);
    if held.is_ok() {
        let _ = flock(file, FlockOperation::Unlock);
    }
    held == Err(Errno::WOULDBLOCK)
}
