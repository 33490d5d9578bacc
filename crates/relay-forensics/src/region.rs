//! The memory that is recorded into: a mapped file, or the heap when no file can be had.
//!
//! Everything is written through atomics of eight bytes, so that several threads and a signal
//! handler may write and read at any moment.

#![allow(unsafe_code)]

use std::{
    fs::File,
    io,
    ops::{Deref, Range},
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use memmap2::{MmapOptions, MmapRaw};

use crate::sys;

/// Words that live as long as this value, at an address that does not change.
pub(crate) struct Region {
    words: NonNull<AtomicU64>,
    len: usize,
    // Held for its memory only.
    owner: Owner,
}

enum Owner {
    File(MmapRaw),
    Heap(#[expect(dead_code, reason = "held for its memory")] Box<[AtomicU64]>),
}

// SAFETY: what is shared is a slice of atomics, which threads may use together; the pointer is
// never used otherwise. `recorder::tests::four_writers_lose_nothing_they_do_not_count` writes it from
// four threads, also under AddressSanitizer.
unsafe impl Send for Region {}
// SAFETY: as for `Send`.
unsafe impl Sync for Region {}

impl Region {
    /// Maps `bytes` of the file, shared, for reading and writing. The file must have blocks for all
    /// of them: a write to a page without one is a SIGBUS.
    pub(crate) fn map(file: &File, bytes: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(bytes).map_raw(file)?;
        let words = NonNull::new(map.as_mut_ptr())
            .ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Self {
            words: words.cast(),
            len: bytes / 8,
            owner: Owner::File(map),
        })
    }

    /// As many zeroes on the heap; nothing of it outlives the process.
    pub(crate) fn heap(bytes: usize) -> Self {
        let words: Box<[AtomicU64]> = (0..bytes / 8).map(|_| AtomicU64::new(0)).collect();
        Self {
            words: NonNull::from(&*words).cast(),
            len: words.len(),
            owner: Owner::Heap(words),
        }
    }

    /// Keeps every page in memory (`mlock(2)`): the recorder never waits for one to be read back.
    pub(crate) fn lock(&self) -> io::Result<()> {
        match &self.owner {
            Owner::File(map) => sys::lock(map),
            Owner::Heap(_) => Ok(()),
        }
    }

    /// Brings every page into memory, without keeping it there.
    pub(crate) fn touch(&self) {
        for page in self.chunks(512) {
            page[0].fetch_or(0, Ordering::Relaxed);
        }
    }

    /// The words of these bytes; both ends are multiples of eight.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[AtomicU64] {
        &self[range.start / 8..range.end / 8]
    }
}

impl Deref for Region {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: `words` points to `len` words that `owner` keeps mapped and in place until it is
        // dropped with this value; a mapping begins at a page, so they are aligned; any bit pattern
        // is an `AtomicU64`; and nobody in this process reaches them otherwise. Another process
        // that opens the file can change them, which atomics allow. Exercised by
        // `recorder::tests::four_writers_lose_nothing_they_do_not_count`.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.len) }
    }
}
