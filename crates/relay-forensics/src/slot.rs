//! One slot of a ring: how a record is written so that whoever reads it, in this process or after
//! its death, takes it whole or not at all.
//!
//! **Problem.** Threads write beside each other and must neither wait nor allocate; the process can
//! be killed between any two instructions; a reader may look at any moment.
//!
//! **Algorithm.** A sequence lock whose version is the record's own number. A writer claims the
//! slot by putting its number with [`WRITING`] set into the first word, copies the record with
//! relaxed stores of eight bytes, then a checksum, and stores the bare number last. A reader takes a
//! slot only if the number has no mark, is the same before and after, belongs in this place of the
//! ring, and the checksum holds. After a kill the first and the last condition remain, and they are
//! enough: the kernel loses no store that was made.
//!
//! A writer that finds the slot claimed, or already written by a later one, gives its record up: it
//! takes a whole lap of the ring during one copy.
//!
//! **Source.** Boehm, *Can Seqlocks Get Along with Programming Language Memory Models?* (2012), §4
//! for readers and §5 for the fences. Checksum: CRC-32C (Castagnoli), RFC 3720 §12.1.

use crate::sync::atomic::{AtomicU64, Ordering, fence};

/// Set in the first word of a slot while its record is copied.
pub(crate) const WRITING: u64 = 1 << 63;

/// Bytes of a slot before the body: number, two times, kind, minor, flags, length.
pub(crate) const HEAD_BYTES: usize = 32;

/// Bytes of a slot after the body: checksum and the complement of the number.
pub(crate) const TAIL_BYTES: usize = 8;

/// The largest slot, so that a copy fits on the stack.
pub(crate) const SLOT_BYTES_MAX: usize = 512;

/// Where the length of the body stands.
const LENGTH_AT: usize = 30;

/// What is before the body, without the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    pub(crate) monotonic_ns: u64,
    pub(crate) real_ns: u64,
    pub(crate) kind: u16,
    pub(crate) minor: u16,
    pub(crate) flags: u16,
}

/// A record that is being put together on the stack: room for a head, then the body.
#[derive(Debug)]
pub(crate) struct Draft<const BYTES: usize> {
    bytes: [u8; BYTES],
}

/// What a reader finds in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// Never written.
    Empty,
    /// A whole record.
    Record {
        seq: u64,
        head: Head,
        body: &'a [u8],
    },
    /// A copy was under way, or two were mixed: it never existed.
    Torn,
}

// === impl Draft ===

impl<const BYTES: usize> Draft<BYTES> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; BYTES] }
    }

    /// The room for a body.
    pub(crate) fn body(&mut self) -> &mut [u8] {
        &mut self.bytes[HEAD_BYTES..BYTES - TAIL_BYTES]
    }

    /// Writes the first `body_len` bytes of the body as record `seq`; `false` when it was given up.
    pub(crate) fn write(
        &mut self,
        slot: &[AtomicU64],
        seq: u64,
        head: &Head,
        body_len: usize,
    ) -> bool {
        let room = BYTES.min(slot.len() * 8) - HEAD_BYTES - TAIL_BYTES;
        let body_len = body_len.next_multiple_of(8).min(room);
        self.bytes[8..16].copy_from_slice(&head.monotonic_ns.to_le_bytes());
        self.bytes[16..24].copy_from_slice(&head.real_ns.to_le_bytes());
        self.bytes[24..26].copy_from_slice(&head.kind.to_le_bytes());
        self.bytes[26..28].copy_from_slice(&head.minor.to_le_bytes());
        self.bytes[28..30].copy_from_slice(&head.flags.to_le_bytes());
        self.bytes[LENGTH_AT..HEAD_BYTES].copy_from_slice(&(body_len as u16).to_le_bytes());
        store(slot, seq, &self.bytes[8..HEAD_BYTES + body_len])
    }
}

/// Stores `record`, a multiple of eight bytes that begins at byte 8 of the slot.
fn store(slot: &[AtomicU64], seq: u64, record: &[u8]) -> bool {
    let before = slot[0].load(Ordering::Relaxed);
    if before & WRITING != 0 || before >= seq || !claim(&slot[0], before, seq) {
        return false;
    }
    // (torn) pairs with the fence in `copy`: who sees one of our words sees us writing, too.
    fence(Ordering::Release);
    let (words, _) = record.as_chunks::<8>();
    for (word, bytes) in slot[1..].iter().zip(words) {
        word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
    }
    let tail = u64::from(checksum(seq, record)) | u64::from(!(seq as u32)) << 32;
    slot[slot.len() - 1].store(tail, Ordering::Relaxed);
    // (whole) pairs with the first load in `copy`.
    slot[0].store(seq, Ordering::Release);
    true
}

/// Only one writer gets from `before` to its own mark; Acquire keeps its words after the words of
/// whoever completed `before`.
fn claim(number: &AtomicU64, before: u64, seq: u64) -> bool {
    number
        .compare_exchange(before, seq | WRITING, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
}

/// Copies a slot that may be written meanwhile; `false` when it was.
pub(crate) fn copy(slot: &[AtomicU64], into: &mut [u8]) -> bool {
    // (whole)
    let before = slot[0].load(Ordering::Acquire);
    let (words, _) = into.as_chunks_mut::<8>();
    for (bytes, word) in words.iter_mut().zip(slot) {
        *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
    }
    // (torn)
    fence(Ordering::Acquire);
    let after = slot[0].load(Ordering::Relaxed);
    into[..8].copy_from_slice(&before.to_ne_bytes());
    before == after && before & WRITING == 0
}

/// What the bytes of slot number `index` of `slots` hold. Any bytes at all are answered.
pub(crate) fn decode(bytes: &[u8], index: usize, slots: usize) -> Found<'_> {
    let seq = u64_at(bytes, 0);
    if seq == 0 {
        return Found::Empty;
    }
    let fits = seq & WRITING == 0 && seq % slots.max(1) as u64 == index as u64;
    if !fits || bytes.len() < HEAD_BYTES + TAIL_BYTES {
        return Found::Torn;
    }
    let length = usize::from(u16_at(bytes, LENGTH_AT));
    let tail = u64_at(bytes, bytes.len() - TAIL_BYTES);
    if length > bytes.len() - HEAD_BYTES - TAIL_BYTES || (tail >> 32) as u32 != !(seq as u32) {
        return Found::Torn;
    }
    if checksum(seq, &bytes[8..HEAD_BYTES + length]) != tail as u32 {
        return Found::Torn;
    }
    Found::Record {
        seq,
        head: Head {
            monotonic_ns: u64_at(bytes, 8),
            real_ns: u64_at(bytes, 16),
            kind: u16_at(bytes, 24),
            minor: u16_at(bytes, 26),
            flags: u16_at(bytes, 28),
        },
        body: &bytes[HEAD_BYTES..HEAD_BYTES + length],
    }
}

/// Begins with the number, so that an old record in place of a new one does not pass.
fn checksum(seq: u64, record: &[u8]) -> u32 {
    crc32c::crc32c_append(seq as u32 ^ (seq >> 32) as u32, record)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    array_at(bytes, at).map_or(0, u16::from_le_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    array_at(bytes, at).map_or(0, u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    array_at(bytes, at).map_or(0, u64::from_le_bytes)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(all(test, not(relay_loom)))]
mod tests;

#[cfg(all(test, relay_loom))]
mod models;
