//! The header: what stays (who, when, which limits, which fields), and the words that change.
//!
//! ```text
//! 0     magic "RLYFDR1\0"            8    u16 major, u16 minor, u32 header bytes
//! 16    u64 file bytes               24   u32 fields, u32 sections
//! 32    boot id                      48   u32 pid, u32 flags      56  u64 start ticks
//! 64    u64 monotonic, boottime, realtime at start
//! 88    u64 limit, high, host memory 112  u64 configuration hash
//! 120   u32 cgroup version, u32 sync period in ms
//! 128   build, 64 bytes of text      192  instance    256  host    320  kernel
//! 384   source of the limit, 128 bytes of text
//! 512   up to 4 sections: u32 kind, offset, slot bytes, slots
//! 640   up to 72 fields of 40 bytes: u16 offset, u8 type, unit, count, 3 unused, name
//! 3520  u32 CRC-32C of bytes 0..3520
//! 3584  the words that change: see the constants
//! ```
//!
//! All ones is "unknown" and [`NO_LIMIT`](crate::NO_LIMIT) is "no limit", as in snapshots.

use crate::{
    clock::ClockTriple,
    identity::Identity,
    layout::{HEADER_BYTES, MAGIC, MAJOR, Section, SectionKind},
    reader::ReadError,
    schema::{self, FIELDS_MAX, FieldInfo, Type, Unit},
    slot::{SLOT_BYTES_MAX, u16_at, u32_at, u64_at},
};

/// State in the low half, the signal that ended the process in the high half.
pub(crate) const STATE: usize = 3584;
/// When the state was entered: monotonic, then real.
pub(crate) const STATE_MONOTONIC: usize = 3592;
pub(crate) const STATE_REAL: usize = 3600;
/// How long a drain may take, in nanoseconds.
pub(crate) const GRACE: usize = 3608;
/// Address of a fault, and the thread it happened in.
pub(crate) const FAULT_ADDRESS: usize = 3616;
pub(crate) const FAULT_THREAD: usize = 3624;
/// Last number given out in each section.
pub(crate) const HEADS: usize = 3632;
/// Records that were given up.
pub(crate) const LOST: usize = 3664;
/// What the next start found: see [`Aftermath`].
pub(crate) const AFTERMATH: usize = 3672;
pub(crate) const AFTERMATH_REAL: usize = 3680;
pub(crate) const AFTERMATH_OOM_KILLS: usize = 3688;

const SECTIONS_AT: usize = 512;
const SECTIONS_MAX: usize = 8;
/// A smaller slot would let a hostile file have more records than it has memory for.
const SLOT_BYTES_MIN: usize = 128;
const FIELDS_AT: usize = 640;
const FIELD_ENTRY_BYTES: usize = 40;
const CONSTANT_BYTES: usize = 3520;

/// The pages are locked in memory.
pub(crate) const FLAG_LOCKED: u32 = 1;
/// The file lies in memory (tmpfs): it does not outlive the machine, perhaps not the container.
pub(crate) const FLAG_TMPFS: u32 = 1 << 1;
/// Every block was allocated before anything was mapped.
pub(crate) const FLAG_ALLOCATED: u32 = 1 << 2;

/// A part of the life of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum RunState {
    /// Not yet up.
    Starting = 0,
    /// In service.
    Running = 1,
    /// Finishing what it has, taking nothing new.
    Draining = 2,
    /// Ended as intended.
    Clean = 3,
    /// A panic that nobody caught is ending it.
    Panic = 4,
    /// A signal is ending it.
    FatalSignal = 5,
}

/// Limits and counters as they are at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Hard limit of memory. `None` is unknown, [`NO_LIMIT`](crate::NO_LIMIT) that there is none.
    pub limit_bytes: Option<u64>,
    /// Soft limit, likewise.
    pub high_bytes: Option<u64>,
    /// Where the limit stands, such as `/sys/fs/cgroup/memory.max`.
    pub source: String,
    /// 1 or 2; 0 without control groups.
    pub cgroup_version: u32,
    /// `memory.events: oom_kill` at start, to be compared with what the run before saw last.
    pub oom_kills: Option<u64>,
}

/// What the next start saw of the machine, which the dead could not write down any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aftermath {
    /// Whether it was the same boot of the machine.
    pub same_boot: bool,
    /// When, since 1970.
    pub real_ns: u64,
    /// `oom_kill` counter then.
    pub oom_kills: Option<u64>,
}

/// The constant part of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Minor version of the format.
    pub minor: u16,
    /// Who recorded.
    pub identity: Identity,
    /// When it started.
    pub started: ClockTriple,
    /// Which limits it had.
    pub limits: Limits,
    /// Version and revision of the program.
    pub build: String,
    /// The name of the recording.
    pub instance: String,
    /// A hash of the configuration; 0 if none was given.
    pub config_hash: u64,
    /// How often the file was synced for power loss, in milliseconds; 0 for never.
    pub sync_ms: u32,
    /// Fields of snapshots.
    pub fields: Vec<FieldInfo>,
    pub(crate) flags: u32,
    pub(crate) file_bytes: u64,
    pub(crate) sections: Vec<Section>,
}

// === impl RunState ===

impl RunState {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Clean => "clean",
            Self::Panic => "panic",
            Self::FatalSignal => "fatal_signal",
        }
    }

    pub(crate) fn from_code(code: u32) -> Option<Self> {
        use RunState::{Clean, Draining, FatalSignal, Panic, Running, Starting};
        [Starting, Running, Draining, Clean, Panic, FatalSignal]
            .get(code as usize)
            .copied()
    }
}

// === impl Header ===

impl Header {
    /// Whether its pages were locked in memory.
    pub fn is_locked(&self) -> bool {
        self.flags & FLAG_LOCKED != 0
    }

    /// Whether it lay in memory rather than on a disk.
    pub fn is_on_tmpfs(&self) -> bool {
        self.flags & FLAG_TMPFS != 0
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder(vec![0; HEADER_BYTES]);
        out.put(0, &MAGIC);
        out.put(8, &MAJOR.to_le_bytes());
        out.put(10, &self.minor.to_le_bytes());
        out.u32(12, HEADER_BYTES as u32);
        out.u64(16, self.file_bytes);
        out.u32(24, self.fields.len() as u32);
        out.u32(28, self.sections.len() as u32);
        out.put(32, &self.identity.boot_id.unwrap_or_default());
        out.u32(48, self.identity.pid);
        out.u32(52, self.flags);
        out.u64(56, self.identity.start_ticks);
        out.u64(64, self.started.monotonic_ns);
        out.u64(72, self.started.boottime_ns);
        out.u64(80, self.started.real_ns);
        out.u64(88, self.limits.limit_bytes.unwrap_or(u64::MAX));
        out.u64(96, self.limits.high_bytes.unwrap_or(u64::MAX));
        out.u64(104, self.identity.host_memory_bytes.unwrap_or(u64::MAX));
        out.u64(112, self.config_hash);
        out.u32(120, self.limits.cgroup_version);
        out.u32(124, self.sync_ms);
        out.text(128, 64, &self.build);
        out.text(192, 64, &self.instance);
        out.text(256, 64, &self.identity.host);
        out.text(320, 64, &self.identity.kernel);
        out.text(384, 128, &self.limits.source);
        for (index, section) in self.sections.iter().enumerate() {
            let at = SECTIONS_AT + index * 16;
            out.u32(at, section.kind as u32);
            out.u32(at + 4, section.offset as u32);
            out.u32(at + 8, section.slot_bytes as u32);
            out.u32(at + 12, section.slots as u32);
        }
        for (index, field) in self.fields.iter().enumerate() {
            let at = FIELDS_AT + index * FIELD_ENTRY_BYTES;
            out.put(at, &field.offset.to_le_bytes());
            out.put(at + 2, &[field.kind as u8, field.unit as u8, field.count]);
            out.text(at + 8, schema::NAME_BYTES_MAX, &field.name);
        }
        let checksum = crc32c::crc32c(&out.0[..CONSTANT_BYTES]);
        out.u32(CONSTANT_BYTES, checksum);
        for at in [GRACE, AFTERMATH_OOM_KILLS] {
            out.u64(at, u64::MAX);
        }
        out.0
    }

    /// Reads the header of a file of `available` bytes; every number in it is hostile.
    pub(crate) fn decode(bytes: &[u8], available: usize) -> Result<Self, ReadError> {
        if bytes.get(..8) != Some(&MAGIC[..]) {
            return Err(ReadError::NotARecording);
        }
        let major = u16_at(bytes, 8);
        if major != MAJOR {
            return Err(ReadError::Version { major });
        }
        let constant = bytes.get(..CONSTANT_BYTES).ok_or(ReadError::Header)?;
        if u32_at(bytes, CONSTANT_BYTES) != crc32c::crc32c(constant) || bytes.len() < HEADER_BYTES {
            return Err(ReadError::Header);
        }
        let known = |at| Some(u64_at(bytes, at)).filter(|value| *value != u64::MAX);
        let boot_id = bytes[32..48].first_chunk().copied();
        Ok(Self {
            minor: u16_at(bytes, 10),
            identity: Identity {
                boot_id: boot_id.filter(|id| *id != [0; 16]),
                pid: u32_at(bytes, 48),
                start_ticks: u64_at(bytes, 56),
                host: text(bytes, 256, 64),
                kernel: text(bytes, 320, 64),
                host_memory_bytes: known(104),
            },
            started: ClockTriple {
                monotonic_ns: u64_at(bytes, 64),
                boottime_ns: u64_at(bytes, 72),
                real_ns: u64_at(bytes, 80),
            },
            limits: Limits {
                limit_bytes: known(88),
                high_bytes: known(96),
                source: text(bytes, 384, 128),
                cgroup_version: u32_at(bytes, 120),
                oom_kills: None,
            },
            build: text(bytes, 128, 64),
            instance: text(bytes, 192, 64),
            config_hash: u64_at(bytes, 112),
            sync_ms: u32_at(bytes, 124),
            flags: u32_at(bytes, 52),
            file_bytes: u64_at(bytes, 16),
            fields: fields(bytes),
            sections: sections(bytes, available),
        })
    }
}

/// Fields that fit into a slot; one of an unknown type is left out.
fn fields(bytes: &[u8]) -> Vec<FieldInfo> {
    let count = (u32_at(bytes, 24) as usize).min(FIELDS_MAX);
    let entries = bytes[FIELDS_AT..].chunks(FIELD_ENTRY_BYTES).take(count);
    entries
        .filter_map(|entry| {
            let field = FieldInfo {
                name: text(entry, 8, schema::NAME_BYTES_MAX),
                unit: Unit::from_code(entry[3]),
                kind: Type::from_code(entry[2])?,
                count: entry[4],
                offset: u16_at(entry, 0),
            };
            let end = usize::from(field.offset) + field.kind.bytes() * usize::from(field.count);
            (schema::is_name(&field.name) && end <= schema::FIELD_BYTES_MAX).then_some(field)
        })
        .collect()
}

/// Sections of a known kind, the first of each; slots that the file is too short for are still
/// counted, so that they show as missing.
fn sections(bytes: &[u8], available: usize) -> Vec<Section> {
    let count = (u32_at(bytes, 28) as usize).min(SECTIONS_MAX);
    let mut found: Vec<Section> = Vec::new();
    for entry in bytes[SECTIONS_AT..].chunks(16).take(count) {
        let Some(kind) = SectionKind::from_code(u32_at(entry, 0)) else {
            continue;
        };
        let section = Section {
            kind,
            offset: u32_at(entry, 4) as usize,
            slot_bytes: u32_at(entry, 8) as usize,
            slots: u32_at(entry, 12) as usize,
        };
        let fits = (SLOT_BYTES_MIN..=SLOT_BYTES_MAX).contains(&section.slot_bytes)
            && section.slot_bytes.is_multiple_of(8)
            && (1..=crate::layout::FILE_BYTES_MAX as usize / SLOT_BYTES_MIN).contains(&section.slots)
            && section.offset >= HEADER_BYTES
            && section.offset <= available;
        if fits && !found.iter().any(|other| other.kind == kind) {
            found.push(section);
        }
    }
    found
}

struct Encoder(Vec<u8>);

impl Encoder {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn u32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    fn u64(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    fn text(&mut self, at: usize, room: usize, text: &str) {
        let len = text.floor_char_boundary(room.min(text.len()));
        self.put(at, &text.as_bytes()[..len]);
    }
}

/// Up to the first zero; what is no UTF-8 or no character that shows is replaced.
fn text(bytes: &[u8], at: usize, room: usize) -> String {
    let bytes = bytes.get(at..).unwrap_or_default();
    let bytes = &bytes[..room.min(bytes.len())];
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::{MINOR, Plan}, schema::Schema, standard::Standard};

    fn header() -> Header {
        let mut schema = Schema::new();
        Standard::declare(&mut schema).unwrap();
        let plan = Plan::new(1 << 20);
        Header {
            minor: MINOR,
            identity: Identity {
                boot_id: Some([7; 16]),
                pid: 42,
                start_ticks: 4711,
                host: "pod-1".into(),
                kernel: "6.1".into(),
                host_memory_bytes: None,
            },
            started: ClockTriple {
                monotonic_ns: 1,
                boottime_ns: 2,
                real_ns: 3,
            },
            limits: Limits {
                limit_bytes: Some(64 << 20),
                high_bytes: Some(crate::NO_LIMIT),
                source: "/sys/fs/cgroup/memory.max".into(),
                cgroup_version: 2,
                oom_kills: None,
            },
            build: "1.0 abc".into(),
            instance: "shop".into(),
            config_hash: 99,
            sync_ms: 1000,
            fields: schema.fields().to_vec(),
            flags: FLAG_LOCKED | FLAG_ALLOCATED,
            file_bytes: plan.bytes as u64,
            sections: plan.sections.to_vec(),
        }
    }

    #[test]
    fn a_header_comes_back_from_its_bytes() {
        let header = header();
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes, 1 << 20).unwrap(), header);
    }

    #[test]
    fn texts_that_are_too_long_are_cut_at_a_character() {
        let mut header = header();
        header.build = "ä".repeat(100);
        let again = Header::decode(&header.encode(), 1 << 20).unwrap();
        assert_eq!(again.build, "ä".repeat(32));
    }

    #[test]
    fn a_newer_minor_is_read_and_another_major_is_not() {
        let mut header = header();
        header.minor = 9;
        let mut bytes = header.encode();
        assert_eq!(Header::decode(&bytes, 1 << 20).unwrap().minor, 9);
        bytes[8] = 2;
        let refused = Header::decode(&bytes, 1 << 20).unwrap_err();
        assert!(matches!(refused, ReadError::Version { major: 2 }));
    }

    #[test]
    fn one_wrong_bit_of_the_constant_part_is_found() {
        let bytes = header().encode();
        for bit in (0..CONSTANT_BYTES * 8).step_by(61) {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&wrong, 1 << 20).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn hostile_tables_with_a_right_checksum_are_left_out() {
        let mut bytes = header().encode();
        bytes[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
        bytes[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        bytes[SECTIONS_AT + 4..SECTIONS_AT + 16].fill(0xff);
        bytes[FIELDS_AT..FIELDS_AT + 8].fill(0xff);
        let checksum = crc32c::crc32c(&bytes[..CONSTANT_BYTES]);
        bytes[CONSTANT_BYTES..CONSTANT_BYTES + 4].copy_from_slice(&checksum.to_le_bytes());
        let header = Header::decode(&bytes, 1 << 20).unwrap();
        assert_eq!(header.sections.len(), 3);
        assert!(header.fields.iter().all(|field| field.name != "recorder.late"));
    }
}
