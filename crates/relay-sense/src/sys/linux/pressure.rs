//! What is behind a pressure trigger: a file of the kernel's, or what a service manager offers.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::OFlags;

#[derive(Debug)]
pub(crate) enum PressureFd {
    /// A file of the kernel's, ready with `POLLPRI`.
    Kernel(OwnedFd),
    /// A FIFO or a socket, ready with `POLLIN`; what is sent means nothing and is thrown away.
    Fifo(File),
    Socket(UnixStream),
}

impl PressureFd {
    /// Opens a file of the kernel's and tells it what to tell of.
    pub(crate) fn kernel(path: &Path, message: Option<&[u8]>) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(message.is_some())
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)?;
        if let Some(message) = message {
            // One call: each write is a line of its own to the kernel.
            let _ = file.write(message)?;
        }
        Ok(Self::Kernel(file.into()))
    }

    /// Opens whatever lies there, and sends it the message.
    pub(crate) fn offered(path: &Path, message: Option<&[u8]>) -> io::Result<Self> {
        let kind = std::fs::metadata(path)?.file_type();
        if kind.is_socket() {
            let mut socket = UnixStream::connect(path)?;
            socket.write_all(message.unwrap_or_default())?;
            socket.set_nonblocking(true)?;
            return Ok(Self::Socket(socket));
        }
        if !kind.is_fifo() {
            return Self::kernel(path, message);
        }
        // Opened for writing too, a FIFO neither blocks nor ends when its writers come and go.
        let mut fifo = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)?;
        fifo.write_all(message.unwrap_or_default())?;
        Ok(Self::Fifo(fifo))
    }

    /// Whether readiness is `POLLPRI`.
    pub(crate) fn is_priority(&self) -> bool {
        matches!(self, Self::Kernel(_))
    }

    /// Throws away what was sent; whether the other side may send more.
    pub(crate) fn clear(&mut self) -> bool {
        let mut scrap = [0; 512];
        // So often at most: whoever writes faster than this is read next time.
        for _ in 0..64 {
            let read = match self {
                Self::Kernel(_) => return true,
                Self::Fifo(fifo) => fifo.read(&mut scrap),
                Self::Socket(socket) => socket.read(&mut scrap),
            };
            match read {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }
}

impl AsFd for PressureFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Kernel(fd) => fd.as_fd(),
            Self::Fifo(fifo) => fifo.as_fd(),
            Self::Socket(socket) => socket.as_fd(),
        }
    }
}

/// Ready with `POLLPRI` or `POLLIN`, see [`is_priority`](crate::Trigger::is_priority). Linux only.
impl AsFd for crate::Trigger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source().as_fd()
    }
}
