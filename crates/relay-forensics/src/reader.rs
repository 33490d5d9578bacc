//! Reads a recording, of this process or of a dead one. Every byte is hostile: a length, an offset
//! or a number is believed only after it was checked, and a slot that does not hold together never
//! existed.
//!
//! Time and memory are bounded by the size of the file, of which at most 8 MiB are read.

mod values;

pub use values::{FieldValue, SnapshotRecord, SnapshotView};

use std::{
    collections::HashMap,
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    event::EventRecord,
    header::{self, Aftermath, Header, RunState},
    layout::{FILE_BYTES_MAX, Section, SectionKind},
    place,
    slot::{self, Found, u32_at, u64_at},
    sys,
};

/// How much of a file is read.
pub const FILE_BYTES_READ_MAX: u64 = FILE_BYTES_MAX;

/// A recording as it was found.
#[derive(Debug, Clone)]
pub struct Recording {
    header: Header,
    state: State,
    aftermath: Option<Aftermath>,
    names: HashMap<u16, String>,
    snapshots: Vec<SnapshotRecord>,
    events: Vec<EventRecord>,
    census: Vec<Census>,
    lost: u64,
    live: bool,
    path: Option<PathBuf>,
}

/// What the process was doing, as far as it could say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// What.
    pub run: RunState,
    /// Since when, on the monotonic clock.
    pub monotonic_ns: u64,
    /// Since when, since 1970.
    pub real_ns: u64,
    /// The signal that ended it, when `run` is `FatalSignal`.
    pub signal: u32,
    /// The address of the fault.
    pub fault_address: u64,
    /// The thread in which it happened.
    pub fault_thread: u64,
    /// How long a drain may take, if that is known.
    pub grace_ns: Option<u64>,
}

/// What was found in the slots of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Which section.
    pub section: SectionKind,
    /// Slots that hold a whole record.
    pub valid: usize,
    /// Slots that were never written.
    pub empty: usize,
    /// Slots whose copy was under way, or that do not hold together.
    pub torn: usize,
    /// Slots that the file is too short for.
    pub missing: usize,
    /// Numbers between the lowest and the highest that are not there, torn ones included.
    pub gaps: u64,
    /// The highest number.
    pub newest: u64,
}

/// Why a file cannot be read as a recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// It does not begin as a recording does.
    #[error("is no recording: it does not begin with RLYFDR1")]
    NotARecording,
    /// It is of another major version of the format.
    #[error("is a recording of format {major}, and this program reads format 1")]
    Version {
        /// Which one.
        major: u16,
    },
    /// The header is too short or its checksum is wrong.
    #[error("is a recording whose header is damaged")]
    Header,
    /// The folder has no recording.
    #[error("has no recording: none of its files ends with .fdr")]
    NoneThere,
}

// === impl Recording ===

impl Recording {
    /// Reads a file. Whether its process is still alive shows by the lock it holds.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: the file cannot be read, or is no recording, or its header is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let file = sys::open_to_read(path)?;
        if !file.metadata()?.is_file() {
            return Err(ReadError::NotARecording);
        }
        let mut bytes = Vec::new();
        (&file).take(FILE_BYTES_READ_MAX).read_to_end(&mut bytes)?;
        let mut recording = Self::parse(&bytes)?;
        recording.live = place::is_held(&file);
        recording.path = Some(path.to_owned());
        Ok(recording)
    }

    /// The recording of a folder that matters: the last run that has ended; if none has, the one
    /// that runs.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the folder cannot be read or has no recording that can.
    pub fn find(folder: impl AsRef<Path>) -> Result<Self, ReadError> {
        Self::find_first(folder.as_ref(), false)
    }

    /// The recording of a folder that is being written; if none is, the last that was.
    ///
    /// # Errors
    ///
    /// As for [`find`](Self::find).
    pub fn find_live(folder: impl AsRef<Path>) -> Result<Self, ReadError> {
        Self::find_first(folder.as_ref(), true)
    }

    fn find_first(folder: &Path, live: bool) -> Result<Self, ReadError> {
        let mut newest: Option<Self> = None;
        let mut error = ReadError::NoneThere;
        let rank = |one: &Self| (one.live == live, one.header.started.real_ns);
        for (name, _) in place::list(folder, place::ENDING)? {
            match Self::open(folder.join(name)) {
                Ok(found) => {
                    if newest.as_ref().is_none_or(|best| rank(best) < rank(&found)) {
                        newest = Some(found);
                    }
                }
                Err(unreadable) => error = unreadable,
            }
        }
        newest.ok_or(error)
    }

    /// Reads bytes that were a file.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the header is not one; a damaged slot is no error.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        let header = Header::decode(bytes, bytes.len())?;
        let mut recording = Self {
            state: state(bytes),
            aftermath: aftermath(bytes),
            lost: u64_at(bytes, header::LOST),
            header,
            names: HashMap::new(),
            snapshots: Vec::new(),
            events: Vec::new(),
            census: Vec::new(),
            live: false,
            path: None,
        };
        let mut components = Vec::new();
        for section in recording.header.sections.clone() {
            recording.read_section(bytes, &section, &mut components);
        }
        for (event, component) in recording.events.iter_mut().zip(components) {
            event.component = recording.names.get(&component).cloned();
        }
        recording.sort();
        Ok(recording)
    }

    fn read_section(&mut self, bytes: &[u8], section: &Section, components: &mut Vec<u16>) {
        let mut census = Census {
            section: section.kind,
            valid: 0,
            empty: 0,
            torn: 0,
            missing: 0,
            gaps: 0,
            newest: 0,
        };
        let mut oldest = u64::MAX;
        for index in 0..section.slots {
            let Some(slot) = bytes.get(section.slot(index)) else {
                census.missing += 1;
                continue;
            };
            match slot::decode(slot, index, section.slots) {
                Found::Empty => census.empty += 1,
                Found::Torn => census.torn += 1,
                Found::Record { seq, head, body } => {
                    census.valid += 1;
                    census.newest = census.newest.max(seq);
                    oldest = oldest.min(seq);
                    self.keep(section.kind, seq, &head, body, components);
                }
            }
        }
        if census.valid > 0 {
            let span = (census.newest - oldest).saturating_add(1);
            census.gaps = span.saturating_sub(census.valid as u64);
        }
        self.census.push(census);
    }

    fn keep(
        &mut self,
        kind: SectionKind,
        seq: u64,
        head: &slot::Head,
        body: &[u8],
        components: &mut Vec<u16>,
    ) {
        match kind {
            SectionKind::Fine | SectionKind::Coarse => self.snapshots.push(SnapshotRecord {
                seq,
                coarse: kind == SectionKind::Coarse,
                monotonic_ns: head.monotonic_ns,
                real_ns: head.real_ns,
                body: body.to_vec(),
            }),
            SectionKind::Events => {
                let (event, component) = EventRecord::parse(seq, head, body);
                self.events.push(event);
                components.push(component);
            }
            SectionKind::Strings => {
                let length = usize::from(head.kind).min(body.len());
                let text = String::from_utf8_lossy(&body[..length]);
                let text = text.replace(char::is_control, "\u{fffd}");
                if let Ok(number) = u16::try_from(seq) {
                    self.names.insert(number, text);
                }
            }
        }
    }

    /// In the order of time; a coarse snapshot that is also there as a fine one is left out.
    fn sort(&mut self) {
        self.snapshots
            .sort_by_key(|snapshot| (snapshot.monotonic_ns, snapshot.coarse, snapshot.seq));
        self.snapshots.dedup_by(|later, earlier| {
            later.coarse && later.monotonic_ns == earlier.monotonic_ns && !earlier.coarse
        });
        self.events.sort_by_key(|event| event.seq);
    }

    /// Who recorded, when, and under which limits.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the process was doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// What the next start saw, if there was one.
    pub fn aftermath(&self) -> Option<Aftermath> {
        self.aftermath
    }

    /// Snapshots in the order of time.
    pub fn snapshots(&self) -> impl DoubleEndedIterator<Item = SnapshotView<'_>> + ExactSizeIterator {
        self.snapshots.iter().map(|record| SnapshotView {
            recording: self,
            record,
        })
    }

    /// Events in the order of their numbers.
    pub fn events(&self) -> &[EventRecord] {
        &self.events
    }

    /// What was found in each section.
    pub fn census(&self) -> &[Census] {
        &self.census
    }

    /// Records that were given up because two threads met in one slot.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether the process that records is still alive.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The file it was read from.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The moment of the last record of either kind, or of the start: monotonic and real.
    pub fn last_ns(&self) -> (u64, u64) {
        let started = self.header.started;
        let snapshots = self.snapshots.last().map(|s| (s.monotonic_ns, s.real_ns));
        let events = self.events.last().map(|e| (e.monotonic_ns, e.real_ns));
        [snapshots, events]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or((started.monotonic_ns, started.real_ns))
    }

    pub(crate) fn set_aftermath(&mut self, aftermath: Aftermath) {
        self.aftermath = Some(aftermath);
    }

    #[cfg(test)]
    pub(crate) fn delay_last_snapshot(&mut self, by: std::time::Duration) {
        if let Some(last) = self.snapshots.last_mut() {
            last.monotonic_ns += by.as_nanos() as u64 * 2;
        }
    }
}

// === impl Census ===

impl Census {
    /// Slots of the section.
    pub fn slots(&self) -> usize {
        self.valid + self.empty + self.torn + self.missing
    }
}

fn state(bytes: &[u8]) -> State {
    let known = |at| Some(u64_at(bytes, at)).filter(|value| *value != u64::MAX);
    State {
        run: RunState::from_code(u32_at(bytes, header::STATE)).unwrap_or(RunState::Running),
        monotonic_ns: u64_at(bytes, header::STATE_MONOTONIC),
        real_ns: u64_at(bytes, header::STATE_REAL),
        signal: u32_at(bytes, header::STATE + 4),
        fault_address: u64_at(bytes, header::FAULT_ADDRESS),
        fault_thread: u64_at(bytes, header::FAULT_THREAD),
        grace_ns: known(header::GRACE),
    }
}

fn aftermath(bytes: &[u8]) -> Option<Aftermath> {
    let same_boot = match u64_at(bytes, header::AFTERMATH) {
        1 => true,
        2 => false,
        _ => return None,
    };
    let oom_kills = u64_at(bytes, header::AFTERMATH_OOM_KILLS);
    Some(Aftermath {
        same_boot,
        real_ns: u64_at(bytes, header::AFTERMATH_REAL),
        oom_kills: Some(oom_kills).filter(|kills| *kills != u64::MAX),
    })
}

#[cfg(test)]
pub(crate) mod tests;
