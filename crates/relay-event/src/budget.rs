//! The ledger: every queued byte is reserved before it is read, and returned by the last drop.
//!
//! A budget is one atomic count and a size. Reserving is a compare-and-swap against the share that the priority may
//! fill, so the sum of reservations is never above the size, not even for an instant; shrinking below the present
//! sum admits nothing until enough was returned. A sub-budget charges its parent too. A reservation keeps its budget
//! alive without a count of its own: see `account` and `claim`.

mod account;
mod claim;
#[cfg(relay_loom)]
mod lifetime;
mod wire;

use crate::priority::Priority;
use account::Bound;
pub(crate) use account::Fill;
use claim::Claim;
use std::fmt;

/// What a budget calls when its wire is tripped, with the bytes reserved then.
type OnTrip = Box<dyn Fn(u64) + Send + Sync>;

/// A bound in bytes, shared by everything that queues. Cloning gives another handle to the same budget.
///
/// A budget counts up to 16 TiB, also when its size is more or it has none.
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
///
/// # Panics
///
/// Cloning it and taking a share panic when it has 1,048,575 handles, shares and empty reservations already.
pub struct ByteBudget(Claim);

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

impl Clone for ByteBudget {
    fn clone(&self) -> Self {
        Self(self.0.handle())
    }
}

impl fmt::Debug for ByteBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteBudget")
            .field("used_bytes", &self.used_bytes())
            .field("size_bytes", &self.size_bytes())
            .finish()
    }
}

impl ByteBudget {
    /// A budget of `size_bytes`.
    pub fn new(size_bytes: u64) -> Self {
        Self(Claim::open(Bound::root(Some(size_bytes))))
    }

    /// A budget that counts and refuses nothing.
    pub fn unbounded() -> Self {
        Self(Claim::open(Bound::root(None)))
    }

    /// A cap of `percent` of this budget for one use; what it holds is held here too.
    #[must_use]
    pub fn share(&self, percent: u8) -> Self {
        Self(Claim::open(Bound::Share {
            parent: self.0.handle(),
            percent: u64::from(percent.min(100)),
        }))
    }

    /// How much can be reserved in all; `None` when there is no bound.
    pub fn size_bytes(&self) -> Option<u64> {
        self.0.account().size_bytes()
    }

    /// How much is reserved now. A share counts, for an instant, also what the whole is about to refuse.
    #[inline]
    pub fn used_bytes(&self) -> u64 {
        self.0.account().used_bytes()
    }

    /// Moves the bound; `None` takes it away. Reservations stay: a budget that shrinks below what is reserved admits
    /// nothing until it fits. A share follows its parent and cannot be resized: the call moves the parent.
    pub fn resize(&self, size_bytes: Option<u64>) {
        self.0.account().resize(size_bytes);
    }

    /// Has `hook` called, in the thread that reserves, when a [wire](Self::lay_wire) is tripped; with the bytes that
    /// are reserved then. Once for the life of the budget: false, and `hook` is dropped, if it has one already or is a
    /// share.
    ///
    /// The hook should be quick and must not panic: it runs within somebody's [`reserve`](Self::reserve).
    ///
    /// ```
    /// use relay_event::{ByteBudget, Priority};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    ///
    /// let budget = ByteBudget::new(1 << 20);
    /// let woken_at = Arc::new(AtomicU64::new(0));
    /// let seen = Arc::clone(&woken_at);
    /// budget.set_on_trip(move |used_bytes| seen.store(used_bytes, Relaxed));
    ///
    /// budget.lay_wire(1000);
    /// let first = budget.reserve(600, Priority::Control)?;
    /// assert_eq!(woken_at.load(Relaxed), 0);
    /// let second = budget.reserve(600, Priority::Control)?;
    /// assert_eq!(woken_at.load(Relaxed), 1200);
    /// # Ok::<(), relay_event::BudgetError>(())
    /// ```
    pub fn set_on_trip(&self, hook: impl Fn(u64) + Send + Sync + 'static) -> bool {
        self.0.account().set_on_trip(Box::new(hook))
    }

    /// Lays a wire: the reservation that would bring the sum more than `after_bytes` above what it is now calls the hook,
    /// once, and is then decided as if there were no wire. It replaces the wire before, and [`resize`](Self::resize)
    /// takes it away. Called by whoever resizes, from one thread at a time.
    ///
    /// The wire is the bound that those who reserve compare with, so it costs them nothing as long as they stay below their
    /// priority's share of it, and a second comparison above.
    pub fn lay_wire(&self, after_bytes: u64) {
        self.0.account().lay_wire(after_bytes);
    }

    /// Takes `bytes` for something of this `priority`.
    ///
    /// # Errors
    ///
    /// [`BudgetError::TooLarge`] when it could never fit, [`BudgetError::Full`] when it does not fit now; also when
    /// it is of no bytes and the budget has 1,048,575 handles, shares and empty reservations already.
    #[inline]
    pub fn reserve(&self, bytes: u64, priority: Priority) -> Result<Reservation, BudgetError> {
        self.reserve_seen(bytes, priority).map(|(held, _)| held)
    }

    /// As [`reserve`](Self::reserve), with how full that made the whole.
    #[inline]
    pub(crate) fn reserve_seen(
        &self,
        bytes: u64,
        priority: Priority,
    ) -> Result<(Reservation, Fill), BudgetError> {
        let (claim, fill) = self.0.reserve(bytes, priority)?;
        Ok((Reservation(claim), fill))
    }
}

/// Bytes held in a [`ByteBudget`]; dropping it returns them. It does not need the budget's handles to live on.
#[derive(Debug)]
#[must_use = "dropping a reservation returns its bytes"]
pub struct Reservation(Claim);

impl Reservation {
    /// How many bytes it holds.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    /// Makes it hold `bytes`.
    ///
    /// # Errors
    ///
    /// When that is more than it holds and the budget has no room for the difference; it then stays as it was.
    ///
    /// # Panics
    ///
    /// When it becomes empty and the budget has 1,048,575 handles, shares and empty reservations already.
    pub fn resize(&mut self, bytes: u64, priority: Priority) -> Result<(), BudgetError> {
        self.0.resize(bytes, priority)
    }

    /// Moves it from a share to the budget that the share is part of: the share has room again, the whole does not
    /// change. A reservation of a whole budget stays where it is.
    ///
    /// # Panics
    ///
    /// As [`resize`](Self::resize), when it is empty.
    pub fn leave_share(mut self) -> Self {
        self.0.leave_share();
        self
    }

    /// Splits off `bytes`, or everything when it holds less.
    ///
    /// # Panics
    ///
    /// As [`resize`](Self::resize), when one of the two is empty.
    pub fn split(&mut self, bytes: u64) -> Self {
        Self(self.0.split(bytes))
    }
}

#[cfg(test)]
#[path = "budget/tests.rs"]
mod tests;
