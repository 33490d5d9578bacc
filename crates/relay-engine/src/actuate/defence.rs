//! Which steps of defensive mode are engaged, and what follows for the data path.

use relay_control::{Action, Decision, Defence, Plan, Reason};

/// Where the knobs of the data path stand that more than one law has a say in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Orders {
    /// Sheddable subscriptions drop.
    pub(crate) shed: bool,
    /// Accounted bytes a second to admit; `None` is unbounded.
    pub(crate) rate_bytes_per_second: Option<f64>,
    /// What of it the lowest priority may use.
    pub(crate) lowest_share: f64,
}

/// The steps that are engaged.
#[derive(Debug, Default)]
pub(crate) struct Defences {
    on: [bool; Defence::ALL.len()],
    /// Overflow has been let go of ahead of the others.
    eased: bool,
}

impl Orders {
    /// What the fast laws want by themselves.
    fn of(decision: &Decision) -> Self {
        Self {
            shed: decision.shed,
            rate_bytes_per_second: decision.admitted_bytes_per_second(),
            lowest_share: decision.lowest_scale / decision.scale,
        }
    }
}

impl Defences {
    pub(crate) fn take(&mut self, plan: &Plan) {
        for action in plan.actions() {
            match *action {
                Action::Engage(step) => self.on[step as usize] = true,
                Action::Release(step) => self.on[step as usize] = false,
                _ => {}
            }
        }
    }

    pub(crate) fn release_all(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_on(&self, step: Defence) -> bool {
        self.on[step as usize]
    }

    pub(crate) fn any(&self) -> bool {
        self.on.contains(&true)
    }

    /// What the decision and the engaged steps ask of the data path.
    ///
    /// Memory that somebody else holds above the end of defensive mode may hold it for good. Where hardly anything is
    /// queued ([`Reason::QueueSmall`]), holding back frees nothing: then intake is not scaled, and sheddable subscriptions
    /// are fed again as soon as the level allows it. Otherwise defensive mode would be a latch-up of its own.
    pub(crate) fn orders(&mut self, decision: &Decision) -> Orders {
        let mut orders = Orders::of(decision);
        let frees_nothing = decision.reason == Reason::QueueSmall;
        self.eased = !decision.shed && (self.eased || frees_nothing);
        orders.shed |= self.is_on(Defence::Overflow) && !self.eased;
        let is_scaled = decision.reason == Reason::Governor;
        if self.is_on(Defence::Ingest) && !frees_nothing && !is_scaled {
            let rate = orders
                .rate_bytes_per_second
                .or(decision.drain_bytes_per_second);
            let governor = &decision.governor;
            orders.rate_bytes_per_second = rate.map(|rate| rate * governor.scale);
            orders.lowest_share = governor.lowest_scale / governor.scale;
        }
        orders
    }
}
