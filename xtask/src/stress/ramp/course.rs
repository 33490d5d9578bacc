//! What the governor did while memory moved, and whether that is what it should do.

use serde::Serialize;

use crate::stress::state::Level;

/// The soft limit that levels up to critical are measured against, and what a chunk is.
pub(super) const SOFT_BYTES: u64 = 200 << 20;
pub(super) const CHUNK_BYTES: u64 = 10 << 20;

/// Where each level begins, as a share of the soft limit.
const LEVELS: [(Level, f64); 3] = [
    (Level::Warning, 0.70),
    (Level::Error, 0.85),
    (Level::Critical, 0.90),
];

/// Where the governor cuts no further.
pub(super) const FLOOR: f64 = 0.1;

/// Scales are multiples of a twentieth; closer than that is the same.
const EPSILON: f64 = 1e-6;

/// A moment at which something was different from the moment before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Moment {
    /// Since the begin of the act.
    pub(super) seconds: f64,
    /// The container's working set, from outside.
    pub(super) memory_bytes: u64,
    pub(super) level: Option<Level>,
    pub(super) governor: String,
    pub(super) scale: f64,
}

/// The first act: up to 95 % of the soft limit, and held there.
#[derive(Debug, Default, Serialize)]
pub(super) struct Climb {
    pub(super) moments: Vec<Moment>,
    /// What `relay events` printed.
    pub(super) events: Vec<String>,
    /// How the node ended, when it did not drain.
    pub(super) death: Option<String>,
}

/// The second act: cut to the floor, memory given back, grown to 1.
#[derive(Debug, Default, Serialize)]
pub(super) struct Recovery {
    pub(super) moments: Vec<Moment>,
    pub(super) death: Option<String>,
}

// === impl Moment ===

impl Moment {
    fn differs(&self, other: &Self) -> bool {
        self.level != other.level
            || self.governor != other.governor
            || (self.scale - other.scale).abs() > EPSILON
    }

    pub(super) fn is_at(&self, scale: f64) -> bool {
        (self.scale - scale).abs() <= EPSILON
    }

    /// Appends itself when it says something new, and whether it did.
    pub(super) fn note(self, moments: &mut Vec<Self>) -> bool {
        let new = moments.last().is_none_or(|last| last.differs(&self));
        if new {
            moments.push(self);
        }
        new
    }

    pub(super) fn line(&self) -> String {
        let level = self
            .level
            .map_or("unknown".to_owned(), |level| format!("{level:?}"));
        format!(
            "{:6.1} s  {:5.1} MiB  {:<9} {:<11} scale {:.2}",
            self.seconds,
            self.memory_bytes as f64 / f64::from(1 << 20),
            level.to_lowercase(),
            self.governor,
            self.scale
        )
    }
}

/// The scales in their order, each once.
fn scales(moments: &[Moment]) -> Vec<f64> {
    let mut scales: Vec<f64> = moments.iter().map(|moment| moment.scale).collect();
    scales.dedup_by(|a, b| (*a - *b).abs() <= EPSILON);
    scales
}

fn is_same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= EPSILON)
}

// === impl Climb ===

impl Climb {
    /// What is not as specified.
    pub(super) fn failures(&self) -> Vec<String> {
        let mut failures: Vec<_> = self.death.iter().cloned().collect();
        for (level, share) in LEVELS {
            failures.extend(self.begins(level, share));
        }
        let scales = scales(&self.moments);
        if !is_same(&scales, &[1.0, 0.5, 0.25]) {
            failures.push(format!(
                "scales {scales:?}, not 1, 0.5 at 70 %, 0.25 at 90 %, and no third cut"
            ));
        }
        for (scale, level) in [(0.5, Level::Warning), (0.25, Level::Critical)] {
            let cut = self.moments.iter().find(|moment| moment.is_at(scale));
            if cut.is_some_and(|cut| cut.level != Some(level)) {
                failures.push(format!(
                    "scale {scale} at {:?}, not at {level:?}",
                    cut.and_then(|cut| cut.level)
                ));
            }
        }
        failures.extend(self.untold());
        failures
    }

    /// A level begins within one chunk above its threshold.
    fn begins(&self, level: Level, share: f64) -> Option<String> {
        let threshold = (share * SOFT_BYTES as f64) as u64;
        let Some(first) = self
            .moments
            .iter()
            .find(|moment| moment.level >= Some(level))
        else {
            return Some(format!("{level:?} was never reached"));
        };
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        // The kernel charges ahead, and the outside look is not at the same instant: a chunk both ways.
        let near = threshold.saturating_sub(CHUNK_BYTES)..=threshold + CHUNK_BYTES;
        (first.level != Some(level) || !near.contains(&first.memory_bytes)).then(|| {
            format!(
                "{level:?} at {:.1} MiB ({:?}), not at {:.1}",
                mib(first.memory_bytes),
                first.level,
                mib(threshold)
            )
        })
    }

    /// Each level must have been told to whoever listens.
    fn untold(&self) -> Option<String> {
        let told = |word: &str| {
            self.events
                .iter()
                .any(|line| line.to_lowercase().starts_with(word))
        };
        let silent: Vec<_> = ["warning", "error", "critical"]
            .into_iter()
            .filter(|severity| !told(severity))
            .collect();
        (!silent.is_empty())
            .then(|| format!("`relay events` printed no event of {}", silent.join(", ")))
    }
}

// === impl Recovery ===

impl Recovery {
    /// What is not as specified.
    pub(super) fn failures(&self) -> Vec<String> {
        let mut failures: Vec<_> = self.death.iter().cloned().collect();
        let scales = scales(&self.moments);
        let lowest = scales.iter().copied().fold(1.0, f64::min);
        let turn = scales
            .iter()
            .position(|scale| (scale - lowest).abs() <= EPSILON);
        let (down, up) = scales.split_at(turn.map_or(0, |turn| turn + 1));
        if !is_same(down, &[1.0, 0.5, 0.25, 0.125, 0.1]) {
            failures.push(format!("cut {down:?}, not by half to the floor of 0.1"));
        }
        let steps: Vec<f64> = (1..=18_u32)
            .map(|step| 0.1 + 0.05 * f64::from(step))
            .collect();
        if !is_same(up, &steps) {
            failures.push(format!("grown {up:?}, not by 0.05 in 18 steps to 1"));
        }
        if self
            .moments
            .last()
            .is_none_or(|last| last.governor != "normal")
        {
            failures.push("the governor is not at rest at the end".to_owned());
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(mib: u64, level: Level, scale: f64) -> Moment {
        Moment {
            seconds: 1.0,
            memory_bytes: mib << 20,
            level: Some(level),
            governor: if scale < 1.0 { "degraded" } else { "normal" }.to_owned(),
            scale,
        }
    }

    fn climb() -> Climb {
        Climb {
            moments: vec![
                moment(20, Level::Normal, 1.0),
                moment(143, Level::Warning, 0.5),
                moment(173, Level::Error, 0.5),
                moment(183, Level::Critical, 0.25),
            ],
            events: ["warning a", "error b", "critical c"]
                .map(str::to_owned)
                .to_vec(),
            death: None,
        }
    }

    #[test]
    fn a_climb_as_specified_passes_and_each_departure_is_named() {
        assert_eq!(climb().failures(), Vec::<String>::new());
        let changes: [fn(&mut Climb); 6] = [
            |climb| climb.moments[1].memory_bytes = 160 << 20,
            |climb| climb.moments[1].scale = 0.6,
            |climb| climb.moments.push(moment(183, Level::Critical, 0.125)),
            |climb| climb.moments.truncate(3),
            |climb| climb.events.clear(),
            |climb| climb.death = Some("kernel OOM killer".to_owned()),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut climb = climb();
            change(&mut climb);
            assert!(!climb.failures().is_empty(), "change {index}");
        }
    }

    #[test]
    fn a_recovery_takes_eighteen_steps() {
        let mut recovery = Recovery::default();
        let scales = [1.0, 0.5, 0.25, 0.125]
            .into_iter()
            .chain((0..=18_u32).map(|step| 0.1 + 0.05 * f64::from(step)));
        for scale in scales {
            moment(100, Level::Normal, scale).note(&mut recovery.moments);
        }
        if let Some(last) = recovery.moments.last_mut() {
            last.governor = "normal".to_owned();
        }
        assert_eq!(recovery.failures(), Vec::<String>::new());
        recovery.moments.remove(8);
        assert!(!recovery.failures().is_empty(), "a step too wide");
        recovery.moments.truncate(12);
        assert_eq!(recovery.failures().len(), 2, "it stopped half way");
    }

    #[test]
    fn only_what_is_new_is_noted() {
        let mut moments = Vec::new();
        assert!(moment(10, Level::Normal, 1.0).note(&mut moments));
        assert!(!moment(99, Level::Normal, 1.0).note(&mut moments));
        assert!(moment(99, Level::Warning, 1.0).note(&mut moments));
    }
}
