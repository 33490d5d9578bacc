//! The knobs of the data path, and the record of where they stand.

use relay_control::Decision;
use relay_event::{Bus, ByteBudget, Gate, Priority};
use relay_forensics::Record;
use relay_sense::Sample;
use std::time::Duration;

/// The knobs that the pulse turns. They belong to the data path.
#[derive(Debug)]
pub(crate) struct Knobs {
    pub(crate) gate: Gate,
    pub(crate) budget: ByteBudget,
    pub(crate) external: Bus,
}

impl Knobs {
    pub(crate) fn turn(&self, decision: &Decision) {
        self.budget.resize(Some(decision.ledger_bytes));
        self.gate.set_drain(decision.drain_bytes_per_second);
        self.gate.set_rate(decision.admitted_bytes_per_second());
        self.gate.set_floor(Priority::from_rank(decision.floor));
        self.external.set_shedding(decision.shed);
    }
}

/// The kind of a [`Record`] that holds one tick of the pulse. Its detail is the level (0 normal to 4 emergency); its
/// values are, in order: unreclaimable, limit, ledger used, ledger size, drain, rate (all bytes or bytes a second,
/// zero while unknown or without a bound), the bits of the governor's scale, and the lowest admitted priority.
pub const TICK_RECORD: u16 = 1;

pub(crate) fn record(at: Duration, sample: &Sample, decision: &Decision, knobs: &Knobs) -> Record {
    let rate = |rate: Option<f64>| rate.map_or(0, |rate| rate as u64);
    Record::new(TICK_RECORD, at)
        .with_detail(decision.level as u32)
        .with_values(&[
            sample.unreclaimable_bytes.unwrap_or(0),
            sample.limit_bytes.bytes().unwrap_or(0),
            knobs.budget.used_bytes(),
            decision.ledger_bytes,
            rate(decision.drain_bytes_per_second),
            rate(decision.rate_bytes_per_second),
            decision.governor.scale.to_bits(),
            u64::from(decision.floor),
        ])
}
