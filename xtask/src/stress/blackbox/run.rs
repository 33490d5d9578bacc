//! One kill for memory: start, wait, and compare what the recording says with what the kernel says.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use relay_forensics::{EventKind, Recording};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::case::{Case, SIBLINGS, Way};
use super::judge;
use super::kernel_log::KernelLog;
use super::metronome::Metronome;
use crate::stress::cgroup::Version;
use crate::stress::container::{self, Exit};
use crate::stress::place::Place;

/// The last record may be this old when the kill comes, or as old as the program planned, if that is more.
const GAP_NS: i64 = 5_000_000;

/// How far the clock is put forward.
const JUMP: i64 = 3600;

/// What all runs share.
pub(super) struct Stage<'a> {
    pub(super) program: &'a Path,
    pub(super) out: &'a Path,
    pub(super) place: Place,
    pub(super) log: KernelLog,
    pub(super) metronome: Metronome,
}

/// What became of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RunResult {
    #[serde(flatten)]
    pub(super) case: Case,
    pub(super) place: Place,
    pub(super) version: Version,
    /// What is wrong; `None` when everything is as it must be.
    pub(super) failure: Option<String>,
    /// The rest is there when the program was killed and its recording could be read.
    pub(super) seen: Option<Seen>,
}

/// The two sides of a kill.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) verdict: String,
    pub(super) confidence: String,
    /// From the last record to the kill.
    pub(super) gap_us: i64,
    /// What it may be at most, by the recorder's own plan.
    pub(super) bound_us: i64,
    /// For how long of it a thread outside the limit was not run.
    pub(super) machine_us: i64,
    /// Whether the processor was emulated, and with it the time.
    pub(super) is_emulated: bool,
    /// From the kill to the end of the process.
    pub(super) dying_us: i64,
    pub(super) torn: usize,
    /// Usage in the last record, as a share of the limit.
    pub(super) last_share: Option<f64>,
}

/// Runs a case; what goes wrong with it is its result.
pub(super) fn one(stage: &mut Stage<'_>, case: Case, number: usize) -> Result<RunResult> {
    let name = format!("blackbox-{}-{number}", std::process::id());
    let folder = stage.out.join("runs").join(&name);
    container::fresh(&folder)?;
    let outcome = kill(stage, case, &name, &folder);
    let (seen, failure) = match outcome {
        Ok((seen, wrong)) => (Some(seen), wrong),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    // What went wrong is kept, to be looked at.
    if failure.is_none() {
        std::fs::remove_dir_all(&folder).context("the folder of the run")?;
    }
    Ok(RunResult {
        case,
        place: stage.place,
        version: Version::here(),
        failure,
        seen,
    })
}

fn kill(
    stage: &mut Stage<'_>,
    case: Case,
    name: &str,
    folder: &Path,
) -> Result<(Seen, Option<String>)> {
    let mut body = Body::start(stage.program, case, name, folder)?;
    if case.way == Way::ClockJump {
        std::thread::sleep(Duration::from_millis(150));
        move_clock(JUMP)?;
    }
    let waited = body.wait(case.patience());
    if case.way == Way::ClockJump {
        move_clock(-JUMP)?;
    }
    let (ended_ns, exit) = waited?;
    ensure!(exit == Exit::Signal(9), "ended with {exit}, not by a kill");
    let kills = stage.log.kills(body.group())?;
    let killed = kills.iter().map(|kill| kill.at_ns).min();
    let killed_ns = killed.context("the kernel logged no kill in its group")?;
    let oom_kills = body.oom_kills()?;
    let warnings = std::mem::take(&mut body.warnings);
    let path = body.recording.clone();
    let group = body.group().to_owned();
    drop(body);
    let (recording, found) = judge::recording(&path)?;
    let verdict = recording.verdict();
    let seen = Seen {
        verdict: verdict.cause.as_str().to_owned(),
        confidence: format!("{:?}", verdict.confidence).to_lowercase(),
        gap_us: (killed_ns - found.last_ns) / 1000,
        bound_us: found.planned_ns.max(GAP_NS) / 1000,
        machine_us: stage.metronome.held_up_ns(found.last_ns, killed_ns) / 1000,
        is_emulated: stage.place == Place::Guest,
        dying_us: (ended_ns - killed_ns) / 1000,
        torn: found.torn,
        last_share: found.last_share,
    };
    let limit_is_own = kills.iter().all(|kill| kill.limit_group.ends_with(&group));
    let wrong = [
        (verdict.cause != case.expected()).then(|| format!("the verdict is: {verdict}")),
        (limit_is_own != (case.way != Way::Ancestor))
            .then(|| format!("the kernel tells of another limit: {kills:?}")),
        (oom_kills < expected_kills(case)).then(|| format!("{oom_kills} kills counted")),
        (!recording.header().is_locked()).then(|| "the recording was not locked".to_owned()),
        (!warnings.is_empty()).then(|| warnings.join("; ")),
        (case.way == Way::ClockJump && !has_jump(&recording))
            .then(|| "the jump of the clock was not recorded".to_owned()),
        seen.late(),
    ];
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    Ok((seen, (!wrong.is_empty()).then(|| wrong.join("; "))))
}

fn expected_kills(case: Case) -> u64 {
    match case.way {
        Way::GroupKill => 1 + SIBLINGS,
        _ => 1,
    }
}

fn has_jump(recording: &Recording) -> bool {
    let mut jumps = recording.events().iter();
    jumps.any(|event| {
        let by_ns = event.values[0].cast_signed();
        event.kind == EventKind::ClockJump && (by_ns / 1_000_000_000 - JUMP).abs() <= 1
    })
}

fn move_clock(seconds: i64) -> Result<()> {
    let now = clock_gettime(ClockId::Realtime);
    let moved = Timespec {
        tv_sec: now.tv_sec + seconds,
        ..now
    };
    clock_settime(ClockId::Realtime, moved).context("cannot set the clock")
}

// === impl Seen ===

impl Seen {
    /// Whether the machine ran threads punctually enough to say anything of the gap.
    pub(super) fn is_judged(&self) -> bool {
        !self.is_emulated && self.machine_us <= self.bound_us
    }

    /// More than a process outside the limit was held up by, too.
    fn late(&self) -> Option<String> {
        let allowed_us = self.bound_us + self.machine_us;
        (self.is_judged() && self.gap_us > allowed_us).then(|| {
            format!(
                "the last record was {:.1} ms before the kill, of {:.1} ms allowed",
                self.gap_us as f64 / 1e3,
                allowed_us as f64 / 1e3
            )
        })
    }

    fn line(&self) -> String {
        let share = self.last_share.map_or(String::new(), |share| {
            format!(", at {:.1} % of the limit", share * 100.0)
        });
        format!(
            "{} ({}), last record {:.2} ms before the kill{share}, dead {:.0} ms after it, {} torn",
            self.verdict,
            self.confidence,
            self.gap_us as f64 / 1e3,
            self.dying_us as f64 / 1e3,
            self.torn,
        )
    }
}

// === impl RunResult ===

impl RunResult {
    pub(super) fn line(&self) -> String {
        let seen = self.seen.as_ref().map_or("nothing".to_owned(), Seen::line);
        format!("{}, {:?}, {}: {seen}", self.place, self.version, self.case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_record_is_excused_by_the_machine_only() {
        let seen = |gap_us, machine_us| Seen {
            verdict: "oom".into(),
            confidence: "high".into(),
            gap_us,
            bound_us: 5000,
            machine_us,
            is_emulated: false,
            dying_us: 0,
            torn: 0,
            last_share: None,
        };
        assert_eq!(seen(5000, 0).late(), None);
        assert!(seen(5001, 0).late().is_some());
        assert_eq!(seen(7000, 2000).late(), None);
        assert!(seen(7001, 2000).late().is_some());
        assert!(seen(7001, 2000).is_judged());
        let stalled = seen(90_000, 5001);
        assert!(stalled.late().is_none() && !stalled.is_judged());
        let emulated = Seen {
            is_emulated: true,
            ..seen(5001, 0)
        };
        assert!(emulated.late().is_none() && !emulated.is_judged());
    }
}
