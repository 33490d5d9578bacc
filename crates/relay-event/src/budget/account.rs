//! One word that is both the sum of what is reserved and the count of who holds the account.
//!
//! A reservation must keep its account alive until it is returned. A reference count beside the sum would double the
//! locked operations of the hot path; but the sum is a reference count already, one that counts bytes. So the handles
//! are counted in the upper bits of the same word, and whoever brings the word to zero frees the account:
//!
//! ```text
//!  63         44 43                                0
//! ┌─────────────┬───────────────────────────────────┐
//! │   holders   │          bytes reserved           │
//! └─────────────┴───────────────────────────────────┘
//! ```
//!
//! A holder weighs more than all bytes together, and neither part ever carries into the other: bytes are added only
//! below a mark, by compare-and-swap, and holders only below their maximum.
//!
//! Adding without a compare-and-swap and taking back what was too much would be quicker (12 ns against 17 for a
//! reservation and its return, because nothing is loaded first), but for an instant the sum would be more than is
//! reserved, and a smaller request that fits could be refused because of it.

use super::BudgetError;
use super::claim::Claim;
#[cfg(relay_loom)]
use super::lifetime::Lifetime;
use super::wire::Whole;
use crate::priority::Priority;
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, Release},
};
use std::fmt;

/// Bits of the word for bytes: 16 TiB, beyond what one machine has, which leaves a million holders.
const BYTE_BITS: u32 = 44;

/// One holder, as it weighs in the word.
pub(super) const HOLDER: u64 = 1 << BYTE_BITS;

/// The most bytes that the word can count.
const MAX_BYTES: u64 = HOLDER - 1;

/// The most holders that the word can count.
const MAX_HOLDERS: u64 = u64::MAX >> BYTE_BITS;

/// The size that stands for "no bound": bytes are counted, nothing is refused.
const UNBOUNDED: u64 = u64::MAX;

/// What is reserved, and what it is bounded by. On a cache line of its own: every publisher writes to it.
#[repr(align(64))]
pub(super) struct Account {
    word: AtomicU64,
    bound: Bound,
    #[cfg(relay_loom)]
    pub(super) lifetime: Lifetime,
}

pub(super) enum Bound {
    /// The whole, with watermarks by priority.
    Root(Whole),
    /// A plain cap: a share of the parent's size, in percent.
    Share { parent: Claim, percent: u64 },
}

impl Bound {
    /// The bound of a whole; none with `None`.
    pub(super) fn root(size_bytes: Option<u64>) -> Self {
        Self::Root(Whole::new(size_bytes.unwrap_or(UNBOUNDED)))
    }
}

/// How full the whole is, as seen by the operation that took something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fill {
    /// Reserved now, this included.
    pub(crate) used_bytes: u64,
    /// What this priority may fill.
    pub(crate) mark_bytes: u64,
}

impl Account {
    /// An account with one holder: the caller.
    pub(super) fn new(bound: Bound) -> Self {
        Self {
            word: AtomicU64::new(HOLDER),
            bound,
            #[cfg(relay_loom)]
            lifetime: Lifetime::default(),
        }
    }

    /// What this is a share of.
    #[inline]
    pub(super) fn parent(&self) -> Option<&Claim> {
        match &self.bound {
            Bound::Root(_) => None,
            Bound::Share { parent, .. } => Some(parent),
        }
    }

    /// How much is reserved now.
    #[inline]
    pub(super) fn used_bytes(&self) -> u64 {
        self.word.load(Relaxed) & MAX_BYTES
    }

    #[cfg(test)]
    pub(super) fn holders(&self) -> u64 {
        self.word.load(Relaxed) >> BYTE_BITS
    }

    /// How much can be reserved in all; `None` when there is no bound.
    pub(super) fn size_bytes(&self) -> Option<u64> {
        match &self.bound {
            Bound::Root(whole) => Some(whole.size_bytes()).filter(|size| *size != UNBOUNDED),
            Bound::Share { parent, percent } => {
                let size = parent.account().size_bytes()?;
                Some(size / 100 * percent + size % 100 * percent / 100)
            }
        }
    }

    /// Moves the bound of the whole.
    pub(super) fn resize(&self, size_bytes: Option<u64>) {
        match &self.bound {
            Bound::Root(whole) => whole.resize(size_bytes.unwrap_or(UNBOUNDED)),
            Bound::Share { parent, .. } => parent.account().resize(size_bytes),
        }
    }

    /// Adds `bytes` here and to all that this is a share of, or nowhere.
    #[inline]
    pub(super) fn take(&self, bytes: u64, priority: Priority) -> Result<Fill, BudgetError> {
        match &self.bound {
            Bound::Root(whole) => {
                let bound = whole.bound();
                match self.add(bytes, priority.share_of(bound)) {
                    Err(_) if bound < whole.size_bytes() => {
                        self.trip(whole, bound, bytes, priority)
                    }
                    result => result,
                }
            }
            Bound::Share { parent, .. } => self.take_of_share(parent, bytes, priority),
        }
    }

    /// What stopped a reservation was a wire: tries again without it, and where the wire itself is reached, and not only
    /// this priority's part of it, takes it away and tells whoever wanted to know.
    #[cold]
    fn trip(
        &self,
        whole: &Whole,
        wire: u64,
        bytes: u64,
        priority: Priority,
    ) -> Result<Fill, BudgetError> {
        let tripped = self.used_bytes().saturating_add(bytes) > wire && whole.take_wire();
        let result = self.add(bytes, priority.share_of(whole.size_bytes()));
        if tripped {
            whole.tell(self.used_bytes());
        }
        result
    }

    /// What is called when a wire is tripped; false if there is something already, or this is a share.
    pub(super) fn set_on_trip(&self, hook: super::OnTrip) -> bool {
        match &self.bound {
            Bound::Root(whole) => whole.set_hook(hook),
            Bound::Share { .. } => false,
        }
    }

    /// Lays a wire `after_bytes` above what is reserved now.
    pub(super) fn lay_wire(&self, after_bytes: u64) {
        if let Bound::Root(whole) = &self.bound {
            whole.lay_wire(self.used_bytes().saturating_add(after_bytes));
        }
    }

    #[inline(never)]
    fn take_of_share(
        &self,
        parent: &Claim,
        bytes: u64,
        priority: Priority,
    ) -> Result<Fill, BudgetError> {
        // The share first: bytes that the whole refuses are then seen here for an instant, not by everybody.
        self.add(bytes, self.size_bytes().unwrap_or(UNBOUNDED))?;
        parent.account().take(bytes, priority).inspect_err(|_| {
            // Never the last of the word: the caller's own claim is still in it.
            self.word.fetch_sub(bytes, Relaxed);
        })
    }

    #[inline]
    fn add(&self, bytes: u64, mark_bytes: u64) -> Result<Fill, BudgetError> {
        let mark_bytes = mark_bytes.min(MAX_BYTES);
        // Relaxed is enough: a new claim comes of one that the caller has, as in the clone of an `Arc`; and a
        // read-modify-write always sees the latest value.
        let mut word = self.word.load(Relaxed);
        loop {
            let used = word & MAX_BYTES;
            let sum = used.saturating_add(bytes);
            if sum > mark_bytes {
                return Err(refusal(bytes, used, mark_bytes));
            }
            match self
                .word
                .compare_exchange_weak(word, word + bytes, Relaxed, Relaxed)
            {
                Ok(_) => {
                    return Ok(Fill {
                        used_bytes: sum,
                        mark_bytes,
                    });
                }
                Err(now) => word = now,
            }
        }
    }

    pub(super) fn add_holder(&self) -> bool {
        self.word
            .fetch_update(Relaxed, Relaxed, |word| {
                (word >> BYTE_BITS < MAX_HOLDERS).then(|| word + HOLDER)
            })
            .is_ok()
    }

    pub(super) fn expect_holder(&self) {
        assert!(
            self.add_holder(),
            "more than {MAX_HOLDERS} handles, shares and empty reservations of one budget"
        );
    }

    /// Takes `weight` off the word; true when that was the last of it, and the account is to be freed.
    #[inline]
    #[must_use]
    pub(super) fn subtract(&self, weight: u64) -> bool {
        self.word.fetch_sub(weight, Release) == weight
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("used_bytes", &self.used_bytes())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}

#[cold]
pub(super) fn refusal(asked_bytes: u64, used_bytes: u64, mark_bytes: u64) -> BudgetError {
    if asked_bytes > mark_bytes {
        BudgetError::TooLarge {
            asked_bytes,
            max_bytes: mark_bytes,
        }
    } else {
        BudgetError::Full {
            asked_bytes,
            missing_bytes: (used_bytes + asked_bytes).saturating_sub(mark_bytes),
        }
    }
}
