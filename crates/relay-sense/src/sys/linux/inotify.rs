//! `inotify(7)`: being told that a file was written or removed.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use crate::watch::FileEvent;

/// Room for 64 events at a time; the kernel merges equal ones that follow each other.
const EVENTS_BYTES: usize = 1 << 10;

/// So many events are taken at once at most, so that a storm of them holds up nobody.
const EVENTS_MAX: usize = 4096;

#[derive(Debug)]
pub(crate) struct Inotify(OwnedFd);

impl Inotify {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = CreateFlags::NONBLOCK | CreateFlags::CLOEXEC;
        Ok(Self(inotify::init(flags)?))
    }

    /// Watches a file; the number its events come with.
    pub(crate) fn add(&self, path: &Path) -> io::Result<i32> {
        let flags = WatchFlags::MODIFY | WatchFlags::DELETE_SELF;
        Ok(inotify::add_watch(&self.0, path, flags)?)
    }

    pub(crate) fn remove(&self, id: i32) {
        // Of a file that is gone the kernel has forgotten it already.
        let _ = inotify::remove_watch(&self.0, id);
    }

    /// Hands over what has happened. Waits for nothing and allocates nothing.
    pub(crate) fn drain(&self, mut each: impl FnMut(FileEvent)) {
        let mut buffer = [MaybeUninit::uninit(); EVENTS_BYTES];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        // It ends with EAGAIN when all have been taken.
        for _ in 0..EVENTS_MAX {
            let Ok(event) = events.next() else { break };
            let flags = event.events();
            each(FileEvent {
                id: event.wd(),
                is_modified: flags.contains(ReadFlags::MODIFY),
                is_removed: flags.intersects(ReadFlags::DELETE_SELF | ReadFlags::IGNORED),
                has_lost_some: flags.contains(ReadFlags::QUEUE_OVERFLOW),
            });
        }
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Readable (`POLLIN`) when something has changed. Linux only.
impl AsFd for crate::Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify().as_fd()
    }
}
