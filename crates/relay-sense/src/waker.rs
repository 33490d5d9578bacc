//! Ending a wait from another thread.

use std::io;
use std::sync::Arc;

use crate::sys::Bell;

/// Ends a [`wait`](crate::wait()), from any thread; clones ring the same bell.
///
/// ```
/// use relay_sense::{Waker, wait};
///
/// let waker = Waker::new()?;
/// let other = waker.clone();
/// std::thread::spawn(move || other.wake());
/// assert!(wait(None, None, Some(&waker), None)?.wake);
/// waker.clear();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Waker(Arc<Bell>);

// === impl Waker ===

impl Waker {
    /// One that has not been raised.
    ///
    /// # Errors
    ///
    /// What `eventfd(2)` answers on Linux: too many descriptors. Nothing elsewhere.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Bell::new()?)))
    }

    /// Ends the wait, and every following one until it is [cleared](Self::clear). One system call on Linux; allocates
    /// nothing and waits for nobody.
    pub fn wake(&self) {
        self.0.ring();
    }

    /// Forgets that it was raised.
    pub fn clear(&self) {
        self.0.clear();
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.0
    }
}
