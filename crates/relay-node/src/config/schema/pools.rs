//! `[pools]`: how many workers adapters have.

use std::time::Duration;

use crate::config::kind::number::within;
use crate::config::kind::{Auto, AutoOr};
use crate::config::reader::Section;

/// `[pools]`: the workers of each adapter. Those of an emitter are its requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pools {
    /// Fewest workers.
    pub min: Auto<usize>,
    /// Most workers.
    pub max: Auto<usize>,
    /// How long what waits for a worker may take to be worked off.
    pub target_lag: Duration,
}

/// Fewest and most when nothing else is said; the CPU quota bounds both.
const MIN: usize = 2;
const MAX: usize = 8;

impl Pools {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let workers = || AutoOr(within(1, 1024));
        Self {
            min: s.read(
                "min",
                &workers(),
                Auto::Auto,
                "fewest workers of an adapter; auto is 2, or what the CPU quota allows",
            ),
            max: s.read(
                "max",
                &workers(),
                Auto::Auto,
                "most workers of an adapter; auto is 8, or what the CPU quota allows",
            ),
            target_lag: s.read(
                "target_lag",
                &within(Duration::from_millis(1), Duration::from_mins(1)),
                Duration::from_millis(10),
                "how long what waits for a worker may take to be worked off",
            ),
        }
    }

    /// Fewest and most, where the CPU quota feeds so many.
    pub fn bounds(&self, quota: usize) -> (usize, usize) {
        let (min, max) = (self.min.fixed(), self.max.fixed());
        // What is not given gives way to what is.
        let most = max.unwrap_or_else(|| MAX.min(quota).max(min.unwrap_or(1)));
        (min.unwrap_or(MIN).min(most), most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_follows_the_quota_and_what_is_given_holds() {
        let bounds = |min, max, quota| {
            let auto = |value: Option<usize>| value.map_or(Auto::Auto, Auto::Fixed);
            let pools = Pools {
                min: auto(min),
                max: auto(max),
                target_lag: Duration::ZERO,
            };
            pools.bounds(quota)
        };
        assert_eq!(bounds(None, None, 1), (1, 1));
        assert_eq!(bounds(None, None, 4), (2, 4));
        assert_eq!(bounds(None, None, 64), (2, 8));
        assert_eq!(bounds(Some(3), None, 1), (3, 3));
        assert_eq!(bounds(None, Some(1), 64), (1, 1));
        assert_eq!(bounds(Some(4), Some(16), 1), (4, 16));
    }
}
