//! Being told when a limit is written or an event is counted, instead of asking.
//!
//! The kernel marks a limit file as modified for inotify when somebody writes it, also through
//! another mount and from outside the control group's namespace, and `memory.events` when a counter
//! moves (at most once in 10 ms). That works where nothing may be written, as in an ordinary container.
//! Sources: `inotify(7)`, kernel `admin-guide/cgroup-v2` (`memory.events`); measured on versions 1
//! and 2.
//!
//! What it cannot see: ancestors outside the namespace, and changes made inside the kernel. Whoever
//! watches reads the files once in a while all the same.

use std::io;

use crate::Root;
use crate::cgroup::{Placement, Version, View};
use crate::hierarchy::Hierarchy;
use crate::sys::Inotify;

/// What has changed since it was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// A memory limit, hard or soft, of some level was written.
    pub limits: bool,
    /// A processor quota of some level was written: [`detect`](crate::detect()) reads it.
    pub cpu: bool,
    /// A counter of `memory.events` of the own group moved.
    pub events: bool,
    /// A watched group was removed.
    pub groups: bool,
}

/// Owns one inotify descriptor over the limit files of all visible levels and the own group's events.
///
/// Dropping it waits some 20 ms for the kernel. It starts no thread. Wait for its descriptor to become readable, by [`wait`](crate::wait()) or in a
/// `poll(2)` of your own, then [`drain`](Self::drain) it. A [`Sampler`](crate::Sampler) has one
/// and drains it; make one of your own only to watch without sampling.
///
/// ```
/// use std::time::Duration;
/// use relay_sense::{Root, Watch, wait};
///
/// let mut watch = match Watch::open(&Root::system()) {
///     Ok(watch) => watch,
///     Err(error) => return Ok(println!("read limits now and then: {error}")),
/// };
/// if wait(Some(&watch), None, None, Some(Duration::from_millis(10)))?.watch {
///     let changes = watch.drain();
///     println!("a limit was written: {}", changes.limits);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    watched: Vec<(i32, Kind)>,
    unwatched: usize,
}

/// What it means when a file is modified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Limit,
    Cpu,
    Events,
}

/// What happened to a watched file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileEvent {
    pub(crate) id: i32,
    pub(crate) is_modified: bool,
    /// It is gone, or no longer watched.
    pub(crate) is_removed: bool,
    /// Events before this one were lost.
    pub(crate) has_lost_some: bool,
}

// === impl Changes ===

impl Changes {
    /// Whether anything has changed.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

// === impl Watch ===

impl Watch {
    /// Watches the limits of this process.
    ///
    /// # Errors
    ///
    /// What `inotify_init1(2)` answers: too many instances for this user
    /// (`fs.inotify.max_user_instances`), too many descriptors, or a sandbox without inotify. A file
    /// that cannot be watched is no error, see [`unwatched`](Self::unwatched). Always
    /// [`Unsupported`](io::ErrorKind::Unsupported) on systems other than Linux.
    pub fn open(root: &Root) -> io::Result<Self> {
        let view = View::load(root);
        let hierarchy = Hierarchy::open(root, &view, &mut Vec::new());
        let mut watch = Self::idle()?;
        watch.turn_to(root, &view, &hierarchy);
        Ok(watch)
    }

    /// Watches nothing yet.
    pub(crate) fn idle() -> io::Result<Self> {
        Ok(Self {
            inotify: Inotify::new()?,
            watched: Vec::new(),
            unwatched: 0,
        })
    }

    /// Watches these groups, and no others any more. A new descriptor would do, but closing the old one
    /// waits some 20 ms for the kernel (measured).
    pub(crate) fn turn_to(&mut self, root: &Root, view: &View, hierarchy: &Hierarchy) {
        for (id, _) in self.watched.drain(..) {
            self.inotify.remove(id);
        }
        self.unwatched = 0;
        for level in &hierarchy.levels {
            let files = level.version.memory_files();
            self.add(root, &level.path, files.limit, Kind::Limit);
            if let Some(soft_limit) = files.soft_limit {
                self.add(root, &level.path, soft_limit, Kind::Limit);
            }
        }
        // The counters of version 1 tell nobody when they move.
        let own = hierarchy.own().map(|own| &hierarchy.levels[own]);
        if let Some(own) = own.filter(|own| own.version == Version::V2) {
            self.add(
                root,
                &own.path,
                own.version.memory_files().events,
                Kind::Events,
            );
        }
        if let Placement::Seen(place) = view.place(root, "cpu") {
            let names: &[&str] = match place.version {
                Version::V1 => &["cpu.cfs_quota_us", "cpu.cfs_period_us"],
                Version::V2 => &["cpu.max"],
            };
            for level in &place.levels {
                for name in names {
                    self.add(root, level, name, Kind::Cpu);
                }
            }
        }
    }

    /// How many files are there and cannot be watched, because the user has no watches left or they may
    /// not be read. Changes of those are found by reading alone.
    pub fn unwatched(&self) -> usize {
        self.unwatched
    }

    /// What has changed since the last call. Waits for nothing and allocates nothing.
    pub fn drain(&mut self) -> Changes {
        let mut changes = Changes::default();
        self.inotify
            .drain(|event| changes.add(&self.watched, event));
        changes
    }

    pub(crate) fn inotify(&self) -> &Inotify {
        &self.inotify
    }

    fn add(&mut self, root: &Root, level: &str, name: &str, kind: Kind) {
        let path = root.path(level).join(name);
        if !path.exists() {
            return;
        }
        match self.inotify.add(&path) {
            Ok(id) => self.watched.push((id, kind)),
            Err(_) => self.unwatched += 1,
        }
    }
}

impl Changes {
    fn add(&mut self, watched: &[(i32, Kind)], event: FileEvent) {
        if event.has_lost_some {
            // Some were lost, so any may have happened.
            (self.limits, self.cpu, self.events) = (true, true, true);
        }
        // A watch that was given up sends a last word, too: it is no longer among these.
        for (_, kind) in watched.iter().filter(|(of, _)| *of == event.id) {
            self.groups |= event.is_removed;
            if event.is_modified {
                match kind {
                    Kind::Limit => self.limits = true,
                    Kind::Cpu => self.cpu = true,
                    Kind::Events => self.events = true,
                }
            }
        }
    }
}
