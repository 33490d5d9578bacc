//! What the arbiter asks for.

use std::fmt;

/// Most actions of one plan: what entering defensive mode takes, or the actions of a loop.
const ACTIONS_MAX: usize = 8;

/// A part of defensive mode. Displayed in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defence {
    /// Every queue becomes one step smaller; released, it returns to what its law wants.
    Buffers,
    /// Every pool gives up a worker above its minimum.
    Pools,
    /// Sheddable subscriptions drop instead of waiting.
    Overflow,
    /// Adapters take in at the governor's scale.
    Ingest,
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Turn a defence on, or, for buffers and pools, one step further.
    Engage(Defence),
    /// Turn a defence off.
    Release(Defence),
    /// Give freed memory back to the kernel.
    Purge,
    /// A larger queue.
    Grow {
        /// Which.
        subscription: usize,
    },
    /// A smaller queue.
    Shrink {
        /// Which.
        subscription: usize,
    },
    /// Slow the publishers down by a step, see [`Throttle::raise`](crate::Throttle::raise).
    Throttle,
    /// One more worker.
    ScaleUp {
        /// Where.
        pool: usize,
    },
    /// One worker less.
    ScaleDown {
        /// Where.
        pool: usize,
    },
}

/// What is to be done now, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    actions: [Action; ACTIONS_MAX],
    len: usize,
}

// === impl Defence ===

impl Defence {
    /// Every defence, in the order in which they are engaged.
    pub const ALL: [Self; 4] = [Self::Buffers, Self::Pools, Self::Overflow, Self::Ingest];

    /// The name that [`Display`](fmt::Display) prints, as metric labels want it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buffers => "buffers",
            Self::Pools => "pools",
            Self::Overflow => "overflow",
            Self::Ingest => "ingest",
        }
    }
}

impl fmt::Display for Defence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Plan ===

impl Plan {
    /// The actions, in the order in which they are to be carried out.
    pub fn actions(&self) -> &[Action] {
        &self.actions[..self.len]
    }

    pub(super) fn push(&mut self, action: Action) {
        if let Some(place) = self.actions.get_mut(self.len) {
            *place = action;
            self.len += 1;
        }
    }

    pub(super) fn engage_all(&mut self) {
        for defence in Defence::ALL {
            self.push(Action::Engage(defence));
        }
        self.push(Action::Purge);
    }

    pub(super) fn release_all(&mut self) {
        self.push(Action::Purge);
        for defence in Defence::ALL.into_iter().rev() {
            self.push(Action::Release(defence));
        }
    }
}

impl Default for Plan {
    /// Nothing to do.
    fn default() -> Self {
        Self {
            actions: [Action::Purge; ACTIONS_MAX],
            len: 0,
        }
    }
}
