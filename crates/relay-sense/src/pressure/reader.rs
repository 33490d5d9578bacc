//! Reading pressure, not too often: readers share the kernel's averaging, and one that asks every
//! millisecond makes it report nothing at all (measured: 0 µs in place of 187 ms), for all others too.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Psi;
use crate::Root;
use crate::cgroup::{Placement, View};
use crate::file::HeldFile;
use crate::sys::{self, Refusal};

/// The file is not read again within this time; down to about 10 ms the figures are still right
/// (measured), and two readers may meet.
const PERIOD_MIN: Duration = Duration::from_millis(50);

/// Two lines of some fifty bytes.
const PSI_BYTES: usize = 256;

/// The file in the folder of a group.
const GROUP_FILE: &str = "memory.pressure";

/// The file for the whole machine.
const HOST_FILE: &str = "/proc/pressure/memory";

/// Whose waiting a pressure file counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PressureScope {
    /// The tasks of the own control group.
    Group,
    /// All tasks of the machine, seen from inside a container too. That neighbours wait says little
    /// about the own limit.
    Host,
}

/// Where pressure is read from, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Availability {
    /// Whether it can be read.
    pub available: bool,
    /// Whose pressure it is.
    pub scope: Option<PressureScope>,
    /// The file, in the machine's own names.
    pub path: Option<PathBuf>,
    /// Why there is none, or none of the own group.
    pub reason: Option<String>,
}

/// What a pressure file said, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PressureSample {
    /// When the file was read, which may be up to 50 ms before it was asked for.
    pub at: Instant,
    /// Whose pressure it is.
    pub scope: PressureScope,
    /// What it said.
    pub psi: Psi,
}

/// Reads memory pressure: of the own control group where that is shown, else of the whole machine.
///
/// ```
/// use std::time::Instant;
/// use relay_sense::{Pressure, Root};
///
/// let mut pressure = Pressure::open(&Root::system());
/// match pressure.read(Instant::now()) {
///     Some(sample) => println!("{:?}: {:?}", sample.scope, sample.psi.some),
///     None => println!("no pressure: {:?}", pressure.availability().reason),
/// }
/// ```
#[derive(Debug)]
pub struct Pressure {
    file: Option<(HeldFile, PressureScope)>,
    availability: Availability,
    last: Option<PressureSample>,
    read_at: Option<Instant>,
}

// === impl PressureScope ===

impl PressureScope {
    /// The stable word: `cgroup` or `system`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Group => "cgroup",
            Self::Host => "system",
        }
    }
}

impl fmt::Display for PressureScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Pressure ===

impl Pressure {
    /// Finds the file to read. That there is none is a state: [`availability`](Self::availability).
    pub fn open(root: &Root) -> Self {
        if !root.has_files() {
            return Self::off(sys::NOT_AVAILABLE.to_owned());
        }
        let (path, why_not_own) = match own_file(root) {
            Ok(path) => match probe(root, &path) {
                Ok(file) => return Self::at(file, PressureScope::Group, path, None),
                Err(error) => (path.clone(), format!("{path}: {}", explain(&error))),
            },
            Err(reason) => (String::new(), reason),
        };
        match probe(root, HOST_FILE) {
            Ok(file) => {
                let reason = format!("of the whole machine, not of the own group: {why_not_own}");
                Self::at(
                    file,
                    PressureScope::Host,
                    HOST_FILE.to_owned(),
                    Some(reason),
                )
            }
            Err(error) => {
                let host = format!("{HOST_FILE}: {}", explain(&error));
                let reason = if path.is_empty() {
                    host
                } else {
                    format!("{why_not_own}; {host}")
                };
                Self::off(reason)
            }
        }
    }

    /// Reads nothing, because the configuration says so.
    pub fn disabled() -> Self {
        Self::off("turned off by configuration".to_owned())
    }

    /// Where pressure is read from, or why not.
    pub fn availability(&self) -> &Availability {
        &self.availability
    }

    /// The pressure, read now or, if it was read less than 50 ms before `now`, as it was then.
    /// `None` where there is none or the file does not answer. Allocates nothing.
    pub fn read(&mut self, now: Instant) -> Option<PressureSample> {
        let (file, scope) = self.file.as_ref()?;
        let recently = |at| now.saturating_duration_since(at) < PERIOD_MIN;
        if !self.read_at.is_some_and(recently) {
            self.read_at = Some(now);
            let mut buffer = [0; PSI_BYTES];
            let text = file.read(&mut buffer).ok();
            self.last = text.map(|text| PressureSample {
                at: now,
                scope: *scope,
                psi: Psi::parse(text),
            });
        }
        self.last
    }

    fn at(file: HeldFile, scope: PressureScope, path: String, reason: Option<String>) -> Self {
        Self {
            file: Some((file, scope)),
            availability: Availability {
                available: true,
                scope: Some(scope),
                path: Some(PathBuf::from(path)),
                reason,
            },
            last: None,
            read_at: None,
        }
    }

    fn off(reason: String) -> Self {
        Self {
            file: None,
            availability: Availability {
                available: false,
                scope: None,
                path: None,
                reason: Some(reason),
            },
            last: None,
            read_at: None,
        }
    }
}

/// Where the own group shows its pressure: in the unified hierarchy only, whichever version rules
/// memory.
pub(super) fn own_file(root: &Root) -> Result<String, String> {
    if !root.has_files() {
        return Err(sys::NOT_AVAILABLE.to_owned());
    }
    let place = match View::load(root).unified(root) {
        Placement::Seen(place) if !place.own_hidden => place,
        _ => return Err("no mount of cgroup version 2 shows the own group".to_owned()),
    };
    // The true root shows the machine's pressure.
    let is_root = !place.ancestors_hidden && place.levels.len() == 1;
    match place.levels.into_iter().next().filter(|_| !is_root) {
        Some(dir) => Ok(format!("{dir}/{GROUP_FILE}")),
        None => Err("the own group is the root of all".to_owned()),
    }
}

/// Opens a file and reads it once: where pressure is turned off, some kernels open the file and refuse
/// to read it.
fn probe(root: &Root, path: &str) -> io::Result<HeldFile> {
    let file = HeldFile::open(&root.path(path))?;
    if Psi::parse(file.read(&mut [0; PSI_BYTES])?).some.is_none() {
        return Err(io::Error::other("no line `some avg10=… total=…`"));
    }
    Ok(file)
}

pub(super) fn explain(error: &io::Error) -> String {
    let why = match sys::refusal(error) {
        Some(Refusal::NotThere) => {
            "not there: the kernel is older than 4.20 or built without CONFIG_PSI, or \
             cgroup.pressure turns it off for this group"
        }
        Some(Refusal::TurnedOff) => "turned off in this kernel: boot it with psi=1",
        Some(Refusal::Removed) => "the group was removed",
        _ => return error.to_string(),
    };
    format!("{why} ({error})")
}

// === impl PressureSample ===

impl PressureSample {
    /// The share of the time since an earlier sample in which at least one task waited, exact where
    /// the averages are coarse. `None` where either has no such line, or no time has passed.
    ///
    /// Waiting may be accounted a little late, so that the share is cut off at 1.
    pub fn some_since(&self, earlier: &Self) -> Option<f64> {
        let (now, then) = (self.psi.some?.total, earlier.psi.some?.total);
        let passed = self.at.saturating_duration_since(earlier.at).as_secs_f64();
        (passed > 0.0).then(|| (now.saturating_sub(then).as_secs_f64() / passed).min(1.0))
    }
}
