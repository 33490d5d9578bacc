//! How much more in the ledger ends a wait of the pulse.

use relay_control::Decision;

/// The least that is worth a look, and what ends a rest.
const RESTING_BYTES: u64 = 64 * 1024;

/// Such a part of the ledger is worth a look between two ticks …
const SHARE: u64 = 16;

/// … and a smaller one where nobody knows yet how fast a queue would drain.
const LEARNING_SHARE: u64 = 256;

/// So much more in the ledger ends the wait that follows this decision.
pub(crate) fn bytes(decision: &Decision, rests: bool) -> u64 {
    let share = match decision.drain_bytes_per_second {
        _ if rests => return RESTING_BYTES,
        Some(_) => SHARE,
        None => LEARNING_SHARE,
    };
    (decision.ledger_bytes / share).max(RESTING_BYTES)
}
