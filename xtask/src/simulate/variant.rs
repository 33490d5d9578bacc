//! The controls that are held side by side: Relay's own, its laws one by one, and what others do.

use std::time::Duration;

use relay_control::{AimdConfig, ControlConfig, Law, PaceConfig, RedConfig};

/// One way to control a node.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    /// One phrase for the report.
    pub(super) about: &'static str,
    pub(super) gate: Gate,
    pub(super) red: Option<fn() -> RedConfig>,
    pub(super) pulse: Pulse,
    pub(super) config: ControlConfig,
    /// Queue bounds in events, sized by the buffer sizer under the arbiter.
    pub(super) buffers: Option<Buffers>,
}

/// What stands before the queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Gate {
    /// Nothing.
    Open,
    /// Refuses everything while memory is at or above a share of the limit.
    Threshold(f64),
    /// Lets the governor's share of what is offered pass, without a ledger.
    ShareOfOffered,
    /// The controller's rate, without a ledger and floors.
    RateOnly,
    /// Rate, floors and ledger.
    Whole,
}

/// When memory is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pulse {
    Every(Duration),
    /// As the pace says, and after each 1/64 of the limit that was allocated.
    Paced(PaceConfig),
}

/// The slow actuators of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Buffers {
    pub(super) start: usize,
    pub(super) max: usize,
    pub(super) resize: bool,
    pub(super) throttle: bool,
}

pub(super) const TICK: Duration = Duration::from_millis(50);

/// Every variant, the bare ones first.
pub(super) fn all() -> Vec<Variant> {
    let classic: Option<fn() -> RedConfig> = Some(RedConfig::classic);
    let aimd = |cooldown| ControlConfig {
        law: Law::Aimd,
        aimd: AimdConfig {
            cooldown,
            ..AimdConfig::default()
        },
        ..ControlConfig::default()
    };
    let law = |law| ControlConfig {
        law,
        ..ControlConfig::default()
    };
    vec![
        bare("off", "nothing", Gate::Open),
        Variant {
            pulse: Pulse::Every(Duration::from_secs(1)),
            ..bare(
                "threshold-1s",
                "all or nothing at 80 %, looked at each second",
                Gate::Threshold(0.8),
            )
        },
        bare(
            "threshold-50ms",
            "all or nothing at 80 %, looked at each 50 ms",
            Gate::Threshold(0.8),
        ),
        Variant {
            red: classic,
            ..bare("red", "RED 60–100 %, at most 30 %", Gate::Open)
        },
        Variant {
            red: Some(RedConfig::gentle),
            ..bare("red-gentle", "gentle RED, everything from 92 %", Gate::Open)
        },
        Variant {
            config: aimd(TICK),
            ..bare(
                "aimd-50ms",
                "AIMD on what is offered, one step a tick",
                Gate::ShareOfOffered,
            )
        },
        Variant {
            config: aimd(Duration::from_secs(30)),
            ..bare(
                "aimd-30s",
                "AIMD on what is offered, cooldown 30 s",
                Gate::ShareOfOffered,
            )
        },
        Variant {
            config: aimd(TICK),
            red: classic,
            ..bare("aimd-50ms+red", "both", Gate::ShareOfOffered)
        },
        Variant {
            config: law(Law::Drain),
            ..bare(
                "drain-bare",
                "drain matching without a ledger",
                Gate::RateOnly,
            )
        },
        Variant {
            config: law(Law::None),
            ..bare("ledger", "`law = none`: ledger and ladder", Gate::Whole)
        },
        Variant {
            config: aimd(Duration::from_secs(30)),
            ..bare(
                "aimd",
                "`law = aimd`: governor, ledger and ladder",
                Gate::Whole,
            )
        },
        Variant {
            pulse: Pulse::Paced(PaceConfig::default()),
            ..bare("default", "`law = drain`: all of it, paced", Gate::Whole)
        },
        Variant {
            pulse: Pulse::Paced(PaceConfig::default()),
            red: Some(RedConfig::gentle),
            ..bare("default+red", "and gentle RED on the queue", Gate::Whole)
        },
    ]
}

/// The default with this name, to be changed by a sweep.
pub(super) fn default() -> Variant {
    Variant {
        pulse: Pulse::Paced(PaceConfig::default()),
        ..bare("default", "", Gate::Whole)
    }
}

pub(super) fn exists(name: &str) -> bool {
    all().iter().any(|variant| variant.name == name)
}

fn bare(name: &'static str, about: &'static str, gate: Gate) -> Variant {
    Variant {
        name,
        about,
        gate,
        red: None,
        pulse: Pulse::Every(TICK),
        config: ControlConfig::default(),
        buffers: None,
    }
}

// === impl Variant ===

impl Variant {
    /// Is everything queued bounded in bytes?
    pub(super) fn has_ledger(&self) -> bool {
        self.gate == Gate::Whole
    }
}
