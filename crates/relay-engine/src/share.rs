//! The byte bound of a sheddable queue that has none of its own: its share of half the ledger.
//!
//! A stuck sheddable subscription harms nobody else, but what it holds is memory. With ledger ÷ (2 × subscriptions)
//! each, all of them stuck together hold half the ledger at most, and the reliable ones have the other half.

use crate::congestion::Watch;
use relay_event::Bus;

/// A share is given anew when it has moved by a tenth.
const WORTH_MOVING: f64 = 0.1;

/// What each queue may hold, in bytes.
pub(crate) fn of(ledger_bytes: u64, subscriptions: usize) -> u64 {
    (ledger_bytes / (2 * subscriptions.max(1) as u64)).max(1)
}

/// What was given last.
#[derive(Debug, Default)]
pub(crate) struct Shares(Option<u64>);

impl Shares {
    /// Gives each of the queues that take part its share of the ledger. Allocates nothing.
    pub(crate) fn give(&mut self, ledger_bytes: u64, bus: &Bus, watches: &mut [Watch]) {
        let share = of(ledger_bytes, bus.subscription_count());
        let is_same = self
            .0
            .is_some_and(|given| given.abs_diff(share) as f64 <= WORTH_MOVING * given as f64);
        if is_same {
            return;
        }
        self.0 = Some(share);
        for watch in watches.iter_mut().filter(|watch| watch.shares) {
            watch.give(share, bus);
        }
    }
}
