//! How much a group may swap out.
//!
//! Version 2 has a limit of its own for swap. Version 1 limits memory and swap together, so what is
//! left for swap is the difference to the memory limit. Where the kernel keeps no account of swap
//! both files are missing, and the answer is *unknown*. Sources: kernel `admin-guide/cgroup-v2`
//! (`memory.swap.max`), `admin-guide/cgroup-v1/memory` (`memory.memsw.limit_in_bytes`).

use crate::cgroup::Version;
use crate::hierarchy::Hierarchy;
use crate::level::Level;
use crate::{Bound, Root, file, text};

/// The smallest swap limit of all levels that can be seen.
pub(crate) fn limit(root: &Root, hierarchy: &Hierarchy) -> Bound {
    match hierarchy.levels.first().map(|own| own.version) {
        None => Bound::Unknown,
        Some(Version::V2) => smallest(root, hierarchy, "memory.swap.max"),
        Some(Version::V1) => {
            let both = smallest(root, hierarchy, "memory.memsw.limit_in_bytes");
            beyond(
                both.tighter_known(hierarchical(root, hierarchy)),
                memory(hierarchy),
            )
        }
    }
}

/// What memory and swap together leave for swap when memory is used up.
fn beyond(both: Bound, memory: Option<u64>) -> Bound {
    match both {
        Bound::Bytes(both) => Bound::Bytes(both.saturating_sub(memory.unwrap_or(0))),
        Bound::Unlimited | Bound::Unknown => both,
    }
}

/// The smallest of one file's values over all levels that have it.
fn smallest(root: &Root, hierarchy: &Hierarchy, name: &str) -> Bound {
    let read = |level: &Level| {
        let path = root.path(&level.path).join(name);
        file::read_whole(&path).map_or(Bound::Unknown, |text| Bound::parse(&text))
    };
    let levels = hierarchy.levels.iter();
    levels.map(read).fold(Bound::Unknown, Bound::tighter_known)
}

/// The limit of memory and swap that version 1 computes over all levels, hidden ones included.
fn hierarchical(root: &Root, hierarchy: &Hierarchy) -> Bound {
    let own = hierarchy.levels.first();
    own.and_then(|own| file::read_whole(&root.path(&own.path).join("memory.stat")).ok())
        .and_then(|stat| text::field(&stat, b"hierarchical_memsw_limit"))
        .map_or(Bound::Unknown, Bound::from_kernel)
}

/// The smallest memory limit of all levels.
fn memory(hierarchy: &Hierarchy) -> Option<u64> {
    let levels = hierarchy.levels.iter();
    let visible = levels.filter_map(|level| level.limit().bytes());
    let hidden = hierarchy.hierarchical_limit().map(|(_, bytes)| bytes);
    visible.chain(hidden).min()
}
