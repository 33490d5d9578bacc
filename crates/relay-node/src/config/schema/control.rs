//! `[control]`: the ladder, the laws and their numbers.

use std::time::Duration;

use relay_control::{DrainConfig, LadderConfig};

use super::actuators::{Arbiter, Queue};
use crate::config::kind::number::{above, between, from_below, within};
use crate::config::kind::{Choice, Switch};
use crate::config::origin::Origin;
use crate::config::reader::Section;
use crate::units::Ratio;

/// `[control]`
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Control {
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// Which law sets the admitted rate.
    pub law: Law,
    /// How often the pulse samples and decides while nothing presses.
    pub interval: Duration,
    /// The same while memory is calm and nothing moves.
    pub idle_interval: Duration,
    /// Longest time an accepted event may be expected to wait.
    pub max_queue_delay: Duration,
    /// Whether no source gets more than its share while not everything can be admitted.
    pub source_fairness: bool,
    /// Share of the limit that queued bytes may take.
    pub ledger_share: Ratio,
    /// Which defaults the ladder starts from.
    pub preset: Preset,
    /// `[control.ladder]`
    pub ladder: Ladder,
    /// `[control.aimd]`
    pub aimd: Aimd,
    /// `[control.drain]`
    pub drain: Drain,
    /// `[control.red]`
    pub red: Red,
    /// `[control.arbiter]`
    pub arbiter: Arbiter,
    /// `[control.queue]`
    pub queue: Queue,
}

/// What the control loop does with its decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Carry them out.
    Enforce,
    /// Record them only.
    Observe,
    /// Make none: the naive pipeline, for comparison.
    Off,
}

/// Which law sets the admitted rate; the byte ledger bounds it under each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Admit what is drained.
    Drain,
    /// Additive increase, multiplicative decrease.
    Aimd,
    /// The ledger alone.
    None,
}

/// A set of defaults for the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Warning 70 %, error 85 %, critical 90 %: time to act before memory is scarce.
    Early,
    /// Warning 85 %, error 90 %, critical 95 %: for services that run near their limit.
    Late,
}

/// `[control.ladder]`: shares of the limit where each level begins.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ladder {
    /// Throttle.
    pub warning: Ratio,
    /// Shed.
    pub error: Ratio,
    /// Shed all that is not needed to survive.
    pub critical: Ratio,
    /// Drain and exit before the kernel kills.
    pub emergency: Ratio,
    /// Below this everything is normal again.
    pub relief: Ratio,
}

/// `[control.aimd]`
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Aimd {
    /// Pressure at which the governor begins to cut.
    pub enter: Ratio,
    /// Pressure below which it begins to recover.
    pub exit: Ratio,
    /// Step up, per decision.
    pub increase: Ratio,
    /// Factor of a cut.
    pub decrease_factor: Ratio,
    /// Smallest scale.
    pub floor: Ratio,
    /// Smallest scale of the lowest priority.
    pub lowest_floor: Ratio,
    /// Least time between two cuts.
    pub cooldown: Duration,
}

/// `[control.drain]`
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Drain {
    /// Pressure at which admission equals the drain.
    pub setpoint: Ratio,
}

/// `[control.red]`: early drop of sheddable subscriptions.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Red {
    /// Average fill where dropping begins.
    pub min_threshold: Ratio,
    /// Average fill where everything is dropped.
    pub max_threshold: Ratio,
    /// Drop probability just below `max_threshold`.
    pub max_probability: Ratio,
    /// How much more, or less, than the curve says low priority is dropped.
    pub low_weight: f64,
    /// The same of normal priority.
    pub normal_weight: f64,
    /// The same of high priority.
    pub high_weight: f64,
}

const NOTHING: Ratio = Ratio::percent(0);
const ALL: Ratio = Ratio::percent(100);
const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

const MODES: Choice<Mode> = Choice(&[
    ("enforce", Mode::Enforce),
    ("observe", Mode::Observe),
    ("off", Mode::Off),
]);
const LAWS: Choice<Law> = Choice(&[
    ("drain", Law::Drain),
    ("aimd", Law::Aimd),
    ("none", Law::None),
]);
const PRESETS: Choice<Preset> = Choice(&[("early", Preset::Early), ("late", Preset::Late)]);

impl Control {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let preset = s.read("preset", &PRESETS, Preset::Early, "defaults of the ladder");
        let interval = s.read(
            "interval",
            &within(MILLISECOND, Duration::from_secs(10)),
            Duration::from_millis(50),
            "how often memory is sampled and a decision made",
        );
        Self {
            preset,
            mode: s.read(
                "mode",
                &MODES,
                Mode::Enforce,
                "enforce decisions, only observe them, or off: the naive pipeline",
            ),
            law: s.read("law", &LAWS, Law::Drain, "which law sets the admitted rate"),
            interval,
            idle_interval: s.read(
                "idle_interval",
                &within(MILLISECOND, Duration::from_mins(1)),
                Duration::from_secs(1).max(interval),
                "the same while memory is calm and nothing moves",
            ),
            max_queue_delay: s.read(
                "max_queue_delay",
                &within(MILLISECOND, HOUR),
                Duration::from_secs(5),
                "longest expected wait of an accepted event",
            ),
            source_fairness: s.read(
                "source_fairness",
                &Switch,
                true,
                "while not everything can be admitted no source gets more than its share",
            ),
            ledger_share: s.read(
                "ledger_share",
                &above(NOTHING, ALL),
                Ratio::percent(50),
                "share of the limit that queued bytes may take",
            ),
            ladder: s.section("ladder", |s| Ladder::read(s, preset)),
            aimd: s.section("aimd", Aimd::read),
            drain: s.section("drain", Drain::read),
            red: s.section("red", Red::read),
            arbiter: s.section("arbiter", Arbiter::read),
            queue: s.section("queue", Queue::read),
        }
    }
}

impl Ladder {
    fn read(s: &mut Section<'_, '_>, preset: Preset) -> Self {
        let (defaults, origin) = match preset {
            Preset::Early => (LadderConfig::early(), Origin::Default),
            Preset::Late => (LadderConfig::late(), Origin::Preset("late")),
        };
        let pick = |share| (Ratio::new(share).unwrap_or(ALL), origin.clone());
        let share = between(NOTHING, ALL);
        Self {
            warning: s.read_or(
                "warning",
                &share,
                pick(defaults.warning),
                "throttle from here",
            ),
            error: s.read_or("error", &share, pick(defaults.error), "shed from here"),
            critical: s.read_or(
                "critical",
                &share,
                pick(defaults.critical),
                "shed all but control from here",
            ),
            emergency: s.read_or(
                "emergency",
                &share,
                pick(defaults.emergency),
                "drain and exit from here, before the kernel kills",
            ),
            relief: s.read_or(
                "relief",
                &share,
                pick(defaults.relief),
                "normal again below this",
            ),
        }
    }
}

impl Aimd {
    fn read(s: &mut Section<'_, '_>) -> Self {
        let pressure = between(NOTHING, ALL);
        Self {
            enter: s.read(
                "enter",
                &pressure,
                Ratio::percent(70),
                "pressure that begins a cut",
            ),
            exit: s.read(
                "exit",
                &pressure,
                Ratio::percent(55),
                "recover below this pressure",
            ),
            increase: s.read(
                "increase",
                &above(NOTHING, ALL),
                Ratio::percent(5),
                "step up, per decision",
            ),
            decrease_factor: s.read(
                "decrease_factor",
                &between(NOTHING, ALL),
                Ratio::percent(50),
                "factor of a cut",
            ),
            floor: s.read(
                "floor",
                &from_below(NOTHING, ALL),
                Ratio::percent(10),
                "least scale",
            ),
            lowest_floor: s.read(
                "lowest_floor",
                &from_below(NOTHING, ALL),
                NOTHING,
                "least scale of the lowest priority",
            ),
            cooldown: s.read(
                "cooldown",
                &within(MILLISECOND, HOUR),
                Duration::from_secs(30),
                "least time between two cuts",
            ),
        }
    }
}

impl Drain {
    fn read(s: &mut Section<'_, '_>) -> Self {
        // Below one band nothing would ever be admitted.
        let band = Ratio::new(DrainConfig::default().band).unwrap_or(NOTHING);
        let setpoint = s.read(
            "setpoint",
            &from_below(band, ALL),
            Ratio::percent(65),
            "pressure at which admission equals the drain",
        );
        Self { setpoint }
    }
}

impl Red {
    fn read(s: &mut Section<'_, '_>) -> Self {
        let weight = within(0.0, 100.0);
        Self {
            min_threshold: s.read(
                "min_threshold",
                &from_below(NOTHING, ALL),
                Ratio::percent(60),
                "average fill where early drop begins",
            ),
            max_threshold: s.read(
                "max_threshold",
                &above(NOTHING, ALL),
                ALL,
                "average fill where everything is dropped",
            ),
            max_probability: s.read(
                "max_probability",
                &above(NOTHING, ALL),
                Ratio::percent(30),
                "drop probability just below max_threshold",
            ),
            low_weight: s.read(
                "low_weight",
                &weight,
                2.0,
                "low priority is dropped so many times as often",
            ),
            normal_weight: s.read("normal_weight", &weight, 1.0, "the same of normal priority"),
            high_weight: s.read("high_weight", &weight, 0.5, "the same of high priority"),
        }
    }
}
