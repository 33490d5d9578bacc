//! What a hook of the byte clock is told.

/// One tick of the byte clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tick {
    /// Bytes that all threads have allocated since the process started, as far as they have told.
    pub allocated_bytes: u64,
    /// The size of the allocation that made it tick. It has succeeded, but its pages are not touched:
    /// a large one is not part of any level yet, and can be held against the headroom here.
    pub request_bytes: u64,
}
