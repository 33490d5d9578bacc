//! Who holds an account: the only unsafe code of the ledger.
//!
//! Every claim *weighs* something in the word of its account: its bytes, or one holder when it has none. Its drop
//! takes that off, with the orderings of `std::sync::Arc`, and the account is freed by the one that left zero.

#![allow(unsafe_code)]

use super::BudgetError;
use super::account::{Account, Bound, Fill, HOLDER, refusal};
use crate::priority::Priority;
use crate::sync::atomic::{Ordering::Acquire, fence};
use std::ptr::NonNull;

/// Bytes held in an account, or none; in either case the account lives as long as the claim. A handle is a claim of
/// no bytes.
#[derive(Debug)]
pub(super) struct Claim {
    account: NonNull<Account>,
    bytes: u64,
}

// SAFETY: a claim gives access to an `Account`, whose parts (atomics, and a claim on the parent) may be used from any
// thread; the thread that frees it has synchronized with every other that released it (model `released_on_two_threads`).
unsafe impl Send for Claim {}
// SAFETY: as above; through a shared claim only atomics are reached.
unsafe impl Sync for Claim {}

impl Claim {
    /// Opens an account and returns the first claim on it, one of no bytes.
    pub(super) fn open(bound: Bound) -> Self {
        Self {
            account: NonNull::from(Box::leak(Box::new(Account::new(bound)))),
            bytes: 0,
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    #[inline]
    pub(super) fn account(&self) -> &Account {
        // SAFETY: what this claim weighs is in the word until its drop, so the word is not zero and nobody has
        // freed the account (model `the_last_handle_goes_while_bytes_are_returned`).
        let account = unsafe { self.account.as_ref() };
        #[cfg(relay_loom)]
        account.lifetime.used();
        account
    }

    /// Another claim on the same account, of no bytes.
    ///
    /// # Panics
    ///
    /// When the account has as many holders as it can count.
    pub(super) fn handle(&self) -> Self {
        self.account().expect_holder();
        Self {
            account: self.account,
            bytes: 0,
        }
    }

    /// A new claim, of `bytes`, on the same account.
    #[inline]
    pub(super) fn reserve(
        &self,
        bytes: u64,
        priority: Priority,
    ) -> Result<(Self, Fill), BudgetError> {
        let account = self.account();
        let fill = account.take(bytes, priority)?;
        if bytes == 0 && !account.add_holder() {
            return Err(refusal(bytes, fill.used_bytes, fill.mark_bytes));
        }
        let claim = Self {
            account: self.account,
            bytes,
        };
        Ok((claim, fill))
    }

    /// Makes it a claim of `bytes`.
    pub(super) fn resize(&mut self, bytes: u64, priority: Priority) -> Result<(), BudgetError> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => {
                self.account().take(more, priority)?;
                if self.bytes == 0 {
                    release(self.account, HOLDER);
                }
            }
            None => {
                if bytes == 0 {
                    self.account().expect_holder();
                }
                give_back(self.account, self.bytes - bytes);
            }
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Splits off `bytes`, or everything when it holds less. Two parts weigh what the whole did, unless one is empty.
    pub(super) fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        if bytes == 0 || bytes == self.bytes {
            self.account().expect_holder();
        }
        self.bytes -= bytes;
        Self {
            account: self.account,
            bytes,
        }
    }

    /// Moves a claim on a share to the parent, where its bytes are charged already.
    pub(super) fn leave_share(&mut self) {
        let Some(parent) = self.account().parent() else {
            return;
        };
        let to = parent.account;
        let weight = if self.bytes == 0 {
            parent.account().expect_holder();
            HOLDER
        } else {
            self.bytes
        };
        release(std::mem::replace(&mut self.account, to), weight);
    }
}

impl Drop for Claim {
    #[inline]
    fn drop(&mut self) {
        if self.bytes == 0 {
            release(self.account, HOLDER);
        } else {
            give_back(self.account, self.bytes);
        }
    }
}

/// Takes `bytes` off the account and all that it is a share of. The caller has that much in each of them.
#[inline]
fn give_back(account: NonNull<Account>, bytes: u64) {
    let mut next = Some(account);
    while let Some(account) = next {
        // SAFETY: the same bytes are in the word of this account, and are taken off only below; they keep the parent
        // when the share is freed first (model `a_share_goes_before_its_parent`).
        let this = unsafe { account.as_ref() };
        #[cfg(relay_loom)]
        this.lifetime.used();
        next = this.parent().map(|parent| parent.account);
        release(account, bytes);
    }
}

/// Takes `weight` off the word, and frees the account when that was the last of it. The caller owned that weight.
#[inline]
fn release(account: NonNull<Account>, weight: u64) {
    // SAFETY: the weight is still in the word, so the account is alive; the reference is not used after the
    // subtraction (model `released_on_two_threads`).
    if unsafe { account.as_ref() }.subtract(weight) {
        free(account);
    }
}

#[cold]
fn free(account: NonNull<Account>) {
    // Pairs with the `Release` in `subtract` of every earlier claim: their uses happened before what follows.
    fence(Acquire);
    // SAFETY: made by `Box::leak` in `open`; the word is zero, so no claim is left to use it or to make another
    // from, and only one subtraction reached zero (model `released_on_two_threads`).
    drop(unsafe { Box::from_raw(account.as_ptr()) });
}

#[cfg(all(test, relay_loom))]
#[path = "models.rs"]
mod models;
