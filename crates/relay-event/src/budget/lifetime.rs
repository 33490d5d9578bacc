//! What lets a model see a use after the free, a double free and a leak of an account.

use loom::{alloc::Track, cell::UnsafeCell};

pub(super) struct Lifetime {
    cell: UnsafeCell<()>,
    _leak: Track<()>,
}

impl Default for Lifetime {
    fn default() -> Self {
        Self {
            cell: UnsafeCell::new(()),
            _leak: Track::new(()),
        }
    }
}

impl Lifetime {
    /// Fails the model when this use and the free are not in one order.
    pub(super) fn used(&self) {
        self.cell.with(|_| ());
    }
}

impl Drop for Lifetime {
    fn drop(&mut self) {
        self.cell.with_mut(|_| ());
    }
}
