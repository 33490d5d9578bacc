//! The recorder: what every part of a process holds to leave its last words.

use std::{
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    clock,
    event::{Event, EventKind, FIXED_BYTES},
    header::{self, Header, RunState},
    layout::{EVENT_BYTES, HEADER_BYTES, Plan, STRING_BYTES, SectionKind},
    persist::Persist,
    reader::Recording,
    region::Region,
    schema::Name,
    scrub,
    slot::{self, Draft, Head, WRITING},
};

/// Room for an event without a text.
const BARE_EVENT_BYTES: usize = slot::HEAD_BYTES + FIXED_BYTES + slot::TAIL_BYTES;

/// Records events from any thread, a panic hook or a signal handler. Clones share one recording.
///
/// Recording an event neither allocates, nor waits, nor makes a system call. It is made by
/// [`Options::open`](crate::Options::open).
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

/// The memory of a recording, and what keeps it.
pub(crate) struct Shared {
    pub(crate) region: Region,
    pub(crate) plan: Plan,
    /// Real minus monotonic time, as of the last snapshot.
    pub(crate) real_offset: AtomicU64,
    pub(crate) header: Header,
    names: Mutex<Vec<String>>,
    /// Open for its lock, which says that this process is alive. Declared before `persist`, whose
    /// end is waited for.
    file: Option<(File, PathBuf)>,
    persist: Option<Persist>,
}

// === impl Recorder ===

impl Recorder {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Records an event, in place of the oldest; `false` when it was given up because another
    /// thread was writing the same slot, which takes as many events as there are slots during one
    /// of them.
    pub fn record(&self, event: &Event<'_>) -> bool {
        self.shared.record(event)
    }

    /// The number of a name that events and snapshots refer to: of a component, a queue, an emitter.
    /// At most 88 bytes of it are kept, without secrets. Not for hot paths, nor for signal
    /// handlers: ask once, at start.
    ///
    /// [`Name::NONE`] when the table (256 names, 64 in the smallest recording) is full.
    pub fn name(&self, name: &str) -> Name {
        self.shared.name(name)
    }

    /// Says that the process takes nothing new and finishes within `grace`, if that is known: when
    /// it is killed later than that, the verdict is that its time was over.
    pub fn drain_started(&self, grace: Option<Duration>) {
        let grace = grace.map_or(u64::MAX, |grace| grace.as_nanos() as u64);
        self.shared.word(header::GRACE).store(grace, Ordering::Relaxed);
        self.shared.enter(RunState::Draining, 0);
        self.record(&Event::new(EventKind::DrainStart).values(&[grace]));
    }

    /// Says that the process ends as intended. Without it the next start finds a process that
    /// was killed. What is recorded afterwards changes nothing.
    ///
    /// # Errors
    ///
    /// When the file cannot be written to the disk; a kill or an exit loses nothing even so, a
    /// power cut might.
    pub fn finish(&self) -> io::Result<()> {
        self.record(&Event::new(EventKind::Clean));
        self.shared.enter(RunState::Clean, 0);
        match &self.shared.file {
            Some((file, _)) => file.sync_data(),
            None => Ok(()),
        }
    }

    /// The state that the next start would find now.
    pub fn state(&self) -> RunState {
        self.shared.state()
    }

    /// The file; `None` when it could not be had, and the recording dies with the process.
    pub fn path(&self) -> Option<&Path> {
        self.shared.file.as_ref().map(|(_, path)| path.as_path())
    }

    /// Whether every page is locked in memory.
    pub fn is_locked(&self) -> bool {
        self.shared.header.is_locked()
    }

    /// Bytes of the recording; they count against the limit of the process.
    pub fn size_bytes(&self) -> usize {
        self.shared.plan.bytes
    }

    /// How many events were given up.
    pub fn lost(&self) -> u64 {
        self.shared.word(header::LOST).load(Ordering::Relaxed)
    }

    /// What is recorded at this moment. Allocates as much as the recording is long.
    pub fn read(&self) -> Recording {
        self.shared.read()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("path", &self.path())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    /// Writes the header into memory that is all zeroes.
    pub(crate) fn new(region: Region, plan: Plan, header: Header) -> Self {
        let words = header_words(&header);
        for (word, bytes) in region.bytes(0..HEADER_BYTES).iter().zip(words) {
            word.store(bytes, Ordering::Relaxed);
        }
        let offset = header
            .started
            .real_ns
            .wrapping_sub(header.started.monotonic_ns);
        let shared = Self {
            region,
            plan,
            real_offset: AtomicU64::new(offset),
            header,
            names: Mutex::default(),
            file: None,
            persist: None,
        };
        shared.enter(RunState::Starting, 0);
        shared
    }

    pub(crate) fn keep(&mut self, file: File, path: PathBuf, persist: Option<Persist>) {
        self.file = Some((file, path));
        self.persist = persist;
    }

    pub(crate) fn record(&self, event: &Event<'_>) -> bool {
        // Most events have no text, and clearing room for one would cost as much as the rest.
        if event.has_text() {
            self.record_in(&mut Draft::<EVENT_BYTES>::new(), event)
        } else {
            self.record_in(&mut Draft::<BARE_EVENT_BYTES>::new(), event)
        }
    }

    fn record_in<const BYTES: usize>(&self, draft: &mut Draft<BYTES>, event: &Event<'_>) -> bool {
        let used = event.put(draft.body());
        let monotonic_ns = clock::monotonic_ns();
        let head = Head {
            monotonic_ns,
            real_ns: monotonic_ns.wrapping_add(self.real_offset.load(Ordering::Relaxed)),
            kind: event.kind().code(),
            ..Head::default()
        };
        let (seq, slot) = self.next_slot(SectionKind::Events);
        let written = draft.write(slot, seq, &head, used);
        if !written {
            self.count_lost();
        }
        written
    }

    /// Records a signal that is about to end the process. Only stores: safe in its handler.
    #[cfg(any(test, feature = "signals"))]
    pub(crate) fn fatal_signal(&self, signal: u32, address: u64, thread: u64) {
        self.word(header::FAULT_ADDRESS).store(address, Ordering::Relaxed);
        self.word(header::FAULT_THREAD).store(thread, Ordering::Relaxed);
        self.enter(RunState::FatalSignal, signal);
        let event = Event::new(EventKind::FatalSignal).severity(crate::EventSeverity::Critical);
        self.record(&event.values(&[u64::from(signal), address, thread]));
    }

    /// The next number of a section, and its slot.
    pub(crate) fn next_slot(&self, kind: SectionKind) -> (u64, &[AtomicU64]) {
        let head = self.word(header::HEADS + kind.index() * 8);
        let seq = head.fetch_add(1, Ordering::Relaxed) + 1;
        (seq, self.region.bytes(self.plan.section(kind).slot_of(seq)))
    }

    pub(crate) fn count_lost(&self) {
        self.word(header::LOST).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn enter(&self, state: RunState, signal: u32) {
        let now = clock::monotonic_ns();
        self.word(header::STATE_MONOTONIC).store(now, Ordering::Relaxed);
        let real = now.wrapping_add(self.real_offset.load(Ordering::Relaxed));
        self.word(header::STATE_REAL).store(real, Ordering::Relaxed);
        let value = u64::from(state as u32) | u64::from(signal) << 32;
        self.word(header::STATE).store(value, Ordering::Release);
    }

    /// The first snapshot says that the process is up.
    pub(crate) fn leave_starting(&self) {
        if self.word(header::STATE).load(Ordering::Relaxed) == RunState::Starting as u64 {
            self.enter(RunState::Running, 0);
        }
    }

    pub(crate) fn state(&self) -> RunState {
        let state = self.word(header::STATE).load(Ordering::Relaxed) as u32;
        RunState::from_code(state).unwrap_or(RunState::Running)
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        &self.region[offset / 8]
    }

    fn name(&self, name: &str) -> Name {
        let mut draft = Draft::<STRING_BYTES>::new();
        let body = draft.body();
        let length = scrub::scrub(name, body);
        let kept = String::from_utf8_lossy(&body[..length]).into_owned();
        let section = self.plan.section(SectionKind::Strings);
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = names.iter().position(|known| *known == kept) {
            return Name(index as u16 + 1);
        }
        if names.len() == section.slots {
            return Name::NONE;
        }
        let (seq, slot) = self.next_slot(SectionKind::Strings);
        let head = Head {
            kind: length as u16,
            ..Head::default()
        };
        draft.write(slot, seq, &head, length);
        names.push(kept);
        Name(seq as u16)
    }

    /// A slot that is written while it is copied reads as torn.
    fn read(&self) -> Recording {
        let mut bytes = vec![0; self.plan.bytes];
        let (words, _) = bytes[..HEADER_BYTES].as_chunks_mut::<8>();
        for (copy, word) in words.iter_mut().zip(self.region.iter()) {
            *copy = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        for section in &self.plan.sections {
            for index in 0..section.slots {
                let range = section.slot(index);
                let copy = &mut bytes[range.clone()];
                if !slot::copy(self.region.bytes(range), copy) {
                    copy[..8].copy_from_slice(&WRITING.to_ne_bytes());
                }
            }
        }
        Recording::parse(&bytes).expect("the header was written at start and is never changed")
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

fn header_words(header: &Header) -> Vec<u64> {
    let bytes = header.encode();
    let (chunks, _) = bytes.as_chunks::<8>();
    chunks.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests;
