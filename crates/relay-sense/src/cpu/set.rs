//! Sets of processors, as the kernel lists them: `0-3,7`. Source: `cpuset(7)`, "List format".

use crate::text;

/// Processors, as ascending ranges that do not touch. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CpuSet {
    ranges: Vec<(u64, u64)>,
}

// === impl CpuSet ===

impl CpuSet {
    /// Reads a list; `None` where it is empty, not one, or not ascending as the kernel prints it.
    pub(crate) fn parse(list: &[u8]) -> Option<Self> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for range in list.trim_ascii().split(|byte| *byte == b',') {
            let mut ends = range.splitn(2, |byte| *byte == b'-');
            let from = text::number(ends.next()?)?;
            let to = ends.next().map_or(Some(from), text::number)?;
            let after = ranges.last().is_none_or(|(_, last)| *last < from);
            if from > to || !after {
                return None;
            }
            ranges.push((from, to));
        }
        Some(Self { ranges })
    }

    /// From single processors, in ascending order.
    pub(crate) fn of(cpus: impl Iterator<Item = u64>) -> Option<Self> {
        let ranges: Vec<_> = cpus.map(|cpu| (cpu, cpu)).collect();
        (!ranges.is_empty()).then_some(Self { ranges })
    }

    /// The processors in both; `None` where there are none.
    pub(crate) fn intersection(&self, other: &Self) -> Option<Self> {
        let (mut ours, mut theirs) = (self.ranges.iter(), other.ranges.iter());
        let (mut our, mut their) = (ours.next(), theirs.next());
        let mut ranges = Vec::new();
        while let (Some(a), Some(b)) = (our, their) {
            let (from, to) = (a.0.max(b.0), a.1.min(b.1));
            if from <= to {
                ranges.push((from, to));
            }
            if a.1 <= b.1 {
                our = ours.next();
            } else {
                their = theirs.next();
            }
        }
        (!ranges.is_empty()).then_some(Self { ranges })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let count = self.ranges.iter().fold(0_u64, |sum, (from, to)| {
            sum.saturating_add((to - from).saturating_add(1))
        });
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(list: &str) -> Option<usize> {
        CpuSet::parse(list.as_bytes()).map(|set| set.count())
    }

    #[test]
    fn lists_are_counted() {
        let cases = [
            ("0-1", Some(2)),
            ("3\n", Some(1)),
            ("0-3,7,9-10", Some(7)),
            ("0-18446744073709551615", Some(usize::MAX)),
            ("", None),
            ("\n", None),
            ("3-1", None),
            ("1,0", None),
            ("0-3,3", None),
            ("a-b", None),
            ("0-3:1/2", None),
        ];
        for (list, expected) in cases {
            assert_eq!(count(list), expected, "{list:?}");
        }
    }

    fn set() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::btree_set(0_u64..64, 1..20).prop_map(|set| set.into_iter().collect())
    }

    proptest! {
        #[test]
        fn any_list_parses(list in any::<Vec<u8>>()) {
            let _ = CpuSet::parse(&list).map(|set| set.count());
        }

        #[test]
        fn intersections_agree_with_a_plain_search(ours in set(), theirs in set()) {
            let expected = ours.iter().filter(|cpu| theirs.contains(cpu)).count();
            let [ours, theirs] = [ours, theirs].map(|cpus| CpuSet::of(cpus.into_iter()).unwrap());
            let both = ours.intersection(&theirs);
            prop_assert_eq!(both.map_or(0, |set| set.count()), expected);
        }
    }
}
