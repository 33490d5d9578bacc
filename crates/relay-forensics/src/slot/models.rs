//! Every interleaving of the slot protocol, with loom: see `crate::sync`.

use super::*;
use std::sync::Arc;

const WORDS: usize = 7;

/// A slot with room for two words of body.
fn slot() -> Arc<[AtomicU64; WORDS]> {
    Arc::new(std::array::from_fn(|_| AtomicU64::new(0)))
}

/// Writes a record all of whose parts follow from its number. The first word of its body is the
/// number and the second its complement: torn shows without the checksum.
fn write(slot: &[AtomicU64], seq: u64) -> bool {
    let mut draft = Draft::<56>::new();
    draft.body()[..8].copy_from_slice(&seq.to_le_bytes());
    draft.body()[8..16].copy_from_slice(&(!seq).to_le_bytes());
    draft.write(slot, seq, &Head::default(), 16)
}

/// The number of the record that is read; the checksum is not asked, the protocol alone must do.
fn read(slot: &[AtomicU64]) -> Option<u64> {
    let mut bytes = [0; WORDS * 8];
    if !copy(slot, &mut bytes) {
        return None;
    }
    let seq = u64_at(&bytes, 0);
    if seq > 0 {
        assert_eq!(u64_at(&bytes, HEAD_BYTES), seq, "a body of another record");
        assert_eq!(u64_at(&bytes, HEAD_BYTES + 8), !seq, "torn");
        assert!(matches!(decode(&bytes, 0, 1), Found::Record { .. }));
    }
    Some(seq)
}

/// The words are written twice while someone reads.
#[test]
fn a_reader_takes_a_whole_record_or_none() {
    loom::model(|| {
        let slot = slot();
        assert!(write(&*slot, 1));
        let writer = loom::thread::spawn({
            let slot = Arc::clone(&slot);
            move || assert!(write(&*slot, 2))
        });
        if let Some(seq) = read(&*slot) {
            assert!(seq == 1 || seq == 2);
        }
        writer.join().unwrap();
        assert_eq!(read(&*slot), Some(2));
    });
}

/// Two writers a lap apart: one may give up, never do both mix, and the later one is not lost to
/// one that completes after it.
#[test]
fn two_writers_never_mix() {
    loom::model(|| {
        let slot = slot();
        let writer = loom::thread::spawn({
            let slot = Arc::clone(&slot);
            move || write(&*slot, 1)
        });
        let later = write(&*slot, 2);
        let earlier = writer.join().unwrap();
        assert!(later || earlier, "one of two gets through");
        assert_eq!(read(&*slot), Some(if later { 2 } else { 1 }));
    });
}
