//! A scenario as data: a node, what is sent to it, and what goes wrong. One TOML file each in `xtask/scenarios`.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Deserializer};

use crate::units::{ByteRate, Bytes, parse_duration};
use crate::workspace;

/// A node and a course of events.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// The file's name, without its end.
    #[serde(skip)]
    pub(super) name: String,
    /// One sentence for the report.
    pub(super) about: String,
    /// The kernel kills above it.
    #[serde(deserialize_with = "parsed")]
    pub(super) limit: Bytes,
    /// What the process holds with empty queues.
    #[serde(deserialize_with = "parsed")]
    pub(super) base: Bytes,
    /// What the consumer takes.
    #[serde(deserialize_with = "parsed")]
    pub(super) capacity: ByteRate,
    /// Resident bytes for each accounted one. The laws do not know it.
    pub(super) cost: f64,
    /// How long the allocator keeps freed pages.
    #[serde(deserialize_with = "duration")]
    pub(super) keeps: Duration,
    /// The share of kept pages that a purge gives back.
    #[serde(default = "one")]
    pub(super) purge_returns: f64,
    /// The consumer takes what it can in this time at once, at its end: a batch and its answer.
    #[serde(default = "each_step", deserialize_with = "duration")]
    pub(super) lumps: Duration,
    /// Are live bytes counted?
    #[serde(default = "yes")]
    pub(super) live_known: bool,
    /// Multiples of the capacity: each is a case of its own.
    #[serde(default = "once")]
    pub(super) loads: Vec<f64>,
    pub(super) sources: Vec<Source>,
    /// In order of time; the run ends with the last.
    pub(super) phases: Vec<Phase>,
    #[serde(default)]
    pub(super) service: Vec<Service>,
    /// Stretches in which the memory sensor is silent.
    #[serde(default)]
    pub(super) blind: Vec<Stretch>,
    #[serde(default)]
    pub(super) limits: Vec<LimitChange>,
    #[serde(default)]
    pub(super) neighbour: Vec<Neighbour>,
    #[serde(default)]
    pub(super) expect: Expect,
}

/// Who sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    /// Priority class: 0 low, 1 normal, 2 high, 3 control.
    pub(super) class: u8,
    /// Share of the load.
    pub(super) share: f64,
    /// Average accounted bytes of an event.
    #[serde(deserialize_with = "parsed")]
    pub(super) event: Bytes,
    #[serde(default)]
    pub(super) sizes: Sizes,
    #[serde(default)]
    pub(super) arrivals: Arrivals,
}

/// How the sizes of events are spread around their average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sizes {
    #[default]
    Fixed,
    Exponential,
    /// Heavy-tailed, exponent 1.5, cut at 256 times the smallest.
    Pareto,
}

/// How events arrive in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Arrivals {
    #[default]
    Poisson,
    /// Like clockwork.
    Steady,
    /// A fifth of each second at three times the average and the rest at half of it.
    Bursts,
}

/// A stretch of load.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Phase {
    /// When it ends.
    #[serde(deserialize_with = "duration")]
    pub(super) until: Duration,
    /// Multiple of the case's load.
    #[serde(default)]
    pub(super) times: Option<f64>,
    /// Multiple of the capacity, whatever the case.
    #[serde(default)]
    pub(super) load: Option<f64>,
    /// Full and a tenth of it in turns of this length.
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) turns: Option<Duration>,
}

/// A stretch in which the consumer takes only a share of the capacity.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    #[serde(deserialize_with = "duration")]
    pub(super) from: Duration,
    #[serde(deserialize_with = "duration")]
    pub(super) to: Duration,
    pub(super) share: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stretch {
    #[serde(deserialize_with = "duration")]
    pub(super) from: Duration,
    #[serde(deserialize_with = "duration")]
    pub(super) to: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitChange {
    #[serde(deserialize_with = "duration")]
    pub(super) at: Duration,
    #[serde(deserialize_with = "parsed")]
    pub(super) to: Bytes,
}

/// Somebody else under the same limit, who goes from what they hold to this much.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Neighbour {
    #[serde(deserialize_with = "duration")]
    pub(super) at: Duration,
    #[serde(deserialize_with = "duration")]
    pub(super) over: Duration,
    #[serde(deserialize_with = "parsed")]
    pub(super) to: Bytes,
}

/// What a run under the default control must reach.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expect {
    /// Variants that are not killed.
    pub(super) survive: Vec<String>,
    /// Highest memory ÷ limit.
    pub(super) peak: f64,
    /// Delivered ÷ capacity while more than the capacity was offered.
    pub(super) goodput: f64,
    /// From the end of the overload until 95 % are admitted.
    #[serde(deserialize_with = "duration")]
    pub(super) recovery: Duration,
    /// p95 − p5 of memory and of admission in the last ten seconds of the longest overload.
    pub(super) memory_swing: f64,
    pub(super) admission_swing: f64,
    /// Changes of level, floor, scale, shedding and ledger in an hour.
    pub(super) actions_per_hour: f64,
    /// More of a higher class is delivered than of a lower one. Only where all arrive alike.
    pub(super) ordered: bool,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            survive: vec!["default".to_owned()],
            peak: 0.80,
            goodput: 0.95,
            recovery: Duration::from_secs(1),
            memory_swing: 0.05,
            admission_swing: 0.10,
            actions_per_hour: 1200.0,
            ordered: true,
        }
    }
}

// === impl Scenario ===

impl Scenario {
    /// Every scenario, by name.
    pub(super) fn all() -> Result<Vec<Self>> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder())
            .with_context(|| folder().display().to_string())?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// One scenario, by its name or by a path to its file.
    pub(super) fn find(name: &str) -> Result<Self> {
        let shipped = folder().join(format!("{name}.toml"));
        Self::read(if shipped.exists() {
            &shipped
        } else {
            Path::new(name)
        })
    }

    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&stem, &text).with_context(|| path.display().to_string())
    }

    pub(super) fn parse(name: &str, text: &str) -> Result<Self> {
        let mut scenario: Self = toml::from_str(text)?;
        name.clone_into(&mut scenario.name);
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<()> {
        ensure!(self.base < self.limit, "base must be below limit");
        ensure!((1.0..=8.0).contains(&self.cost), "cost must be from 1 to 8");
        ensure!(
            (0.0..=1.0).contains(&self.purge_returns),
            "purge_returns is a share"
        );
        ensure!(!self.loads.is_empty(), "loads must not be empty");
        let share: f64 = self.sources.iter().map(|source| source.share).sum();
        ensure!(
            (share - 1.0).abs() < 1e-6,
            "the sources' shares sum to {share}, not to 1"
        );
        ensure!(
            self.sources.iter().all(|source| source.class < 4),
            "class must be from 0 to 3"
        );
        let mut before = Duration::ZERO;
        for phase in &self.phases {
            ensure!(phase.until > before, "phases must be in order of time");
            ensure!(
                phase.times.is_some() != phase.load.is_some(),
                "a phase has `times` or `load`"
            );
            before = phase.until;
        }
        ensure!(!self.phases.is_empty(), "phases must not be empty");
        if let Some(unknown) = self
            .expect
            .survive
            .iter()
            .find(|name| !super::variant::exists(name))
        {
            bail!("expect.survive: no variant is called {unknown}");
        }
        Ok(())
    }

    pub(super) fn length(&self) -> Duration {
        self.phases
            .last()
            .map_or(Duration::ZERO, |phase| phase.until)
    }

    /// What is offered at `at`, as a multiple of the capacity.
    pub(super) fn load(&self, case: f64, at: Duration) -> f64 {
        let Some(phase) = self.phases.iter().find(|phase| at < phase.until) else {
            return 0.0;
        };
        let full = phase
            .load
            .unwrap_or_else(|| case * phase.times.unwrap_or(1.0));
        match phase.turns {
            Some(turn) if (at.as_nanos() / turn.as_nanos().max(1)) % 2 == 1 => full * 0.1,
            _ => full,
        }
    }

    /// The share of the capacity that the consumer takes at `at`.
    pub(super) fn service(&self, at: Duration) -> f64 {
        let dip = self
            .service
            .iter()
            .find(|dip| (dip.from..dip.to).contains(&at));
        dip.map_or(1.0, |dip| dip.share)
    }

    pub(super) fn is_blind(&self, at: Duration) -> bool {
        self.blind
            .iter()
            .any(|stretch| (stretch.from..stretch.to).contains(&at))
    }

    pub(super) fn limit_bytes(&self, at: Duration) -> f64 {
        let change = self.limits.iter().rev().find(|change| change.at <= at);
        change.map_or(self.limit, |change| change.to).0 as f64
    }

    /// What the neighbour holds at `at`.
    pub(super) fn neighbour_bytes(&self, at: Duration) -> f64 {
        self.neighbour.iter().fold(0.0, |held, step| {
            let since = at.saturating_sub(step.at).as_secs_f64();
            let done = (since / step.over.as_secs_f64().max(1e-9)).min(1.0);
            held + (step.to.0 as f64 - held) * done
        })
    }

    /// The longest stretch in which more than the capacity is offered, the last of several: begin and end.
    pub(super) fn overload(&self, case: f64) -> Option<(Duration, Duration)> {
        let mut from = Duration::ZERO;
        let mut longest: Option<(Duration, Duration)> = None;
        for phase in &self.phases {
            let load = phase
                .load
                .unwrap_or_else(|| case * phase.times.unwrap_or(1.0));
            let length = |(from, to): (Duration, Duration)| to.saturating_sub(from);
            let this = (from, phase.until);
            if load > 1.0 && longest.is_none_or(|other| length(this) >= length(other)) {
                longest = Some(this);
            }
            from = phase.until;
        }
        longest
    }
}

fn folder() -> PathBuf {
    workspace::root().join("xtask/scenarios")
}

// === reading ===

fn one() -> f64 {
    1.0
}

fn each_step() -> Duration {
    super::model::STEP
}

fn yes() -> bool {
    true
}

fn once() -> Vec<f64> {
    vec![1.0]
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(from: D) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    if text == "0s" {
        return Ok(Duration::ZERO);
    }
    parse_duration(&text).map_err(serde::de::Error::custom)
}

fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        about = "x"
        limit = "64MiB"
        base = "8MiB"
        capacity = "1MiB/s"
        cost = 1.6
        keeps = "2s"
        loads = [2.0]
        phases = [{ until = "10s", times = 1.0 }, { until = "12s", load = 0.5, turns = "1s" }]
        limits = [{ at = "5s", to = "32MiB" }]
        neighbour = [{ at = "2s", over = "2s", to = "10MiB" }, { at = "8s", over = "0s", to = "1MiB" }]
        service = [{ from = "3s", to = "4s", share = 0.3 }]
        [[sources]]
        class = 1
        share = 1.0
        event = "1KiB"
    "#;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn every_shipped_scenario_reads() {
        let all = Scenario::all().unwrap();
        assert!(all.len() >= 8, "{}", all.len());
        assert!(all.iter().all(|scenario| scenario.length() >= 20 * S));
    }

    #[test]
    fn a_course_is_what_the_file_says() {
        let scenario = Scenario::parse("x", TEXT).unwrap();
        let loads = [0, 9, 10, 11, 12].map(|s| scenario.load(2.0, S * s));
        assert_eq!(loads, [2.0, 2.0, 0.5, 0.05, 0.0]);
        assert_eq!([2, 3, 4].map(|s| scenario.service(S * s)), [1.0, 0.3, 1.0]);
        let mib = f64::from(1 << 20);
        assert_eq!(
            [4, 5].map(|s| scenario.limit_bytes(S * s) / mib),
            [64.0, 32.0]
        );
        let held = [1, 3, 5, 9].map(|s| scenario.neighbour_bytes(S * s) / mib);
        assert_eq!(held, [0.0, 5.0, 10.0, 1.0]);
        assert_eq!(scenario.overload(2.0), Some((Duration::ZERO, 10 * S)));
        assert_eq!(scenario.overload(0.5), None);
    }

    #[test]
    fn nonsense_is_refused() {
        for (from, to) in [
            ("\"64MiB\"", "64"),
            ("share = 1.0", "share = 0.5"),
            ("cost = 1.6", "cost = 0.5"),
            ("until = \"12s\"", "until = \"9s\""),
            ("about", "abuot"),
            ("class = 1", "class = 4"),
        ] {
            assert!(
                Scenario::parse("x", &TEXT.replace(from, to)).is_err(),
                "{to}"
            );
        }
        let unknown = format!("[expect]\nsurvive = [\"nobody\"]\n{TEXT}");
        assert!(Scenario::parse("x", &unknown).is_err());
    }
}
