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
    /// Whether the first level is not the own group but one above it.
    pub(crate) own_hidden: bool,
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
    search.place(path)
}

/// Finds the group of the unified hierarchy, whatever controllers it has.
pub(crate) fn unified(root: &Root, membership: &Membership, mounts: &[CgroupMount]) -> Placement {
    let Some(path) = membership.unified() else {
        return Placement::Absent("no unified hierarchy".to_owned());
    };
    let search = Search {
        root,
        mounts,
        version: Version::V2,
        controller: "unified",
    };
    search.place(path)
}

// === impl Search ===

impl<'a> Search<'a> {
    fn place(self, path: &'a str) -> Placement {
        // A removed group, which the kernel marks with " (deleted)", still has its ancestors.
        let candidate = self
            .visible(path)
            .or_else(|| self.candidates(path).next())
            .map(|candidate| (candidate, false))
            .or_else(|| Some((self.above(path)?, true)));
        let Some(((mount, relative), own_hidden)) = candidate else {
            let controller = self.controller;
            return Placement::Hidden(format!(
                "no mount shows the {controller} control group {path} of this process"
            ));
        };
        let levels = levels(&mount.point, relative);
        let cut_off = levels.len() == MAX_LEVELS;
        Placement::Seen(Place {
            version: self.version,
            levels,
            ancestors_hidden: cut_off || ancestors_hidden(self.root, self.version, mount),
            own_hidden,
        })
    }

    /// A mount whose top lies above the group although it does not show it: one from above the
    /// namespace (`/..`), and at least as far above as the path climbs.
    fn above(self, path: &str) -> Option<Candidate<'a>> {
        let ups = |text: &str| parts(text).filter(|part| *part == "..").count();
        let is_above = |mount: &&CgroupMount| {
            let root = ups(&mount.root);
            root > 0 && root == parts(&mount.root).count() && root >= ups(path)
        };
        let mounts = self.shown().filter(is_above);
        let nearest = mounts.min_by_key(|mount| mount.root.len())?;
        Some((nearest, ""))
    }

    /// The mounts of this version with this controller, the last one first.
    fn shown(self) -> impl Iterator<Item = &'a CgroupMount> {
        let mounts = self.mounts.iter().rev();
        mounts.filter(move |mount| mount.shows(self.version, self.controller))
    }

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
        let mut found: Vec<_> = self
            .shown()
            .filter_map(|mount| Some((mount, below(path, &mount.root)?)))
            .collect();
        found.sort_by_key(|(mount, _)| {
            let usual_place = mount.point.starts_with("/sys/fs/cgroup");
            (mount.root.len(), Reverse(usual_place))
        });
        // Own namespace, but mounted from outside it: the top of the mount is this process's group.
        if found.is_empty() && path == "/" {
            found.extend(
                self.shown()
                    .filter(|mount| !climbs(&mount.root))
                    .map(|mount| (mount, "")),
            );
        }
        found.into_iter()
    }
}

/// What of `path` lies below `root`, by whole components.
///
/// Both are told relative to the reader's namespace, so each may begin with `/..`, and may do so
/// alike. What climbs beyond that lies below nothing: taking the dots of `/../x` away would name
/// another group.
fn below<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(root.trim_end_matches('/'))?;
    if climbs(rest) {
        return None;
    }
    if rest.is_empty() {
        return Some("");
    }
    rest.strip_prefix('/')
}

fn climbs(path: &str) -> bool {
    parts(path).any(|part| part == "..")
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
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
        assert_eq!(below("/../../x", "/.."), None);
        assert_eq!(below("/../..", "/.."), None);
        assert_eq!(below("/x", "/.."), None);
        assert_eq!(below("/a/..b", "/"), Some("a/..b"));
    }

    #[test]
    fn a_mount_from_outside_the_namespace_may_show_a_path_outside_it() {
        assert_eq!(below("/../x", "/.."), Some("x"));
        assert_eq!(below("/../../x/y", "/../../x"), Some("y"));
        assert_eq!(below("/../x", "/../x"), Some(""));
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
