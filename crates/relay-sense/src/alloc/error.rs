//! Why a byte clock could not be set.

use thiserror::Error;

/// Why a byte clock could not be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClockError {
    /// A hook each zero bytes would never let the allocation happen that it waits for.
    #[error("the interval of a byte clock is zero")]
    ZeroInterval,
    /// A hook tried to replace or remove a hook, and would wait for itself.
    #[error("a hook of the byte clock cannot change the byte clock")]
    WithinHook,
}
