//! The five levels of danger.

use std::fmt;

/// How near the limit is, in one word. Ordered from calm to danger; displayed in lower case.
///
/// ```
/// use relay_control::Level;
///
/// assert!(Level::Error > Level::Warning);
/// assert_eq!(Level::Critical.to_string(), "critical");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Level {
    /// Below every threshold, or no limit at all.
    #[default]
    Normal,
    /// Throttle.
    Warning,
    /// Shed the lowest priority.
    Error,
    /// Shed more; sheddable subscriptions drop.
    Critical,
    /// Only control traffic passes; sustained, the process drains and exits.
    Emergency,
}

impl Level {
    /// Every level, from calm to danger.
    pub const ALL: [Self; 5] = [
        Self::Normal,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Emergency,
    ];

    /// The name that [`Display`](fmt::Display) prints, as metric labels want it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Emergency => "emergency",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
