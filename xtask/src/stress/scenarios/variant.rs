//! What controls the node: the laws alone, in pairs, and as shipped.

use serde::{Deserialize, Serialize};

/// A set of laws to compare.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Variant {
    /// Nothing: the naive pipeline.
    Off,
    /// Senses, decides and reports, turns nothing.
    Observe,
    /// Early drop alone.
    Red,
    /// The AIMD governor alone.
    Aimd,
    /// Governor and early drop.
    AimdRed,
    /// Drain matching alone.
    Drain,
    /// As shipped.
    Default,
}

/// What each of the laws alone goes without: the bound on waiting, and half of the ledger. The ledger itself and the
/// ladder can only be turned off with everything else.
const ALONE: [&str; 2] = ["control.max_queue_delay=1h", "control.ledger_share=100%"];

/// A queue that drops early between 60 % and 100 % of its fill, and nothing before.
const EARLY_DROP: [&str; 3] = [
    "emitters.sink.delivery=sheddable",
    "emitters.sink.queue_events=1048576",
    "emitters.sink.queue_bytes=64MiB",
];

/// The ladder pushed up out of the way, so that what is measured is the other law.
const LADDER_AWAY: [&str; 4] = [
    "control.ladder.warning=95%",
    "control.ladder.error=96%",
    "control.ladder.critical=97%",
    "control.ladder.emergency=99%",
];

// === impl Variant ===

impl Variant {
    pub(super) const ALL: [Self; 7] = [
        Self::Off,
        Self::Observe,
        Self::Red,
        Self::Aimd,
        Self::AimdRed,
        Self::Drain,
        Self::Default,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Red => "red",
            Self::Aimd => "aimd",
            Self::AimdRed => "aimd-red",
            Self::Drain => "drain",
            Self::Default => "default",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Off => "the pipeline without Relay",
            Self::Observe => "senses, decides and reports, turns nothing",
            Self::Red => "early drop of up to 30 % alone; ledger remains, ladder from 95 %",
            Self::Aimd => "the governor alone; ledger and ladder remain",
            Self::AimdRed => "governor and early drop; ledger and ladder remain",
            Self::Drain => "drain matching alone; ledger and ladder remain",
            Self::Default => "as shipped",
        }
    }

    pub(super) fn mode(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            _ => "enforce",
        }
    }

    /// Whether the node is to be held to its goals, rather than looked at.
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Default)
    }

    /// The assignments that make it, beside the mode.
    pub(super) fn settings(self) -> Vec<String> {
        let (law, early_drop) = match self {
            Self::Off | Self::Observe | Self::Default => return Vec::new(),
            Self::Red => ("none", true),
            Self::Aimd => ("aimd", false),
            Self::AimdRed => ("aimd", true),
            Self::Drain => ("drain", false),
        };
        let mut settings = vec![format!("control.law={law}")];
        settings.extend(ALONE.map(str::to_owned));
        if early_drop {
            settings.extend(EARLY_DROP.map(str::to_owned));
        }
        if self == Self::Red {
            settings.extend(LADDER_AWAY.map(str::to_owned));
        }
        settings
    }
}
