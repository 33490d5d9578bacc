//! A file of lines that rotates by size.
//!
//! A batch that could not be written whole, as on a full disk, is cut off again: when it comes back nothing is torn
//! and nothing is there twice.

use super::lines::LineSink;
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// When written lines are forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// When the kernel likes.
    Never,
    /// After each batch, before it counts as delivered.
    Batch,
    /// At most this long after they were written.
    Every(Duration),
}

/// Where, and how large.
#[derive(Debug, Clone)]
pub struct FileConfig {
    /// The file that is appended to.
    pub path: PathBuf,
    /// When lines are forced to the disk.
    pub fsync: Fsync,
    /// A file of this size is set aside.
    pub rotate_bytes: u64,
    /// How many are kept beside the present one, as `path.1` (newest) to `path.N`.
    pub keep: usize,
}

/// Appends lines to a file, mode 0600.
#[derive(Debug)]
pub struct FileSink {
    config: FileConfig,
    file: Option<File>,
    len_bytes: u64,
    dirty_since: Option<Instant>,
}

impl FileSink {
    /// A sink that is not open yet.
    pub fn new(config: FileConfig) -> Self {
        Self {
            config,
            file: None,
            len_bytes: 0,
            dirty_since: None,
        }
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let file = open(&self.config.path)?;
            self.len_bytes = file.metadata()?.len();
            self.file = Some(file);
        }
        self.file
            .as_mut()
            .ok_or_else(|| io::Error::other("not open"))
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        self.file = None;
        let name = |n: usize| match n {
            0 => self.config.path.clone(),
            n => numbered(&self.config.path, n),
        };
        if self.config.keep == 0 {
            fs::remove_file(name(0))?;
        }
        for n in (0..self.config.keep).rev() {
            match fs::rename(name(n), name(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file().map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        if let (Some(file), Some(_)) = (&self.file, self.dirty_since) {
            file.sync_data()?;
        }
        self.dirty_since = None;
        Ok(())
    }
}

impl LineSink for FileSink {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn name(&self) -> String {
        self.config.path.display().to_string()
    }

    fn open(&mut self) -> io::Result<()> {
        self.file().map(drop)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.len_bytes > 0 && self.len_bytes + lines.len() as u64 > self.config.rotate_bytes {
            self.rotate()?;
        }
        let (whole, fsync) = (self.len_bytes, self.config.fsync);
        let file = self.file()?;
        let written = file.write_all(lines).and_then(|()| match fsync {
            Fsync::Batch => file.sync_data(),
            _ => Ok(()),
        });
        if let Err(error) = written {
            file.set_len(whole)?;
            return Err(error);
        }
        self.len_bytes = whole + lines.len() as u64;
        self.dirty_since = self.dirty_since.or_else(|| Some(Instant::now()));
        self.tick()
    }

    fn tick(&mut self) -> io::Result<()> {
        match (self.config.fsync, self.dirty_since) {
            (Fsync::Every(period), Some(since)) if since.elapsed() >= period => self.sync(),
            _ => Ok(()),
        }
    }

    fn close(&mut self) -> io::Result<()> {
        self.sync()
    }
}

/// Opens for appending, without following a link that somebody put there.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if file.metadata()?.permissions().mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "others may write to it: chmod go-w it, or name another file",
        ));
    }
    Ok(file)
}

fn numbered(path: &Path, n: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

#[cfg(test)]
#[path = "file/tests.rs"]
mod tests;
