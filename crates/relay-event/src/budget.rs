//! The ledger: every queued byte is reserved before it is read, and returned by the last drop.
//!
//! A budget is one atomic count and a size. Reserving is a compare-and-swap against the share that the priority may
//! fill, so the sum of reservations is never above the size, not even for an instant; shrinking below the present
//! sum admits nothing until enough was returned. A sub-budget charges its parent too.

use crate::priority::Priority;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::fmt;
use std::sync::Arc;

/// The size that stands for "no bound": bytes are counted, nothing is refused.
const UNBOUNDED: u64 = u64::MAX;

/// A bound in bytes, shared by everything that queues. Cloning gives another handle to the same budget.
///
/// ```
/// use relay_event::{ByteBudget, Priority};
///
/// let budget = ByteBudget::new(1000);
/// let held = budget.reserve(700, Priority::Normal)?;
/// assert!(budget.reserve(200, Priority::Normal).is_err(), "normal events may fill 80 %");
/// assert!(budget.reserve(200, Priority::High).is_ok(), "high ones 95 %");
/// drop(held);
/// assert_eq!(budget.used_bytes(), 0);
/// # Ok::<(), relay_event::BudgetError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ByteBudget(Arc<Account>);

#[derive(Debug)]
struct Account {
    used_bytes: AtomicU64,
    bound: Bound,
}

#[derive(Debug)]
enum Bound {
    /// The whole, with watermarks by priority.
    Root { size_bytes: AtomicU64 },
    /// A plain cap: a share of the parent's size, in percent.
    Share { parent: ByteBudget, percent: u64 },
}

/// Why nothing was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetError {
    /// More than this priority could ever have, even with nothing else reserved.
    TooLarge {
        /// What was asked for.
        asked_bytes: u64,
        /// The most that can be had at once.
        max_bytes: u64,
    },
    /// There is no room now.
    Full {
        /// What was asked for.
        asked_bytes: u64,
        /// How many bytes have to be returned before it fits.
        missing_bytes: u64,
    },
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge {
                asked_bytes,
                max_bytes,
            } => {
                write!(
                    f,
                    "{asked_bytes} bytes are more than the {max_bytes} that can ever be reserved at once"
                )
            }
            Self::Full {
                asked_bytes,
                missing_bytes,
            } => {
                write!(
                    f,
                    "no room for {asked_bytes} bytes: {missing_bytes} must be returned first"
                )
            }
        }
    }
}

impl std::error::Error for BudgetError {}

impl ByteBudget {
    /// A budget of `size_bytes`.
    pub fn new(size_bytes: u64) -> Self {
        Self::with(Bound::Root {
            size_bytes: AtomicU64::new(size_bytes),
        })
    }

    /// A budget that counts and refuses nothing.
    pub fn unbounded() -> Self {
        Self::new(UNBOUNDED)
    }

    /// A cap of `percent` of this budget for one use; what it holds is held here too.
    #[must_use]
    pub fn share(&self, percent: u8) -> Self {
        Self::with(Bound::Share {
            parent: self.clone(),
            percent: u64::from(percent.min(100)),
        })
    }

    fn with(bound: Bound) -> Self {
        Self(Arc::new(Account {
            used_bytes: AtomicU64::new(0),
            bound,
        }))
    }

    /// How much can be reserved in all; `None` when there is no bound.
    pub fn size_bytes(&self) -> Option<u64> {
        let size = self.raw_size();
        (size != UNBOUNDED).then_some(size)
    }

    /// How much is reserved now.
    pub fn used_bytes(&self) -> u64 {
        self.0.used_bytes.load(Relaxed)
    }

    /// Moves the bound; `None` takes it away. Reservations stay: a budget that shrinks below what is reserved admits
    /// nothing until it fits. A share follows its parent and cannot be resized: the call moves the parent.
    pub fn resize(&self, size_bytes: Option<u64>) {
        match &self.0.bound {
            Bound::Root { size_bytes: cell } => {
                cell.store(size_bytes.unwrap_or(UNBOUNDED), Relaxed);
            }
            Bound::Share { parent, .. } => parent.resize(size_bytes),
        }
    }

    /// Takes `bytes` for something of this `priority`.
    ///
    /// # Errors
    ///
    /// [`BudgetError::TooLarge`] when it could never fit, [`BudgetError::Full`] when it does not fit now.
    pub fn reserve(&self, bytes: u64, priority: Priority) -> Result<Reservation, BudgetError> {
        self.take(bytes, priority)?;
        Ok(Reservation {
            budget: self.clone(),
            bytes,
        })
    }

    fn raw_size(&self) -> u64 {
        match &self.0.bound {
            Bound::Root { size_bytes } => size_bytes.load(Relaxed),
            Bound::Share { parent, percent } => match parent.raw_size() {
                UNBOUNDED => UNBOUNDED,
                size => size / 100 * percent + size % 100 * percent / 100,
            },
        }
    }

    /// What this budget itself lets a priority fill.
    fn mark_bytes(&self, priority: Priority) -> u64 {
        match &self.0.bound {
            Bound::Root { .. } => priority.share_of(self.raw_size()),
            Bound::Share { .. } => self.raw_size(),
        }
    }

    fn take(&self, bytes: u64, priority: Priority) -> Result<(), BudgetError> {
        let mark = self.mark_bytes(priority);
        if bytes > mark {
            return Err(BudgetError::TooLarge {
                asked_bytes: bytes,
                max_bytes: mark,
            });
        }
        // Relaxed is enough: the count guards no other memory, and a read-modify-write always sees the latest value.
        let taken = self.0.used_bytes.fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= mark)
        });
        if let Err(used) = taken {
            let missing_bytes = used.saturating_add(bytes).saturating_sub(mark);
            return Err(BudgetError::Full {
                asked_bytes: bytes,
                missing_bytes,
            });
        }
        if let Bound::Share { parent, .. } = &self.0.bound
            && let Err(error) = parent.take(bytes, priority)
        {
            self.0.used_bytes.fetch_sub(bytes, Relaxed);
            return Err(error);
        }
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        self.0.used_bytes.fetch_sub(bytes, Relaxed);
        if let Bound::Share { parent, .. } = &self.0.bound {
            parent.give_back(bytes);
        }
    }
}

/// Bytes held in a [`ByteBudget`]; dropping it returns them.
#[derive(Debug)]
#[must_use = "dropping a reservation returns its bytes"]
pub struct Reservation {
    budget: ByteBudget,
    bytes: u64,
}

impl Reservation {
    /// How many bytes it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it hold `bytes`.
    ///
    /// # Errors
    ///
    /// When that is more than it holds and the budget has no room for the difference; it then stays as it was.
    pub fn resize(&mut self, bytes: u64, priority: Priority) -> Result<(), BudgetError> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => self.budget.take(more, priority)?,
            None => self.budget.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Moves it from a share to the budget that the share is part of: the share has room again, the whole does not
    /// change. A reservation of a whole budget stays where it is.
    pub fn leave_share(mut self) -> Self {
        if let Bound::Share { parent, .. } = &self.budget.0.bound {
            let parent = parent.clone();
            self.budget.0.used_bytes.fetch_sub(self.bytes, Relaxed);
            self.budget = parent;
        }
        self
    }

    /// Splits off `bytes`, or everything when it holds less.
    pub fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self {
            budget: self.budget.clone(),
            bytes,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
#[path = "budget/tests.rs"]
mod tests;
