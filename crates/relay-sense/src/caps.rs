//! The limits of all levels as they were last read.

use std::time::Instant;

use crate::Bound;
use crate::level::Level;

/// The limits set on one group itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cap {
    pub(crate) hard: Bound,
    /// Where the kernel begins to slow the group down.
    pub(crate) soft: Bound,
}

/// One [`Cap`] for each level.
#[derive(Debug)]
pub(crate) struct Caps {
    levels: Vec<Cap>,
    read_at: Option<Instant>,
}

// === impl Cap ===

impl Cap {
    /// From here on the kernel reclaims: usage stands still while caches turn into memory that
    /// cannot be given back. `slack_bytes` is what the counter may lag behind.
    pub(crate) fn reclaim_from(self, slack_bytes: u64) -> Option<u64> {
        let least = self.hard.tighter(self.soft).bytes()?;
        Some(least.saturating_sub(slack_bytes))
    }
}

// === impl Caps ===

impl Caps {
    pub(crate) fn new(levels: usize) -> Self {
        let unread = Cap {
            hard: Bound::Unknown,
            soft: Bound::Unknown,
        };
        Self {
            levels: vec![unread; levels],
            read_at: None,
        }
    }

    pub(crate) fn level(&self, index: usize) -> Cap {
        self.levels[index]
    }

    /// When all of them were last read.
    pub(crate) fn read_at(&self) -> Option<Instant> {
        self.read_at
    }

    /// Reads all limits anew. One that was known and now cannot be read keeps its value, since to
    /// drop it would look like room; that not all were read shows in the age.
    pub(crate) fn renew(&mut self, levels: &[Level], now: Instant) {
        let mut all = true;
        for (cap, level) in self.levels.iter_mut().zip(levels) {
            all &= replace(&mut cap.hard, level.limit());
            all &= replace(&mut cap.soft, level.soft_limit());
        }
        if all || self.read_at.is_none() {
            self.read_at = Some(now);
        }
    }
}

/// Whether what is known is as new as it can be.
fn replace(known: &mut Bound, read: Bound) -> bool {
    let lost = read == Bound::Unknown && *known != Bound::Unknown;
    if !lost {
        *known = read;
    }
    !lost
}
