//! The calls that a rate is taken over: the last so many, or those of the last stretch of time.

use std::{collections::VecDeque, time::Duration};

/// A stretch of time slides in this many steps: a rate is at most a tenth of it out of date.
const SLICES: usize = 10;

/// Over which calls rates are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last so many.
    Calls(u32),
    /// Those of the last so long, sliding in tenths.
    Time(Duration),
}

/// What is remembered of them. Bounded by the window.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    window: Window,
    /// By count: one entry a call. By time: one a slice, with its number.
    entries: VecDeque<(u128, Tally)>,
    sum: Tally,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    calls: u32,
    failed: u32,
    slow: u32,
}

impl Calls {
    pub(super) fn new(window: Window) -> Self {
        let capacity = match window {
            Window::Calls(calls) => calls as usize + 1,
            Window::Time(_) => SLICES + 1,
        };
        Self {
            window,
            entries: VecDeque::with_capacity(capacity),
            sum: Tally::default(),
        }
    }

    pub(super) fn add(&mut self, failed: bool, slow: bool, now: Duration) {
        let call = Tally {
            calls: 1,
            failed: u32::from(failed),
            slow: u32::from(slow),
        };
        let slice = self.slice(now);
        match self.entries.back_mut() {
            Some((last, tally)) if slice.is_some_and(|slice| slice <= *last) => tally.add(call),
            _ => self.entries.push_back((slice.unwrap_or(0), call)),
        }
        self.sum.add(call);
        self.forget(now);
    }

    /// Calls within the window.
    pub(super) fn total(&mut self, now: Duration) -> u32 {
        self.forget(now);
        self.sum.calls
    }

    pub(super) fn failed_share(&self) -> f64 {
        f64::from(self.sum.failed) / f64::from(self.sum.calls.max(1))
    }

    pub(super) fn slow_share(&self) -> f64 {
        f64::from(self.sum.slow) / f64::from(self.sum.calls.max(1))
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.sum = Tally::default();
    }

    fn forget(&mut self, now: Duration) {
        let slice = self.slice(now);
        while let Some((first, tally)) = self.entries.front() {
            let past = match (self.window, slice) {
                (Window::Calls(calls), _) => self.entries.len() > calls as usize,
                (Window::Time(_), slice) => {
                    slice.is_some_and(|slice| slice.saturating_sub(*first) >= SLICES as u128)
                }
            };
            if !past {
                break;
            }
            self.sum.subtract(*tally);
            self.entries.pop_front();
        }
    }

    fn slice(&self, now: Duration) -> Option<u128> {
        match self.window {
            Window::Calls(_) => None,
            Window::Time(length) => {
                Some(now.as_nanos() * SLICES as u128 / length.as_nanos().max(1))
            }
        }
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failed = self.failed.saturating_add(other.failed);
        self.slow = self.slow.saturating_add(other.slow);
    }

    fn subtract(&mut self, other: Self) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.failed = self.failed.saturating_sub(other.failed);
        self.slow = self.slow.saturating_sub(other.slow);
    }
}
