//! What every allocator can be asked for.

use std::fmt;
use std::time::Instant;

/// An allocator that tells about itself and can give memory back.
pub trait Allocator: fmt::Debug + Send {
    /// A short name for people: `jemalloc`.
    fn name(&self) -> &'static str;

    /// What it says of itself.
    fn stats(&mut self) -> AllocatorStats;

    /// Gives back to the kernel what is kept unused; `false` if the deadline ended it, and the next
    /// call will go on.
    fn purge(&mut self, deadline: Instant) -> bool;
}

/// What an allocator says of itself, in bytes; `None` where it does not say.
///
/// Where all are known, `allocated <= active <= resident <= mapped`. The names are those of jemalloc.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllocatorStats {
    /// Handed out to the program, rounded up to size classes.
    pub allocated: Option<u64>,
    /// In pages that hold at least one allocation.
    pub active: Option<u64>,
    /// In pages that are physically there: active, unused but not purged, and bookkeeping.
    pub resident: Option<u64>,
    /// In address ranges that it can use now.
    pub mapped: Option<u64>,
    /// In address ranges that it keeps without any memory behind them.
    pub retained: Option<u64>,
}
