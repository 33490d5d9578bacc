//! What the governor has done so far: how long it was in each state, and how often it went from one to another.

use relay_control::{Governor, GovernorState};
use std::time::Duration;

/// Every state, in the order of the counters.
const STATES: [GovernorState; 3] = [
    GovernorState::Normal,
    GovernorState::Degraded,
    GovernorState::Recovering,
];

/// How long the governor was in each state, and how often it went from one to another, since the engine started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GovernorHistory {
    spent: [Duration; STATES.len()],
    moved: [[u64; STATES.len()]; STATES.len()],
    last: Option<(GovernorState, Duration)>,
}

impl GovernorHistory {
    /// Every state, in a fixed order.
    pub fn states() -> impl Iterator<Item = GovernorState> {
        STATES.into_iter()
    }

    /// How long it has been in `state` altogether.
    pub fn time_in(&self, state: GovernorState) -> Duration {
        self.spent[state as usize]
    }

    /// How often it went from one state to another.
    pub fn transitions(&self, from: GovernorState, to: GovernorState) -> u64 {
        self.moved[from as usize][to as usize]
    }

    /// The time up to `now` was spent in the state of the look before.
    pub(crate) fn count(&mut self, governor: &Governor, now: Duration) {
        if let Some((state, since)) = self.last.replace((governor.state, now)) {
            self.spent[state as usize] += now.saturating_sub(since);
            if state != governor.state {
                self.moved[state as usize][governor.state as usize] += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use GovernorState::{Degraded, Normal, Recovering};

    #[test]
    fn time_belongs_to_the_state_it_was_spent_in_and_transitions_are_counted() {
        let mut history = GovernorHistory::default();
        for (state, second) in [
            (Normal, 0),
            (Normal, 2),
            (Degraded, 3),
            (Recovering, 10),
            (Normal, 12),
        ] {
            let governor = Governor {
                state,
                scale: 1.0,
                lowest_scale: 1.0,
            };
            history.count(&governor, Duration::from_secs(second));
        }
        let spent = STATES.map(|state| history.time_in(state).as_secs());
        assert_eq!(spent, [3, 7, 2]);
        assert_eq!(history.transitions(Normal, Degraded), 1);
        assert_eq!(history.transitions(Degraded, Recovering), 1);
        assert_eq!(history.transitions(Recovering, Normal), 1);
        assert_eq!(history.transitions(Degraded, Normal), 0);
    }
}
