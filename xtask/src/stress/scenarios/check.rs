//! What a run must reach, by name.

use super::outcome::Figures;
use crate::stress::state::Level;

/// One goal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Check {
    /// The node drained after SIGTERM and nothing of its container was killed but a neighbour.
    Survives,
    /// The kernel killed the node: the danger is real.
    Dies,
    /// A kill is in the kernel's count; without one nobody was killed.
    DeathExplained,
    /// Every event is accounted for, on both sides.
    AccountCloses,
    /// Every event got an answer, and every refusal says when to come back.
    Answers,
    /// Peak working set at most this share of the limit in force.
    Peak(f64),
    /// Delivered during the overload at least this share of the capacity.
    Goodput(f64),
    /// p95 − p5 in the second half of the overload at most so much: of memory as a share of the limit, of admission in
    /// points.
    Swing(f64, f64),
    /// Admission steady after so many ms of overload.
    Steady(f64),
    /// A knob is turned or an event refused so many ms after the overload began.
    Acts(f64),
    /// 95 % admission so many ms after the load has fallen.
    Recovers(f64),
    /// In the second half of each rest at least this share is admitted, and the level is normal at its end.
    RecoversEachCycle(f64),
    /// The node told events with all of these codes.
    Tells(&'static [&'static str]),
    /// Nothing was refused.
    NoRefusal,
    /// The level was never higher.
    HighestLevel(Level),
    /// Raw usage reached this share of the limit; else nothing was proven.
    NeedsUsage(f64),
    /// The node knows each new limit within so many ms.
    FollowsLimit(f64),
    /// While the neighbour stands the node's queue gives back at least this share of what it held.
    Yields(f64),
    /// Growth of memory for a byte of payload held, for sizes from 64 KiB on.
    Amplification(f64),
}

/// What every run must reach.
pub(super) const ALWAYS: &[Check] = &[Check::DeathExplained];

/// What the shipped configuration must reach in every scenario, but where one says otherwise.
pub(super) const OURS: &[Check] = &[Check::Survives, Check::AccountCloses, Check::Answers];

/// Smaller events cost more than they carry: their overhead is theirs.
const AMPLIFIED_BYTES_MIN: u64 = 64 << 10;

// === impl Check ===

impl Check {
    /// Whether it takes a machine of its own: with others at work a time says little of the node.
    pub(super) fn is_timed(self) -> bool {
        matches!(
            self,
            Self::Steady(_) | Self::Acts(_) | Self::Recovers(_) | Self::FollowsLimit(_)
        )
    }

    /// The goal where a run has only this part of its time: half as much drains in half of it.
    pub(super) fn within(self, part: f64) -> Self {
        match self {
            Self::Yields(least) => Self::Yields(least * part),
            other => other,
        }
    }

    /// How the goal was missed; `None` when it was reached.
    pub(super) fn judge(self, run: &Figures) -> Option<String> {
        match self {
            Self::Survives => missed(run.ended_well, || format!("ended: {}", run.death)),
            Self::Dies => missed(run.killed && run.oom_kills > 0, || {
                format!("not OOM-killed ({}): the danger is not real", run.death)
            }),
            Self::DeathExplained => missed(!run.killed || run.oom_kills > 0, || {
                format!("{}: the kernel counted no kill", run.death)
            }),
            Self::AccountCloses => missed(run.account_gaps.is_empty(), || {
                format!("account open: {}", run.account_gaps.join("; "))
            }),
            Self::Answers => answers(run),
            Self::Peak(most) => at_most("peak ÷ limit", Some(run.peak_share), most),
            Self::Goodput(least) => at_least("goodput ÷ capacity", run.goodput, least),
            Self::Swing(memory, admission) => at_most("memory swing", run.memory_swing, memory)
                .or_else(|| at_most("admission swing, points", run.admission_swing, admission)),
            Self::Acts(most) => at_most("ms to the first action", run.first_action_ms, most),
            Self::Steady(most) => at_most("ms to steady admission", run.steady_ms, most),
            Self::Recovers(most) => at_most("ms to 95 % admission", run.recovery_ms, most),
            Self::RecoversEachCycle(least) => cycles(run, least),
            Self::Tells(codes) => {
                let untold = codes
                    .iter()
                    .find(|code| !run.codes.iter().any(|told| told == *code));
                untold.map(|code| format!("no {code} was told"))
            }
            Self::NoRefusal => missed(run.load.refused == 0, || {
                format!("{} refused", run.load.refused)
            }),
            Self::HighestLevel(most) => {
                missed(run.highest_level.is_some_and(|it| it <= most), || {
                    format!("level {:?}", run.highest_level)
                })
            }
            Self::NeedsUsage(least) => at_least("raw usage ÷ limit", Some(run.usage_share), least),
            Self::FollowsLimit(most) => {
                let slowest = run
                    .limits_seen_ms
                    .iter()
                    .copied()
                    .flatten()
                    .reduce(f64::max);
                let all = run.limits_seen_ms.iter().all(Option::is_some);
                at_most("ms to a new limit", slowest.filter(|_| all), most)
            }
            Self::Yields(least) => at_least("share of its queue given back", run.yielded, least),
            Self::Amplification(most) => {
                let large = run
                    .amplification
                    .iter()
                    .filter(|(size, _)| *size >= AMPLIFIED_BYTES_MIN);
                let worst = large.map(|(_, ratio)| *ratio).reduce(f64::max);
                at_most("resident ÷ payload held", worst, most)
            }
        }
    }
}

fn missed(reached: bool, what: impl FnOnce() -> String) -> Option<String> {
    (!reached).then(what)
}

/// A figure that could not be taken is a goal missed.
fn at_most(what: &str, figure: Option<f64>, most: f64) -> Option<String> {
    missed(figure.is_some_and(|figure| figure <= most), || {
        format!("{what} {} > {most}", shown(figure))
    })
}

fn at_least(what: &str, figure: Option<f64>, least: f64) -> Option<String> {
    missed(figure.is_some_and(|figure| figure >= least), || {
        format!("{what} {} < {least}", shown(figure))
    })
}

fn shown(figure: Option<f64>) -> String {
    figure.map_or("never".to_owned(), |figure| format!("{figure:.3}"))
}

fn answers(run: &Figures) -> Option<String> {
    let unanswered: Vec<_> = run
        .failed_by_kind
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(kind, count)| format!("{count} without an answer: {kind}"))
        .collect();
    missed(unanswered.is_empty(), || unanswered.join(", ")).or_else(|| {
        missed(run.without_retry_after == 0, || {
            format!("{} refusals without Retry-After", run.without_retry_after)
        })
    })
}

fn cycles(run: &Figures, least: f64) -> Option<String> {
    let bad = run
        .rests
        .iter()
        .position(|rest| rest.admitted < least || rest.level != Some(Level::Normal));
    match bad {
        Some(index) => Some(format!("rest {}: {:?}", index + 1, run.rests[index])),
        None => missed(!run.rests.is_empty(), || "no rest".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stress::scenarios::outcome::{Rest, sample_figures};

    type Change = fn(&mut Figures);

    #[test]
    fn a_good_run_reaches_every_goal_and_each_shortcoming_is_named() {
        let cases: [(Check, Change); 20] = [
            (Check::Survives, |run| run.ended_well = false),
            (Check::DeathExplained, |run| run.killed = true),
            (Check::AccountCloses, |run| {
                run.account_gaps.push("x".to_owned());
            }),
            (Check::Answers, |run| {
                run.failed_by_kind.insert("reset".to_owned(), 1);
            }),
            (Check::Answers, |run| run.without_retry_after = 1),
            (Check::Peak(0.8), |run| run.peak_share = 0.81),
            (Check::Goodput(0.9), |run| run.goodput = None),
            (Check::Swing(0.05, 10.0), |run| {
                run.memory_swing = Some(0.06);
            }),
            (Check::Swing(0.05, 10.0), |run| {
                run.admission_swing = Some(11.0);
            }),
            (Check::Acts(20.0), |run| run.first_action_ms = Some(21.0)),
            (Check::Steady(500.0), |run| run.steady_ms = Some(501.0)),
            (Check::Recovers(1000.0), |run| run.recovery_ms = None),
            (Check::RecoversEachCycle(0.95), |run| {
                run.rests.push(Rest {
                    admitted: 1.0,
                    level: Some(Level::Warning),
                });
            }),
            (Check::Tells(&["DROP_RED", "GOVERNOR_SCALE"]), |run| {
                run.codes.pop();
            }),
            (Check::NoRefusal, |run| run.load.refused = 1),
            (Check::HighestLevel(Level::Normal), |run| {
                run.highest_level = Some(Level::Warning);
            }),
            (Check::NeedsUsage(0.85), |run| run.usage_share = 0.5),
            (Check::FollowsLimit(1000.0), |run| {
                run.limits_seen_ms.push(None);
            }),
            (Check::Yields(0.3), |run| run.yielded = Some(0.1)),
            (Check::Amplification(1.5), |run| {
                run.amplification.push((1 << 20, 1.6));
            }),
        ];
        for (check, change) in cases {
            let mut run = sample_figures();
            assert_eq!(check.judge(&run), None, "{check:?}");
            change(&mut run);
            assert!(check.judge(&run).is_some(), "{check:?}");
        }
    }

    #[test]
    fn a_naive_pipeline_must_be_killed_and_the_kernel_must_say_so() {
        let mut run = sample_figures();
        assert!(Check::Dies.judge(&run).is_some());
        run.killed = true;
        assert!(Check::Dies.judge(&run).is_some());
        run.oom_kills = 1;
        assert_eq!(Check::Dies.judge(&run), None);
    }

    #[test]
    fn half_the_time_asks_for_half_of_what_takes_time() {
        let mut run = sample_figures();
        run.yielded = Some(0.2);
        assert!(Check::Yields(0.3).within(1.0).judge(&run).is_some());
        assert_eq!(Check::Yields(0.3).within(0.5).judge(&run), None);
        run.peak_share = 0.98;
        assert!(Check::Peak(0.97).within(0.5).judge(&run).is_some());
    }
}
