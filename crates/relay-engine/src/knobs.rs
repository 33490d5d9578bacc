//! The knobs of the data path.

use crate::actuate::Orders;
use relay_control::Decision;
use relay_event::{Bus, ByteBudget, Gate, Priority};

/// The knobs that the pulse turns. They belong to the data path.
#[derive(Debug)]
pub(crate) struct Knobs {
    pub(crate) gate: Gate,
    pub(crate) budget: ByteBudget,
    pub(crate) external: Bus,
    pub(crate) internal: Bus,
}

impl Knobs {
    pub(crate) fn turn(&self, decision: &Decision, orders: &Orders) {
        self.budget.resize(Some(decision.ledger_bytes));
        self.gate.set_drain(decision.drain_bytes_per_second);
        self.gate.set_rate(orders.rate_bytes_per_second);
        self.gate.set_floor(Priority::from_rank(decision.floor));
        self.external.set_shedding(orders.shed);
        self.internal.set_shedding(orders.shed);
    }
}
