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
        self.gate.set_drain(decision.lasting_drain_bytes_per_second);
        // Before the rate, which takes it over.
        self.gate.set_lowest_share(orders.lowest_share);
        self.gate.set_rate(orders.rate_bytes_per_second);
        self.gate.set_floor(Priority::from_rank(decision.floor));
        self.external.set_shedding(orders.shed);
        self.internal.set_shedding(orders.shed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actuate::Defences;
    use relay_control::{ControlConfig, Controller, Input, Reading};
    use relay_event::Reason;
    use std::time::Duration;

    #[test]
    fn the_scale_of_the_lowest_priority_reaches_the_gate() {
        let mut controller = Controller::try_new(ControlConfig::default()).unwrap();
        let input = Input {
            memory: Reading::NoLimit,
            ledger_used_bytes: 0,
            live_bytes: None,
            delivered_bytes: 0,
            backlog: false,
        };
        let calm = controller.step(&input, Duration::ZERO);
        let budget = ByteBudget::new(1 << 20);
        let knobs = Knobs {
            gate: Gate::new(budget.clone()),
            budget,
            external: Bus::new("external"),
            internal: Bus::new("internal"),
        };
        let mut decision = Decision {
            rate_bytes_per_second: Some(1e6),
            scale: 0.5,
            lowest_scale: 0.1,
            floor: 0,
            ledger_bytes: 1 << 20,
            ..calm
        };
        knobs.turn(&decision, &Defences::default().orders(&decision));
        assert_eq!(knobs.gate.rate(), Some(0.5e6));
        assert!((knobs.gate.lowest_share() - 0.2).abs() < 1e-12);
        decision.lowest_scale = 0.0;
        knobs.turn(&decision, &Defences::default().orders(&decision));
        let refused = knobs.gate.admit(1, Priority::Low).unwrap_err();
        assert_eq!(refused.reason, Reason::Priority);
        assert!(knobs.gate.admit(1, Priority::Normal).is_ok());
        decision.scale = 0.0;
        knobs.turn(&decision, &Defences::default().orders(&decision));
        assert!(knobs.gate.admit(1, Priority::High).is_err());
    }
}
