//! All levels whose memory limit can bind this process.

use crate::cgroup::{Place, Placement, Version, View, v1, v2};
use crate::level::{Level, STAT_BYTES};
use crate::{Bound, Root};

/// The groups that count the memory of this process, the own one first.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    pub(crate) levels: Vec<Level>,
    pub(crate) ancestors_hidden: bool,
}

// === impl Hierarchy ===

impl Hierarchy {
    pub(crate) fn open(root: &Root, view: &View, notes: &mut Vec<String>) -> Self {
        let (ancestors_hidden, reason) = match view.place(root, "memory") {
            Placement::Seen(place) => return Self::at(root, &place, notes),
            Placement::Hidden(reason) => (true, reason),
            Placement::Absent(reason) => (false, reason),
        };
        notes.push(format!("memory control group not seen: {reason}"));
        Self {
            levels: Vec::new(),
            ancestors_hidden,
        }
    }

    fn at(root: &Root, place: &Place, notes: &mut Vec<String>) -> Self {
        let binding = binding_levels(root, place);
        if let (true, Some(first)) = (place.own_hidden, place.levels.first()) {
            notes.push(format!(
                "{first} is above the own group, which cannot be seen"
            ));
        }
        let levels: Vec<_> = binding
            .iter()
            .filter_map(|path| Level::open(root, place.version, path, notes))
            .collect();
        if let (true, Some(own)) = (levels.is_empty(), place.levels.first()) {
            notes.push(nothing_shown(root, place, own));
        }
        Self {
            levels,
            ancestors_hidden: place.ancestors_hidden,
        }
    }

    /// The index of the group in which the memory of this process is counted.
    pub(crate) fn own(&self) -> Option<usize> {
        self.levels.iter().position(Level::counts_usage)
    }

    /// What version 1 says about all limits above the nearest group together, hidden ones included.
    pub(crate) fn hierarchical_limit(&self) -> Option<(&Level, u64)> {
        let own = self.levels.first()?;
        match Bound::from_kernel(own.stat(&mut [0; STAT_BYTES]).hierarchical_limit?) {
            Bound::Bytes(bytes) => Some((own, bytes)),
            Bound::Unlimited | Bound::Unknown => None,
        }
    }
}

/// The levels whose limits count. On version 1 a parent without `use_hierarchy` is not charged for
/// its children, and so neither are those above it.
fn binding_levels<'p>(root: &Root, place: &'p Place) -> &'p [String] {
    let levels = place.levels.as_slice();
    if place.version == Version::V2 {
        return levels;
    }
    let alone: Vec<bool> = levels
        .iter()
        .map(|path| v1::stands_alone(&root.path(path)))
        .collect();
    let unrelated = alone.windows(2).position(|pair| pair[0] || pair[1]);
    &levels[..unrelated.map_or(levels.len(), |child| child + 1)]
}

fn nothing_shown(root: &Root, place: &Place, own: &str) -> String {
    let top = place.levels.last().map_or(own, String::as_str);
    if place.version == Version::V2 && v2::lacks_controller(&root.path(top), "memory") {
        format!("memory controller off: {top}/cgroup.controllers does not list it")
    } else {
        format!("{own}: neither this group nor one above shows memory files")
    }
}
