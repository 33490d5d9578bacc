//! Four priorities and the share of a bound that each may use.

use std::fmt;
use std::str::FromStr;

/// How important an event is when not everything can be admitted.
///
/// Queues stay first-in first-out: a priority acts at admission and at early drop, never by overtaking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Priority {
    /// Refused first.
    Low = 0,
    /// What an event has when nobody says otherwise.
    #[default]
    Normal = 1,
    /// The highest that may come from outside.
    High = 2,
    /// Health, errors and commands of the system itself; passes within its own reserve.
    Control = 3,
}

impl Priority {
    /// Every priority, lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Control];

    /// The share of a bound, in percent, that events of this priority may fill.
    ///
    /// The marks are nested, so while a lower class is admitted a higher one is too: priority inversion cannot happen.
    pub const fn watermark_percent(self) -> u64 {
        match self {
            Self::Low => 60,
            Self::Normal => 80,
            Self::High => 95,
            Self::Control => 100,
        }
    }

    /// From where on room is scarce for this priority, in percent: the mark of the one below. Up to there a lower one is
    /// admitted as well, so nothing that begins here can put a higher one behind it.
    pub(crate) const fn scarce_percent(self) -> u64 {
        match self {
            Self::Low => 40,
            Self::Normal => Self::Low.watermark_percent(),
            Self::High => Self::Normal.watermark_percent(),
            Self::Control => Self::High.watermark_percent(),
        }
    }

    /// The part of `bound` that events of this priority may fill, rounded down.
    pub const fn share_of(self, bound: u64) -> u64 {
        if bound == u64::MAX {
            return u64::MAX;
        }
        let percent = self.watermark_percent();
        bound / 100 * percent + bound % 100 * percent / 100
    }

    /// The priority with this rank, `0` for [`Priority::Low`]; ranks above `3` are [`Priority::Control`].
    pub const fn from_rank(rank: u8) -> Self {
        match rank {
            0 => Self::Low,
            1 => Self::Normal,
            2 => Self::High,
            _ => Self::Control,
        }
    }

    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Control => "control",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text named no priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsePriorityError(());

impl fmt::Display for ParsePriorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a priority: expected low, normal, high or control")
    }
}

impl std::error::Error for ParsePriorityError {}

impl FromStr for Priority {
    type Err = ParsePriorityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|priority| text.eq_ignore_ascii_case(priority.as_str()))
            .ok_or(ParsePriorityError(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_are_nested() {
        for pair in Priority::ALL.windows(2) {
            assert!(pair[0].watermark_percent() < pair[1].watermark_percent());
        }
        assert_eq!(Priority::Normal.share_of(1000), 800);
        assert_eq!(Priority::Low.share_of(99), 59);
        assert_eq!(Priority::Control.share_of(u64::MAX - 1), u64::MAX - 1);
    }

    #[test]
    fn names_round_trip() {
        for priority in Priority::ALL {
            assert_eq!(priority.to_string().parse(), Ok(priority));
            assert_eq!(Priority::from_rank(priority as u8), priority);
        }
        assert!("urgent".parse::<Priority>().is_err());
    }
}
