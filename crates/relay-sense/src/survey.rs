//! What changes seldom, or matters to nobody within a second: read apart from the usage, so that a
//! sample stays cheap.

use std::time::{Duration, Instant};

use crate::cgroup::View;
use crate::counters::{EventFiles, MemoryEvents, Throttling, ThrottlingFiles};
use crate::file::HeldFile;
use crate::hierarchy::Hierarchy;
use crate::swap_files::SwapFiles;
use crate::{Bound, Root};

/// Once a second is often enough for counters of which only growth matters, and the net under the
/// watch: limits that cannot be watched are read as often.
pub(crate) const SURVEY_PERIOD: Duration = Duration::from_secs(1);

/// As much of `/proc/self/cgroup` as is compared; a dozen version 1 lines of 180 bytes fit well.
const MEMBERSHIP_BYTES: usize = 4 << 10;

/// The seldom figures as they were last read, and their files.
#[derive(Debug)]
pub(crate) struct Survey {
    /// When they were last read.
    pub(crate) at: Option<Instant>,
    pub(crate) events: MemoryEvents,
    pub(crate) throttling: Option<Throttling>,
    pub(crate) swap_bytes: Option<u64>,
    pub(crate) swap_limit: Bound,
    /// This process is no longer in the groups whose files are held.
    pub(crate) moved: bool,
    event_files: EventFiles,
    throttling_files: ThrottlingFiles,
    swap_files: SwapFiles,
    membership: Membership,
}

/// `/proc/self/cgroup`, and what it said when the files were opened.
#[derive(Debug)]
struct Membership {
    file: Option<HeldFile>,
    text: Vec<u8>,
}

// === impl Survey ===

impl Survey {
    pub(crate) fn open(root: &Root, view: &View, hierarchy: &Hierarchy) -> Self {
        Self {
            at: None,
            events: MemoryEvents::default(),
            throttling: None,
            swap_bytes: None,
            swap_limit: Bound::Unknown,
            moved: false,
            event_files: EventFiles::open(root, hierarchy),
            throttling_files: ThrottlingFiles::open(root, view),
            swap_files: SwapFiles::open(root, hierarchy),
            membership: Membership::open(root),
        }
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.at
            .is_none_or(|at| now.saturating_duration_since(at) >= SURVEY_PERIOD)
    }

    /// Reads everything anew. `memory_limit` gives the memory limit of a level.
    pub(crate) fn renew(&mut self, now: Instant, memory_limit: impl Fn(usize) -> Bound) {
        self.at = Some(now);
        self.renew_events();
        self.throttling = self.throttling_files.read();
        self.swap_bytes = self.swap_files.current();
        self.swap_limit = self.swap_files.limit(memory_limit);
        self.moved |= self.membership.has_changed();
    }

    /// Reads the event counters alone: the watch says that they have moved.
    pub(crate) fn renew_events(&mut self) {
        self.events = self.event_files.read();
    }
}

// === impl Membership ===

impl Membership {
    fn open(root: &Root) -> Self {
        let open = || HeldFile::open(&root.path("/proc/self/cgroup")).ok();
        let file = root.has_files().then(open).flatten();
        let mut buffer = [0; MEMBERSHIP_BYTES];
        let text = file.as_ref().and_then(|file| file.read(&mut buffer).ok());
        Self {
            text: text.unwrap_or_default().to_vec(),
            file,
        }
    }

    /// A file that cannot be read, now or at the start, says nothing.
    fn has_changed(&self) -> bool {
        let mut buffer = [0; MEMBERSHIP_BYTES];
        let now = self
            .file
            .as_ref()
            .and_then(|file| file.read(&mut buffer).ok());
        now.is_some_and(|now| !now.is_empty() && !self.text.is_empty() && now != self.text)
    }
}
