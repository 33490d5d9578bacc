//! Where the events of a subscription lie: in the shared [log](crate::log) of its group, or in a ring of its own.
//!
//! Only the publishing side moves a subscription from one to the other, and names the place by an *epoch*: odd numbers
//! mean the log. It moves one into the log only after the receiver has acknowledged the last epoch and has taken everything.

use crate::queue::add;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release, fence};

/// Where the events lie; written by the publishing side, but for what the receiver acknowledges.
#[derive(Default)]
pub(crate) struct Place {
    /// Odd: in the log.
    pub(crate) epoch: AtomicU64,
    /// The position in the log where the receiver begins, when it is moved there.
    pub(crate) joined_at: AtomicU64,
    /// Bytes that had been appended to the log by then.
    pub(crate) joined_bytes: AtomicU64,
    /// The position of the first event that was moved to the ring, when it is moved there.
    pub(crate) left_at: AtomicU64,
    /// Odd while the counts move from one place to the other; for readers of the account.
    pub(crate) version: AtomicU64,
    /// The epoch that the receiver knows; everything of earlier ones is gone.
    pub(crate) acknowledged: AtomicU64,
}

impl Place {
    /// Changes epoch and counts as one step for whoever reads the account (a sequence lock).
    pub(crate) fn change(&self, counts: impl FnOnce()) {
        add(&self.version, 1);
        fence(Release);
        counts();
        self.epoch.store(self.epoch.load(Relaxed) + 1, Release);
        self.version.store(self.version.load(Relaxed) + 1, Release);
    }
}

pub(crate) fn is_log(epoch: u64) -> bool {
    !epoch.is_multiple_of(2)
}
