//! Starting a recording: what it is called, where it lies, how large it is.
//!
//! It never fails: where no file can be had it warns and records into memory, because a service must
//! not stay down for want of a black box.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    clock::ClockTriple,
    header::{FLAG_ALLOCATED, FLAG_LOCKED, FLAG_TMPFS, Header, Limits},
    identity::Identity,
    layout::{FILE_BYTES_MAX, FILE_BYTES_MIN, HEADER_BYTES, MINOR, Plan},
    persist::Persist,
    place::{self, Place, PlaceError},
    previous::{self, PreviousRun},
    recorder::{Recorder, Shared},
    region::Region,
    schema::{NO_LIMIT, Schema},
    scrub,
    snapshot::SnapshotWriter,
    sys,
};

/// Where recordings lie by default.
pub const DEFAULT_FOLDER: &str = "/var/lib/relay/fdr";

/// Where they lie when that cannot be had: in memory, so not beyond the life of the machine, nor of
/// a container that has a `/dev/shm` of its own.
pub const FALLBACK_FOLDER: &str = "/dev/shm/relay";

/// How large a recording is by default when no limit is known.
const FILE_BYTES_DEFAULT: u64 = 1 << 20;

/// A recording counts against the limit that it is there to explain: at most this part of it.
const SHARE_OF_LIMIT: f64 = 0.03;

/// Left of `RLIMIT_MEMLOCK` for others, such as the stack of a thread that is locked, too.
const MEMLOCK_RESERVE: u64 = 512 << 10;

/// How a recording is made. Each setting has a default that works.
///
/// ```
/// use relay_forensics::{Options, Schema, Unit};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let mut schema = Schema::new();
/// let open_orders = schema.field::<u64>("orders.open", Unit::Count)?;
///
/// let mut opened = Options::new("shop").folder(folder).schema(schema).open();
/// for warning in &opened.warnings {
///     eprintln!("black box: {warning}");
/// }
/// if let Some(previous) = &opened.previous {
///     eprintln!("{previous}");
/// }
/// opened.snapshots.record(|fields| fields.set(open_orders, 17));
/// opened.recorder.finish()?;
///
/// let recording = opened.recorder.read();
/// assert_eq!(recording.snapshots().last().unwrap().number("orders.open"), Some(17.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    instance: String,
    folders: Vec<PathBuf>,
    size_bytes: Option<u64>,
    schema: Schema,
    limits: Limits,
    sync: Duration,
    build: String,
    config_hash: u64,
    identity: Identity,
}

/// What [`Options::open`] makes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// Records events; to be cloned to whoever has something to say.
    pub recorder: Recorder,
    /// Records snapshots; there is one.
    pub snapshots: SnapshotWriter,
    /// How the run before ended, if there was one.
    pub previous: Option<PreviousRun>,
    /// What is not as it should be, to be logged once.
    pub warnings: Vec<Warning>,
}

/// What is not as it should be with a recording; the process goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// A folder cannot be used; the next one is tried.
    #[error("no recording in {}: {error}{}", folder.display(), source_of(error))]
    Place {
        /// Which one.
        folder: PathBuf,
        /// Why.
        error: PlaceError,
    },
    /// The file lies in memory.
    #[error("the recording {} lies in memory: it does not outlive the machine, nor a container with a /dev/shm of its own; set a folder on a volume", path.display())]
    Volatile {
        /// Where.
        path: PathBuf,
    },
    /// There is no file at all.
    #[error("recording into memory only: nothing of it is left after a kill; give the process a folder it can write to")]
    MemoryOnly,
    /// The pages could not be locked.
    #[error("the recording of {bytes} bytes cannot be locked in memory ({error}): the last moments before a kill may be missing; raise RLIMIT_MEMLOCK or make it smaller")]
    NotLocked {
        /// Its size.
        bytes: usize,
        /// Why.
        error: io::Error,
    },
    /// What is kept of earlier runs could not be put in order.
    #[error("recordings of earlier runs in {} could not be put in order: {error}", folder.display())]
    Rotation {
        /// Where.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The thread that writes the file to the disk could not be started.
    #[error("the recording is not written for power loss: {error}")]
    NotSynced {
        /// Why.
        error: io::Error,
    },
}

fn source_of(error: &PlaceError) -> String {
    std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"))
}

// === impl Options ===

impl Options {
    /// A recording of this name, which tells processes on one machine apart. Characters other than
    /// letters, digits, `_`, `-` and `.` become `-`.
    pub fn new(instance: &str) -> Self {
        Self {
            instance: place::sanitised(instance),
            folders: vec![DEFAULT_FOLDER.into(), FALLBACK_FOLDER.into()],
            size_bytes: None,
            schema: Schema::new(),
            limits: Limits::default(),
            sync: Duration::from_secs(1),
            build: String::new(),
            config_hash: 0,
            identity: Identity::of_this_process(),
        }
    }

    /// Only this folder. Default: [`DEFAULT_FOLDER`], then [`FALLBACK_FOLDER`].
    #[must_use]
    pub fn folder(self, folder: impl Into<PathBuf>) -> Self {
        self.folders([folder.into()])
    }

    /// These folders, the first that can be used; none at all records into memory.
    #[must_use]
    pub fn folders(mut self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        self.folders = folders.into_iter().collect();
        self
    }

    /// About how many bytes the file has, at least 64 KiB and at most 8 MiB. Default: a 64th of the
    /// limit, 1 MiB without one. Never more than 3 % of the limit, nor more than may be locked.
    #[must_use]
    pub fn size_bytes(mut self, bytes: u64) -> Self {
        self.size_bytes = Some(bytes);
        self
    }

    /// What a snapshot consists of.
    #[must_use]
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    /// The limits under which the process runs.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How often the file is written to the disk, for power loss; zero for never. Default 1 s.
    #[must_use]
    pub fn sync(mut self, period: Duration) -> Self {
        self.sync = period;
        self
    }

    /// Version and revision of the program, at most 64 bytes.
    #[must_use]
    pub fn build(mut self, build: &str) -> Self {
        self.build = scrub::scrubbed(build, 64);
        self
    }

    /// A hash of the configuration, so that two runs can be told apart.
    #[must_use]
    pub fn config_hash(mut self, hash: u64) -> Self {
        self.config_hash = hash;
        self
    }

    /// Who records, when it is not this process as the system shows it.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// Sets aside what the run before left, makes the file, and begins to record.
    ///
    /// Blocks for some milliseconds of disk work, or up to two seconds while another process takes
    /// a name in the same folder.
    pub fn open(self) -> Opened {
        let mut warnings = Vec::new();
        let plan = Plan::new(self.planned_bytes());
        let (mut shared, mut previous) = (None, None);
        for folder in &self.folders {
            match self.open_in(folder, plan, &mut previous, &mut warnings) {
                Ok(opened) => {
                    shared = Some(opened);
                    break;
                }
                Err(error) => {
                    let in_use = matches!(error, PlaceError::InUse { .. });
                    let folder = folder.clone();
                    warnings.push(Warning::Place { folder, error });
                    // Elsewhere two processes would go by one name.
                    if in_use {
                        break;
                    }
                }
            }
        }
        let shared = shared.unwrap_or_else(|| {
            warnings.push(Warning::MemoryOnly);
            Shared::new(Region::heap(plan.bytes), plan, self.header(plan, 0))
        });
        let shared = Arc::new(shared);
        let recorder = Recorder::new(Arc::clone(&shared));
        recorder.record(&crate::Event::new(crate::EventKind::Start));
        Opened {
            recorder,
            snapshots: SnapshotWriter::new(shared, self.schema.used_bytes()),
            previous,
            warnings,
        }
    }

    fn open_in(
        &self,
        folder: &Path,
        plan: Plan,
        previous: &mut Option<PreviousRun>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Shared, PlaceError> {
        let place = Place::open(folder)?;
        let name = place::file_name(&self.instance);
        let rotation = |error| Warning::Rotation {
            folder: folder.to_owned(),
            error,
        };
        if let Some(old) = place.take(&name)? {
            let seen = previous::set_aside(&place, &name, &old, &self.identity, &self.limits);
            let (seen, error) = seen;
            previous.get_or_insert(seen);
            warnings.extend(error.map(rotation));
        }
        let pruned = previous::prune(&place, &self.instance);
        warnings.extend(pruned.err().map(rotation));
        let new = place.create(&name, plan.bytes)?;
        let opened = self.map(&new, plan, warnings);
        let published = opened.and_then(|shared| place.publish(&new, &name).map(|()| shared));
        let mut shared = published.inspect_err(|_| place.discard(&new))?;
        let path = place.path_of(&name);
        if new.on_tmpfs {
            warnings.push(Warning::Volatile { path: path.clone() });
        }
        let persist = self.persist(&new.file, new.on_tmpfs, warnings);
        shared.keep(new.file, path, persist);
        Ok(shared)
    }

    /// Locking also touches every page.
    fn map(
        &self,
        new: &place::NewFile,
        plan: Plan,
        warnings: &mut Vec<Warning>,
    ) -> Result<Shared, PlaceError> {
        let region = Region::map(&new.file, plan.bytes).map_err(PlaceError::Create)?;
        let mut flags = 0;
        match region.lock() {
            Ok(()) => flags |= FLAG_LOCKED,
            Err(error) => {
                region.touch();
                warnings.push(Warning::NotLocked {
                    bytes: plan.bytes,
                    error,
                });
            }
        }
        if new.allocated {
            flags |= FLAG_ALLOCATED;
        }
        if new.on_tmpfs {
            flags |= FLAG_TMPFS;
        }
        Ok(Shared::new(region, plan, self.header(plan, flags)))
    }

    fn persist(&self, file: &File, on_tmpfs: bool, warnings: &mut Vec<Warning>) -> Option<Persist> {
        if self.sync.is_zero() || on_tmpfs {
            return None;
        }
        let started = file
            .try_clone()
            .and_then(|file| Persist::start(file, self.sync));
        started
            .map_err(|error| warnings.push(Warning::NotSynced { error }))
            .ok()
    }

    fn header(&self, plan: Plan, flags: u32) -> Header {
        Header {
            minor: MINOR,
            identity: self.identity.clone(),
            started: ClockTriple::now(),
            limits: self.limits.clone(),
            build: self.build.clone(),
            instance: self.instance.clone(),
            config_hash: self.config_hash,
            sync_ms: u32::try_from(self.sync.as_millis()).unwrap_or(u32::MAX),
            fields: self.schema.fields().to_vec(),
            flags,
            file_bytes: plan.bytes as u64,
            sections: plan.sections.to_vec(),
        }
    }

    fn planned_bytes(&self) -> u64 {
        let limit = self.limits.limit_bytes.filter(|bytes| *bytes < NO_LIMIT);
        let lockable = sys::lockable_bytes();
        planned_bytes(self.size_bytes, limit, lockable)
    }
}

/// Without a right to lock as much as the smallest recording has, locking fails with a warning, and
/// the size follows the limit alone.
fn planned_bytes(wanted: Option<u64>, limit: Option<u64>, lockable: Option<u64>) -> u64 {
    let by_default = limit.map_or(FILE_BYTES_DEFAULT, |limit| limit / 64);
    let lockable = lockable
        .map(|bytes| bytes.saturating_sub(MEMLOCK_RESERVE))
        .filter(|bytes| *bytes >= FILE_BYTES_MIN);
    wanted
        .unwrap_or(by_default)
        .clamp(FILE_BYTES_MIN, FILE_BYTES_MAX)
        .min(limit.map_or(u64::MAX, |limit| (limit as f64 * SHARE_OF_LIMIT) as u64))
        .min(lockable.unwrap_or(u64::MAX))
        .max(FILE_BYTES_MIN)
}

const _: () = assert!(FILE_BYTES_MIN as usize > HEADER_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_size_follows_the_limit_and_what_may_be_locked() {
        for (wanted, limit, lockable, expected) in [
            (None, None, None, MIB),
            (None, Some(64 * MIB), Some(8 * MIB), MIB),
            (None, Some(1024 * MIB), None, 8 * MIB),
            (None, Some(1024 * MIB), Some(8 * MIB), 8 * MIB - (512 << 10)),
            (Some(8 * MIB), Some(64 * MIB), None, 2_013_265),
            (Some(1), Some(64 * MIB), None, 64 << 10),
            (None, Some(MIB), None, 64 << 10),
            (None, Some(64 * MIB), Some(64 << 10), MIB),
        ] {
            assert_eq!(planned_bytes(wanted, limit, lockable), expected, "{wanted:?} {limit:?} {lockable:?}");
        }
    }
}
