//! The resident size of this process, from `/proc/self/statm`.

use crate::file::{HeldFile, Silence};
use crate::{Root, text};

/// The file, and what its numbers count.
#[derive(Debug)]
pub(crate) struct Resident {
    statm: Option<HeldFile>,
    page_bytes: u64,
}

impl Resident {
    pub(crate) fn open(root: &Root) -> Self {
        Self {
            statm: HeldFile::open(&root.path("/proc/self/statm")).ok(),
            page_bytes: rustix::param::page_size() as u64,
        }
    }

    /// The second number of the file, in pages.
    pub(crate) fn bytes(&self) -> Result<u64, Silence> {
        let pages = self.statm.as_ref().and_then(|statm| {
            statm.value(|text| {
                let mut numbers = text.split(|byte| *byte == b' ');
                text::number(numbers.nth(1)?)
            })?
        });
        pages
            .and_then(|pages| pages.checked_mul(self.page_bytes))
            .ok_or(Silence::Unreadable)
    }
}
