//! Reading kernel files: whole ones at the start, held ones on every tick.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::sys::{self, Refusal};
use crate::text;

/// The longest file read at the start. Mount tables of crowded hosts reach a few MiB.
const MAX_BYTES: u64 = 16 << 20;

/// Room for most files read at the start.
const USUAL_BYTES: usize = 4 << 10;

/// Room for any file that holds one number.
const NUMBER_BYTES: usize = 64;

/// A kernel file kept open, so that reading it again is one system call.
#[derive(Debug)]
pub(crate) struct HeldFile {
    file: File,
}

/// Why a held file gives no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It cannot be read, or not as a number, for now.
    Unreadable,
    /// What it belonged to is gone: the control group was removed, and a new file at the same place
    /// is another file.
    Gone,
}

/// Reads a whole file, refusing to grow without end.
pub(crate) fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    // Most files fit, so that they are read in one call instead of growing pieces.
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            "longer than 16 MiB",
        ));
    }
    Ok(bytes)
}

// === impl HeldFile ===

impl HeldFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(|file| Self { file })
    }

    /// Opens a file that may rightly be absent; any other obstacle becomes a note.
    pub(crate) fn open_optional(path: &Path, notes: &mut Vec<String>) -> Option<Self> {
        match Self::open(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                notes.push(format!("{}: {error}", path.display()));
                None
            }
        }
    }

    /// Reads the file from its beginning into `buffer`. Allocates nothing.
    ///
    /// One call is enough: the kernel renders these files whole and hands out what fits. A line that
    /// did not fit is left out rather than handed on as a shorter number.
    pub(crate) fn read<'b>(&self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let length = loop {
            match sys::read_at_start(&self.file, buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if length < buffer.len() {
            return Ok(&buffer[..length]);
        }
        let whole_lines = buffer.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        Ok(&buffer[..whole_lines])
    }

    /// Reads a file of one number.
    pub(crate) fn number(&self) -> Result<u64, Silence> {
        match self.read(&mut [0; NUMBER_BYTES]) {
            Ok(text) => text::number(text.trim_ascii()).ok_or(Silence::Unreadable),
            Err(error) => Err(Silence::from(&error)),
        }
    }

    /// Reads a file of one value and hands its text to `parse`; `None` where it cannot be read.
    pub(crate) fn value<T>(&self, parse: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.read(&mut [0; NUMBER_BYTES]).ok().map(parse)
    }
}

// === impl Silence ===

impl From<&io::Error> for Silence {
    /// The kernel answers ENODEV for a file of a removed group.
    fn from(error: &io::Error) -> Self {
        match sys::refusal(error) {
            Some(Refusal::Removed) => Self::Gone,
            _ => Self::Unreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(text: &str) -> HeldFile {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, text).unwrap();
        HeldFile::open(&path).unwrap()
    }

    #[test]
    fn a_line_that_does_not_fit_is_left_out() {
        let file = held("anon 1234\nfile 5678\n");
        assert_eq!(file.read(&mut [0; 64]).unwrap(), b"anon 1234\nfile 5678\n");
        assert_eq!(file.read(&mut [0; 17]).unwrap(), b"anon 1234");
        assert_eq!(file.read(&mut [0; 5]).unwrap(), b"");
    }

    #[test]
    fn a_folder_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let folder = HeldFile::open(dir.path()).unwrap();
        assert!(folder.value(<[u8]>::to_vec).is_none());
        assert!(read_whole(dir.path()).is_err());
    }
}
