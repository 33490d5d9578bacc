//! The memory of this process alone, from `/proc/self/statm`. Source: `proc_pid_statm(5)`.

use crate::file::{HeldFile, Silence};
use crate::{Root, sys, text};

/// The file, and what its numbers count.
#[derive(Debug)]
pub(crate) struct Resident {
    statm: Option<HeldFile>,
    page_bytes: u64,
    /// The system has no such file.
    asks_system: bool,
}

/// What a process has, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessMemory {
    /// Its address space, touched or not.
    pub(crate) size: u64,
    pub(crate) resident: u64,
    /// The private, writable part of the address space, and stacks.
    pub(crate) data: u64,
}

// === impl Resident ===

impl Resident {
    pub(crate) fn open(root: &Root) -> Self {
        let open = || HeldFile::open(&root.path("/proc/self/statm")).ok();
        Self {
            statm: root.has_files().then(open).flatten(),
            page_bytes: sys::page_bytes(),
            asks_system: !root.has_files(),
        }
    }

    /// The resident size.
    pub(crate) fn bytes(&self) -> Result<u64, Silence> {
        if self.asks_system {
            return sys::resident_bytes().ok_or(Silence::Unreadable);
        }
        self.read(|pages| pages.nth(1)?)
    }

    /// All of it.
    pub(crate) fn memory(&self) -> Result<ProcessMemory, Silence> {
        self.read(|pages| {
            Some(ProcessMemory {
                size: pages.next()??,
                resident: pages.next()??,
                // In between: shared, text, and one that is always zero.
                data: pages.nth(3)??,
            })
        })
    }

    /// The numbers of the file, which are pages, as bytes.
    fn read<T>(
        &self,
        take: impl FnOnce(&mut dyn Iterator<Item = Option<u64>>) -> Option<T>,
    ) -> Result<T, Silence> {
        let statm = self.statm.as_ref().ok_or(Silence::Unreadable)?;
        let taken = statm.value(|line| {
            let words = line.trim_ascii_end().split(|byte| *byte == b' ');
            take(&mut words.map(|word| text::number(word)?.checked_mul(self.page_bytes)))
        });
        taken.flatten().ok_or(Silence::Unreadable)
    }
}
