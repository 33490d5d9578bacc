//! What is killed, and how fast it runs into it.

use std::fmt;
use std::time::Duration;

use relay_forensics::Cause;
use serde::{Deserialize, Serialize};

use crate::stress::cgroup::Version;
use crate::stress::place::Place;

/// What the kill is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    /// A container at its own limit: process 1, root without capabilities, root file system read-only.
    Container,
    /// The same as user 65534.
    Unprivileged,
    /// The same with `memory.oom.group=1` and processes beside it.
    GroupKill,
    /// A process whose own group has no limit, in one that has.
    Ancestor,
    /// A container in which the wall clock is put forward by an hour before the end.
    ClockJump,
}

/// One kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Case {
    pub(super) way: Way,
    pub(super) limit_mib: u64,
    /// MiB a second; 0 is as fast as pages fault.
    pub(super) rate: u64,
}

const LIMITS_MIB: [u64; 3] = [64, 128, 256];
const RATES: [u64; 3] = [16, 64, 0];

/// Idle processes that die with the group.
pub(super) const SIBLINGS: u64 = 3;

const NOBODY: u32 = 65534;

/// The kills of one place, in their order.
pub(super) fn cases(place: Place, version: Version, quick: bool, rounds: u32) -> Vec<Case> {
    let container = |limit_mib, rate| Case {
        way: Way::Container,
        limit_mib,
        rate,
    };
    let table: Vec<Case> = if quick {
        RATES.map(|rate| container(64, rate)).to_vec()
    } else {
        let rows = LIMITS_MIB.iter();
        rows.flat_map(|limit| RATES.map(|rate| container(*limit, rate)))
            .collect()
    };
    let mut ways = vec![Way::Unprivileged, Way::Ancestor];
    if version == Version::V2 {
        ways.push(Way::GroupKill);
    }
    // Nobody's clock is put forward but the guest's.
    if place == Place::Guest {
        ways.push(Way::ClockJump);
    }
    let special = ways.into_iter().map(|way| Case {
        way,
        limit_mib: 64,
        rate: if way == Way::ClockJump { 64 } else { 0 },
    });
    let round: Vec<Case> = table.into_iter().chain(special).collect();
    let rounds = if quick { 1 } else { rounds };
    (0..rounds).flat_map(|_| round.clone()).collect()
}

// === impl Way ===

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Container => "own limit",
            Self::Unprivileged => "own limit, user 65534",
            Self::GroupKill => "own limit, memory.oom.group",
            Self::Ancestor => "limit of a group above",
            Self::ClockJump => "own limit after a clock jump",
        })
    }
}

// === impl Case ===

impl Case {
    pub(super) fn limit_bytes(&self) -> u64 {
        self.limit_mib << 20
    }

    pub(super) fn user(&self) -> u32 {
        if self.way == Way::Unprivileged {
            NOBODY
        } else {
            0
        }
    }

    pub(super) fn expected(&self) -> Cause {
        match self.way {
            Way::Ancestor => Cause::OomAncestor,
            _ => Cause::Oom,
        }
    }

    /// What the program is called with to record in `folder` and run into the limit.
    pub(super) fn arguments(&self, folder: &str) -> Vec<String> {
        let mut words = vec!["--folder".to_owned(), folder.to_owned()];
        let mut flag = |name: &str, value: u64| words.extend([name.to_owned(), value.to_string()]);
        flag("--rate", self.rate);
        flag("--prefill", self.prefill_mib());
        if self.way == Way::GroupKill {
            flag("--siblings", SIBLINGS);
        }
        words
    }

    /// The first half at full speed: nothing is recorded there that is of interest, and it takes long.
    fn prefill_mib(&self) -> u64 {
        if self.rate == 0 {
            0
        } else {
            self.limit_mib / 2
        }
    }

    /// Who has not been killed by then will not be, in an emulator either.
    pub(super) fn patience(&self) -> Duration {
        let way = self.limit_mib - self.prefill_mib();
        Duration::from_secs(60 + way.checked_div(self.rate).unwrap_or(0) * 2)
    }

    pub(super) fn speed(&self) -> String {
        match self.rate {
            0 => "full".to_owned(),
            rate => format!("{rate} MiB/s"),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} MiB, {}", self.way, self.limit_mib, self.speed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_form_has_a_hundred_kills_of_a_container_and_the_quick_form_ten() {
        let both = |quick| {
            let mut all = cases(Place::Here, Version::V1, quick, 6);
            all.extend(cases(Place::Guest, Version::V2, quick, 6));
            all
        };
        let long = both(false);
        let of_container = |case: &&Case| case.way == Way::Container;
        assert_eq!(long.iter().filter(of_container).count(), 108);
        assert!(both(true).len() >= 10);
        for way in [
            Way::Unprivileged,
            Way::Ancestor,
            Way::GroupKill,
            Way::ClockJump,
        ] {
            assert!(long.iter().any(|case| case.way == way), "{way}");
        }
    }

    #[test]
    fn nobody_but_the_guest_has_its_clock_moved() {
        let here = cases(Place::Here, Version::V2, false, 1);
        assert!(here.iter().all(|case| case.way != Way::ClockJump));
    }
}
