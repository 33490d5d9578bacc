//! What the members of a group share: their log, and who of them sleeps.

use crate::bell::Sleepers;
use crate::event::Inner;
use crate::log::Log;
use crate::queue::Queue;
use std::sync::{Arc, OnceLock};

/// Slots of a group's shared log: the most that a member may lag behind before it is given a place of its
/// own. Few in unit tests, so that they go round.
pub(crate) const LOG_SLOTS: usize = if cfg!(test) { 8 } else { 1024 };

/// What the members of a group share: those whose filters are equal.
pub(crate) struct Shared {
    log: OnceLock<Log<Inner>>,
    pub(crate) sleepers: Arc<Sleepers>,
    /// The members, for whoever has to wake them.
    pub(crate) members: arc_swap::ArcSwap<Vec<Arc<Queue>>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            log: OnceLock::new(),
            sleepers: Arc::default(),
            members: arc_swap::ArcSwap::default(),
        }
    }

    /// The log; made when a group first has two members.
    pub(crate) fn log(&self) -> &Log<Inner> {
        self.log.get_or_init(|| Log::new(LOG_SLOTS))
    }

    /// Wakes the members that sleep, and drops claims that somebody who left held up. Runs code of executors and
    /// destructors: call it without a lock.
    #[cold]
    pub(crate) fn look_after(&self) {
        if self.sleepers.any() {
            for queue in self.members.load().iter() {
                queue.bell.ring();
            }
        }
        if let Some(log) = self.log.get() {
            log.reclaim();
        }
    }
}
