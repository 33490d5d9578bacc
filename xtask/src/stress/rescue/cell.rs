//! One cell of the table: a way of being told at a rate, and what became of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CYCLE_BYTES, Exit};
use crate::stress::cgroup::Version;
use crate::stress::place::Place;
use crate::units::ByteRate;

/// How the program is told that its limit is near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    /// The allocating thread looks at the level each so many bytes.
    ByteClock,
    /// A thread looks at the level every millisecond.
    #[value(name = "poll-1ms")]
    #[serde(rename = "poll-1ms")]
    Poll1Ms,
    /// A thread looks at the level every 50 milliseconds.
    #[value(name = "poll-50ms")]
    #[serde(rename = "poll-50ms")]
    Poll50Ms,
    /// Pressure stall information alone.
    Psi,
    /// The kernel's count of failed charges alone.
    Events,
}

/// How fast it allocates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rate {
    Limited(ByteRate),
    /// As fast as pages fault.
    Unthrottled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) mode: Mode,
    pub(super) rate: Rate,
    /// How many it was asked for.
    pub(super) cycles: u32,
}

/// What became of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RunResult {
    #[serde(flatten)]
    pub(super) cell: Cell,
    pub(super) place: Place,
    pub(super) version: Version,
    /// How often it was saved.
    pub(super) cycles_survived: u32,
    pub(super) oom_kills: u64,
    exit: Option<Exit>,
    /// How it was told in fact, in the program's words.
    how: Option<String>,
    seconds: Option<f64>,
    /// The highest level that the program saw, as a share of the limit.
    level_max_percent: Option<f64>,
}

// === impl Mode ===

impl Mode {
    pub(super) const ALL: [Self; 5] = [
        Self::ByteClock,
        Self::Poll1Ms,
        Self::Poll50Ms,
        Self::Psi,
        Self::Events,
    ];

    /// As the program wants it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ByteClock => "byte-clock",
            Self::Poll1Ms => "poll-1ms",
            Self::Poll50Ms => "poll-50ms",
            Self::Psi => "psi",
            Self::Events => "events",
        }
    }
}

// === impl Rate ===

impl Rate {
    /// As the program wants it: 0 for unthrottled.
    pub(super) fn mib_per_second(self) -> u64 {
        match self {
            Self::Limited(rate) => (rate.0 >> 20).max(1),
            Self::Unthrottled => 0,
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Unthrottled);
        }
        text.parse().map(Self::Limited)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limited(rate) => rate.fmt(f),
            Self::Unthrottled => f.pad("max"),
        }
    }
}

// === impl Cell ===

impl Cell {
    pub(super) fn name(&self) -> String {
        let rate = self.rate.to_string().replace('/', "");
        format!("{}-{rate}", self.mode.name())
    }

    /// Past this the program ends by itself: half as long again as its cycles take, and something for an emulator.
    pub(super) fn seconds_max(&self) -> u64 {
        let mib = CYCLE_BYTES >> 20;
        let cycle = mib.checked_div(self.rate.mib_per_second()).unwrap_or(0) + 1;
        30 + cycle * u64::from(self.cycles) * 3 / 2
    }
}

// === impl RunResult ===

impl RunResult {
    pub(super) fn new(
        cell: Cell,
        place: Place,
        exit: Option<Exit>,
        oom_kills: u64,
        log: &str,
    ) -> Self {
        let end: Option<Value> = log
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str(line).ok());
        let end = end.unwrap_or_default();
        // Whoever was killed prints no end, but a line for each cycle.
        let begun = log.lines().rev().find_map(|line| {
            let (number, _) = line.strip_prefix("cycle ")?.split_once(':')?;
            number.parse().ok()
        });
        let done = end["cycles"]
            .as_u64()
            .and_then(|cycles| u32::try_from(cycles).ok());
        Self {
            cell,
            place,
            version: Version::here(),
            cycles_survived: done.or(begun).unwrap_or(0),
            oom_kills,
            exit,
            how: end["how"].as_str().map(str::to_owned),
            seconds: end["seconds"].as_f64(),
            level_max_percent: end["level_max_percent"].as_f64(),
        }
    }

    pub(super) fn survived(&self) -> bool {
        self.exit == Some(Exit::Code(0)) && self.oom_kills == 0
    }

    fn was_oom_killed(&self) -> bool {
        self.exit == Some(Exit::Signal(9)) && self.oom_kills > 0
    }

    /// The way that never saved anything unthrottled, so that a survivor means that nothing was proven. Pressure of
    /// version 1 is the whole machine's, and a neighbour may raise the signal; the counters of version 2 wake who waits.
    fn hopeless(&self) -> Mode {
        match self.version {
            Version::V1 => Mode::Events,
            Version::V2 => Mode::Psi,
        }
    }

    /// What is wrong with this run; `None` when it came out as it must, or is there for comparison.
    pub(super) fn failure(&self) -> Option<String> {
        let end = match self.exit {
            Some(exit) => exit.to_string(),
            None => "still running".to_owned(),
        };
        if !self.survived() && !self.was_oom_killed() {
            return Some(format!(
                "{end} with {} kills counted: neither alive nor killed",
                self.oom_kills
            ));
        }
        let done = self.cycles_survived;
        match self.cell.mode {
            Mode::ByteClock if done < self.cell.cycles => Some(format!(
                "the byte clock saved {done} of {} cycles",
                self.cell.cycles
            )),
            mode if mode == self.hopeless()
                && self.cell.rate == Rate::Unthrottled
                && self.survived() =>
            {
                Some("not killed: the danger is not real".to_owned())
            }
            _ => None,
        }
    }

    /// For the table: how many cycles, and what then.
    pub(super) fn short(&self) -> String {
        let count = format!("{}/{}", self.cycles_survived, self.cell.cycles);
        if self.survived() {
            count
        } else if self.was_oom_killed() {
            format!("killed, {count}")
        } else {
            format!("?, {count}")
        }
    }

    pub(super) fn line(&self) -> String {
        let seconds = self
            .seconds
            .map_or(String::new(), |seconds| format!(", {seconds:.1} s"));
        let level = self.level_max_percent.map_or(String::new(), |level| {
            format!(", up to {level:.1} % of the limit")
        });
        let how = self
            .how
            .as_ref()
            .map_or(String::new(), |how| format!(", by {how}"));
        format!(
            "{}, {:?} {} at {}: {}{seconds}{level}{how}",
            self.place,
            self.version,
            self.cell.mode.name(),
            self.cell.rate,
            self.short(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "cycle 1: freed 60 KiB\ncycle 2: freed 60 KiB\n";

    fn result(mode: Mode, exit: Exit, oom_kills: u64, log: &str) -> RunResult {
        let cell = Cell {
            mode,
            rate: Rate::Unthrottled,
            cycles: 3,
        };
        RunResult::new(cell, Place::Here, Some(exit), oom_kills, log)
    }

    #[test]
    fn the_cause_of_death_is_what_the_counters_say() {
        let killed = result(Mode::Psi, Exit::Signal(9), 1, LOG);
        assert_eq!(
            (killed.short().as_str(), killed.failure()),
            ("killed, 2/3", None)
        );
        for (exit, kills) in [
            (Exit::Signal(9), 0),
            (Exit::Code(101), 0),
            (Exit::Code(0), 1),
        ] {
            let odd = result(Mode::Psi, exit, kills, LOG);
            assert!(odd.failure().is_some(), "{exit} {kills}");
        }
    }

    #[test]
    fn the_byte_clock_must_save_every_cycle_and_the_hopeless_way_must_not() {
        let end = "{\"cycles\":3,\"seconds\":0.5}\n";
        let log = format!("{LOG}{end}");
        let failure = |mode, exit, kills, log: &str| {
            let mut result = result(mode, exit, kills, log);
            result.version = Version::V2;
            result.failure()
        };
        assert_eq!(failure(Mode::ByteClock, Exit::Code(0), 0, &log), None);
        assert!(failure(Mode::ByteClock, Exit::Code(0), 0, LOG).is_some());
        assert!(failure(Mode::ByteClock, Exit::Signal(9), 1, LOG).is_some());
        assert!(failure(Mode::Psi, Exit::Code(0), 0, &log).is_some());
        assert_eq!(failure(Mode::Psi, Exit::Signal(9), 1, LOG), None);
        assert_eq!(failure(Mode::Events, Exit::Code(0), 0, &log), None);
    }

    #[test]
    fn a_result_reads_back() {
        let result = result(Mode::Poll1Ms, Exit::Signal(9), 1, LOG);
        let text = serde_json::to_string(&result).unwrap();
        let read: RunResult = serde_json::from_str(&text).unwrap();
        assert_eq!(read.line(), result.line());
    }
}
