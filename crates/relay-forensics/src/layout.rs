//! The file format, and nothing else: which byte means what. Little-endian throughout.
//!
//! ```text
//! 0     header, 4096 bytes: constant part with a checksum, then the few words that change
//! 4096  sections, each a ring of slots and each beginning at a page:
//!         fine      snapshots at the pace of the danger       512-byte slots
//!         coarse    a snapshot each 5 s: the longer story     512-byte slots
//!         events    what happened, with a text                256-byte slots
//!         strings   names that records refer to by number     128-byte slots
//! ```
//!
//! A slot never crosses a page. What is in a slot: `slot.rs`; what is in the header: `header.rs`.

/// First bytes of every recording.
pub const MAGIC: [u8; 8] = *b"RLYFDR1\0";

/// A reader refuses another one.
pub const MAJOR: u16 = 1;

/// Grows with fields, kinds and flags that an older reader may ignore.
pub const MINOR: u16 = 0;

/// Slots are laid out for pages of this size; a larger one is a multiple of it.
const PAGE_BYTES: usize = 4096;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 4096;

/// The smallest recording that is made.
pub const FILE_BYTES_MIN: u64 = 64 << 10;

/// The largest recording that is made.
pub const FILE_BYTES_MAX: u64 = 8 << 20;

/// Bytes of a slot of snapshots.
pub(crate) const SNAPSHOT_BYTES: usize = 512;
/// Bytes of a slot of events.
pub(crate) const EVENT_BYTES: usize = 256;
/// Bytes of a slot of the string table.
pub(crate) const STRING_BYTES: usize = 128;

/// How often a snapshot is kept for the longer story.
pub(crate) const COARSE_INTERVAL_NS: u64 = 5_000_000_000;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum SectionKind {
    /// Snapshots at the pace of the danger.
    Fine = 1,
    /// A snapshot each 5 s.
    Coarse = 2,
    /// What happened.
    Events = 3,
    /// Names by number.
    Strings = 4,
}

/// One ring of slots in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) kind: SectionKind,
    pub(crate) offset: usize,
    pub(crate) slot_bytes: usize,
    pub(crate) slots: usize,
}

/// Where everything is in a recording of some size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) bytes: usize,
    pub(crate) sections: [Section; 4],
}

// === impl SectionKind ===

impl SectionKind {
    pub(crate) const ALL: [Self; 4] = [Self::Fine, Self::Coarse, Self::Events, Self::Strings];

    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Coarse => "coarse",
            Self::Events => "events",
            Self::Strings => "strings",
        }
    }

    pub(crate) fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == code)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize - 1
    }
}

// === impl Section ===

impl Section {
    pub(crate) fn end(&self) -> usize {
        self.offset + self.slots * self.slot_bytes
    }

    /// The bytes of the slot in which record `seq` lies.
    pub(crate) fn slot_of(&self, seq: u64) -> std::ops::Range<usize> {
        self.slot(usize::try_from(seq % self.slots as u64).unwrap_or(0))
    }

    pub(crate) fn slot(&self, index: usize) -> std::ops::Range<usize> {
        let start = self.offset + index * self.slot_bytes;
        start..start + self.slot_bytes
    }
}

// === impl Plan ===

impl Plan {
    /// Divides about `bytes`: an eighth, at most 32 KiB, for names; of the rest half for fine snapshots
    /// and a quarter each for coarse ones and for events.
    pub(crate) fn new(bytes: u64) -> Self {
        let bytes = bytes.clamp(FILE_BYTES_MIN, FILE_BYTES_MAX) as usize;
        let strings = (bytes / 8).min(32 << 10);
        let rest = bytes - HEADER_BYTES - strings;
        let mut offset = HEADER_BYTES;
        let mut section = |kind, slot_bytes, share: usize| {
            let section = Section {
                kind,
                offset,
                slot_bytes,
                slots: share / PAGE_BYTES * PAGE_BYTES / slot_bytes,
            };
            offset = section.end();
            section
        };
        let sections = [
            section(SectionKind::Fine, SNAPSHOT_BYTES, rest / 2),
            section(SectionKind::Coarse, SNAPSHOT_BYTES, rest / 4),
            section(SectionKind::Events, EVENT_BYTES, rest / 4),
            section(SectionKind::Strings, STRING_BYTES, strings),
        ];
        Self {
            bytes: offset,
            sections,
        }
    }

    pub(crate) fn section(&self, kind: SectionKind) -> &Section {
        &self.sections[kind.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_any_size_is_in_order_on_pages_and_within_bounds() {
        for kib in [0, 64, 65, 100, 1024, 8192, 100_000] {
            let plan = Plan::new(kib << 10);
            let wanted = (kib << 10).clamp(FILE_BYTES_MIN, FILE_BYTES_MAX) as usize;
            assert!(plan.bytes <= wanted, "{kib} KiB: {}", plan.bytes);
            // Rounding down to pages costs at most one for each section.
            assert!(plan.bytes > wanted - 4 * 4096, "{kib} KiB: {}", plan.bytes);
            let mut end = HEADER_BYTES;
            for section in plan.sections {
                assert!(section.offset >= end && section.offset % 4096 == 0);
                assert_eq!(4096 % section.slot_bytes, 0, "no slot crosses a page");
                assert!(section.slots >= 16, "{kib} KiB: {section:?}");
                end = section.end();
            }
            assert!(end <= plan.bytes);
        }
    }

    #[test]
    fn a_mebibyte_holds_what_the_design_says() {
        let plan = Plan::new(1 << 20);
        let slots = plan.sections.map(|section| section.slots);
        assert_eq!(slots, [984, 488, 976, 256]);
    }

    #[test]
    fn codes_round_trip() {
        for kind in SectionKind::ALL {
            assert_eq!(SectionKind::from_code(kind as u32), Some(kind));
            assert_eq!(SectionKind::ALL[kind.index()], kind);
        }
        assert_eq!(SectionKind::from_code(0), None);
        assert_eq!(SectionKind::from_code(5), None);
    }
}
