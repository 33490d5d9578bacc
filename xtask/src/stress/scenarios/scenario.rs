//! What a scenario is: load, script, goals; and what follows from its times.

use std::time::Duration;

use super::check::Check;
use super::variant::Variant;
use crate::stress::load::Phase;

/// One thing that may happen to a node.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) limit_bytes: u64,
    /// C: what the sink takes a second, in payload bytes.
    pub(super) capacity: u64,
    pub(super) sink: SinkKind,
    pub(super) sizes: Sizes,
    pub(super) stretches: Vec<Stretch>,
    pub(super) script: Vec<Step>,
    pub(super) settings: &'static [&'static str],
    pub(super) variants: &'static [Variant],
    /// What the shipped configuration must reach in any scenario.
    pub(super) always: &'static [Check],
    /// What it must reach in this one.
    pub(super) checks: &'static [Check],
    /// What the naive pipeline must do, so that the danger is real.
    pub(super) naive: &'static [Check],
    /// In the quick form, with times scaled by this.
    pub(super) quick: Option<f64>,
}

/// What takes the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SinkKind {
    /// In the node: a constant rate.
    Blackhole,
    /// Outside, over HTTP: its rate can be changed.
    Http,
    /// A file in the container.
    File,
}

/// Payloads of the events.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sizes {
    /// All at once, each with its share of the bytes.
    Mixed(&'static [(u64, f64)]),
    /// One after the other, each through all stretches.
    InTurn(&'static [u64]),
}

/// A part of the load, as a multiple of the capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stretch {
    pub(super) times: f64,
    pub(super) seconds: f64,
}

/// Something that happens at a time after the load began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub(super) at_seconds: f64,
    pub(super) act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Act {
    /// The sink takes this multiple of its capacity; 0 stalls it.
    SinkRate(f64),
    /// The container's limit becomes this.
    Limit(u64),
    /// A neighbour in the container takes this much more.
    Eat(u64),
    /// The neighbour gives everything back.
    Release,
}

/// A part of the load of one size.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) body_bytes: u64,
    pub(super) phases: Vec<Phase>,
}

// === impl Scenario ===

impl Scenario {
    /// The same with all times scaled.
    pub(super) fn scaled(mut self, factor: f64) -> Self {
        for stretch in &mut self.stretches {
            stretch.seconds *= factor;
        }
        for step in &mut self.script {
            step.at_seconds *= factor;
        }
        self
    }

    pub(super) fn always(&self, variant: Variant) -> &'static [Check] {
        if variant.is_ours() { self.always } else { &[] }
    }

    pub(super) fn checks(&self, variant: Variant) -> &'static [Check] {
        match variant {
            _ if variant.is_ours() => self.checks,
            // At twice the capacity and less it may well live through the run.
            Variant::Off if self.peak_times() < 5.0 && self.naive == [Check::Dies] => &[],
            Variant::Off => self.naive,
            // With less the governor holds memory below where early drop begins.
            Variant::AimdRed if self.peak_times() >= 5.0 => {
                &[Check::Tells(&["DROP_RED", "GOVERNOR_SCALE"])]
            }
            _ => &[],
        }
    }

    fn peak_times(&self) -> f64 {
        self.stretches
            .iter()
            .map(|stretch| stretch.times)
            .fold(0.0, f64::max)
    }

    /// How long all stretches take once.
    pub(super) fn round_seconds(&self) -> f64 {
        self.stretches.iter().map(|stretch| stretch.seconds).sum()
    }

    /// The first overload: from when to when, in seconds. The whole run where there is none.
    pub(super) fn overload(&self) -> (f64, f64) {
        let mut at = 0.0;
        let mut found: Option<(f64, f64)> = None;
        for stretch in &self.stretches {
            let end = at + stretch.seconds;
            match &mut found {
                None if stretch.times > 1.0 => found = Some((at, end)),
                Some((_, until)) if stretch.times > 1.0 && *until == at => *until = end,
                _ => {}
            }
            at = end;
        }
        found.unwrap_or((0.0, self.round_seconds()))
    }

    /// When the load has fallen for the last time, in seconds; `None` where it ends high.
    pub(super) fn last_fall(&self) -> Option<f64> {
        let last = self.stretches.last().filter(|last| last.times < 0.8)?;
        Some(self.round_seconds() - last.seconds)
    }

    /// From when to when the load rests, for each rest that follows an overload.
    pub(super) fn rests(&self) -> Vec<(f64, f64)> {
        let mut at = 0.0;
        let mut before = 0.0;
        let mut rests = Vec::new();
        for stretch in &self.stretches {
            if before > 1.0 && stretch.times < 1.0 {
                rests.push((at, at + stretch.seconds));
            }
            at += stretch.seconds;
            before = stretch.times;
        }
        rests
    }

    /// Each size with when it is sent, in seconds.
    pub(super) fn turns(&self) -> Vec<(u64, f64, f64)> {
        let round = self.round_seconds();
        match self.sizes {
            Sizes::Mixed(_) => Vec::new(),
            Sizes::InTurn(sizes) => sizes
                .iter()
                .zip(0_u32..)
                .map(|(size, turn)| (*size, f64::from(turn) * round, f64::from(turn + 1) * round))
                .collect(),
        }
    }

    /// The load as streams of one size each.
    pub(super) fn streams(&self) -> Vec<Stream> {
        let phases = |share: f64| {
            self.stretches.iter().map(move |stretch| Phase {
                bytes_per_second: stretch.times * share * self.capacity as f64,
                duration: Duration::from_secs_f64(stretch.seconds),
            })
        };
        match self.sizes {
            Sizes::Mixed(sizes) => sizes
                .iter()
                .map(|&(body_bytes, share)| Stream {
                    body_bytes,
                    phases: phases(share).collect(),
                })
                .collect(),
            Sizes::InTurn(_) => self
                .turns()
                .into_iter()
                .map(|(body_bytes, from, _)| {
                    let silence = (from > 0.0).then(|| Phase {
                        bytes_per_second: 0.0,
                        duration: Duration::from_secs_f64(from),
                    });
                    Stream {
                        body_bytes,
                        phases: silence.into_iter().chain(phases(1.0)).collect(),
                    }
                })
                .collect(),
        }
    }
}
