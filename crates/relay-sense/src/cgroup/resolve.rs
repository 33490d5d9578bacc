//! From "I am in group `/a/b`" to the folder that shows it, and those of its ancestors.

use std::cmp::Reverse;

use super::{CgroupMount, Membership, Version};
use crate::Root;

/// How many levels are looked at, counted from the own group upwards, since each holds a few
/// descriptors. What lies above counts as hidden.
const MAX_LEVELS: usize = 32;

/// Where the group of a controller can be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) version: Version,
    /// Folders in the machine's own names, the own group first, the mount's top last.
    pub(crate) levels: Vec<String>,
    /// Whether groups above the last level exist that cannot be seen from here.
    pub(crate) ancestors_hidden: bool,
}

/// The answer to "where is the group of this controller?".
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Here.
    Seen(Place),
    /// There may be one, but it cannot be seen, for this reason.
    Hidden(String),
    /// No group rules this controller, for this reason.
    Absent(String),
}

/// The mounts among which one controller's group is looked for.
#[derive(Clone, Copy)]
struct Search<'a> {
    root: &'a Root,
    mounts: &'a [CgroupMount],
    version: Version,
    controller: &'a str,
}

/// A mount and the part of a group's path below it.
type Candidate<'a> = (&'a CgroupMount, &'a str);

/// Finds the group of `controller`.
pub(crate) fn place(
    root: &Root,
    membership: &Membership,
    mounts: &[CgroupMount],
    controller: &str,
) -> Placement {
    let Some((version, path)) = membership.find(controller) else {
        return Placement::Absent(format!("no control group has the controller {controller}"));
    };
    let search = Search {
        root,
        mounts,
        version,
        controller,
    };
    // A removed group, which the kernel marks with " (deleted)", still has its ancestors.
    let candidate = search
        .visible(path)
        .or_else(|| search.candidates(path).next());
    match candidate {
        Some((mount, relative)) => {
            let levels = levels(&mount.point, relative);
            let cut_off = levels.len() == MAX_LEVELS;
            Placement::Seen(Place {
                version,
                levels,
                ancestors_hidden: cut_off || ancestors_hidden(root, version, mount),
            })
        }
        None => Placement::Hidden(format!(
            "no mount shows the {controller} control group {path} of this process"
        )),
    }
}

// === impl Search ===

impl<'a> Search<'a> {
    /// The best candidate whose folder is really there.
    fn visible(self, path: &'a str) -> Option<Candidate<'a>> {
        self.candidates(path)
            .find(|(mount, relative)| self.root.path(&join(&mount.point, relative)).is_dir())
    }

    /// The mounts that contain `path`, best first.
    ///
    /// The shortest root shows most ancestors, any of which may limit; a place below
    /// `/sys/fs/cgroup` is where the system itself looks; and of two at one place the later hides
    /// the earlier.
    fn candidates(self, path: &'a str) -> impl Iterator<Item = Candidate<'a>> {
        let shown = || {
            let mounts = self.mounts.iter().rev();
            mounts.filter(move |mount| mount.shows(self.version, self.controller))
        };
        let mut found: Vec<_> = shown()
            .filter_map(|mount| Some((mount, below(path, &mount.root)?)))
            .collect();
        found.sort_by_key(|(mount, _)| {
            let usual_place = mount.point.starts_with("/sys/fs/cgroup");
            (mount.root.len(), Reverse(usual_place))
        });
        // Own namespace, but mounted from outside it: the top of the mount is this process's group.
        if found.is_empty() && path == "/" {
            found.extend(
                shown()
                    .filter(|mount| !climbs(&mount.root))
                    .map(|mount| (mount, "")),
            );
        }
        found.into_iter()
    }
}

/// What of `path` lies below `root`, by whole components. A path that climbs out of the reader's
/// namespace (`/../x`) lies below nothing: taking the dots away would name another group.
fn below<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    if climbs(path) || climbs(root) {
        return None;
    }
    let rest = path.strip_prefix(root.trim_end_matches('/'))?;
    if rest.is_empty() {
        return Some("");
    }
    rest.strip_prefix('/')
}

fn climbs(path: &str) -> bool {
    path.split('/').any(|component| component == "..")
}

fn join(point: &str, relative: &str) -> String {
    let point = point.trim_end_matches('/');
    match relative {
        "" => point.to_owned(),
        relative => format!("{point}/{relative}"),
    }
}

fn levels(point: &str, relative: &str) -> Vec<String> {
    let parents = std::iter::successors(Some(relative), |at| match *at {
        "" => None,
        at => Some(at.rsplit_once('/').map_or("", |(parent, _)| parent)),
    });
    parents.take(MAX_LEVELS).map(|at| join(point, at)).collect()
}

/// Whether the top of a mount is itself the child of something.
///
/// A container's namespace shows its own group as `/`. What tells the true root apart: on version 2
/// it alone has no `cgroup.type` and no `memory.max`, on version 1 it alone has a `release_agent`.
fn ancestors_hidden(root: &Root, version: Version, mount: &CgroupMount) -> bool {
    let has = |file: &str| root.path(&join(&mount.point, file)).exists();
    mount.root != "/"
        || match version {
            Version::V1 => !has("release_agent"),
            Version::V2 => has("cgroup.type") || has("memory.max"),
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn roots_contain_paths_by_component() {
        assert_eq!(below("/docker/abc", "/docker/abc"), Some(""));
        assert_eq!(below("/docker/abc/d", "/docker/abc"), Some("d"));
        assert_eq!(below("/docker/abcdef", "/docker/abc"), None);
        assert_eq!(below("/a/b", "/"), Some("a/b"));
        assert_eq!(below("/", "/"), Some(""));
    }

    #[test]
    fn paths_outside_the_namespace_lie_below_nothing() {
        assert_eq!(below("/../x", "/"), None);
        assert_eq!(below("/x", "/.."), None);
        assert_eq!(below("/a/..b", "/"), Some("a/..b"));
    }

    #[test]
    fn levels_climb_to_the_mount() {
        assert_eq!(levels("/cg", "a/b"), ["/cg/a/b", "/cg/a", "/cg"]);
        assert_eq!(levels("/cg", ""), ["/cg"]);
        assert_eq!(levels("/cg", &"x/".repeat(100)).len(), MAX_LEVELS);
    }

    proptest! {
        #[test]
        fn every_level_lies_at_or_below_the_mount(relative in "[a-c/]{0,40}") {
            for level in levels("/cg", &relative) {
                prop_assert!(level == "/cg" || level.starts_with("/cg/"), "{}", level);
            }
        }

        #[test]
        fn below_never_panics(path in "\\PC{0,30}", root in "\\PC{0,30}") {
            let _ = below(&path, &root);
        }
    }
}
