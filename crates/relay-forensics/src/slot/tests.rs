use proptest::prelude::*;

use super::*;

const SLOTS: usize = 8;

fn words(bytes: usize) -> Vec<AtomicU64> {
    (0..bytes / 8).map(|_| AtomicU64::new(0)).collect()
}

fn bytes_of(slot: &[AtomicU64]) -> Vec<u8> {
    let mut bytes = vec![0; slot.len() * 8];
    assert!(copy(slot, &mut bytes));
    bytes
}

fn written(seq: u64, head: &Head, body: &[u8], slot_bytes: usize) -> Vec<u8> {
    let slot = words(slot_bytes);
    let mut draft = Draft::<256>::new();
    draft.body()[..body.len()].copy_from_slice(body);
    assert!(draft.write(&slot, seq, head, body.len()));
    bytes_of(&slot)
}

fn head() -> Head {
    Head {
        monotonic_ns: 1,
        real_ns: 2,
        kind: 3,
        minor: 4,
        flags: 5,
    }
}

#[test]
fn a_record_stands_in_its_slot_byte_for_byte() {
    let bytes = written(9, &head(), b"12345678", 64);
    assert_eq!(bytes[..8], 9_u64.to_le_bytes());
    assert_eq!(
        bytes[8..24],
        [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(bytes[24..32], [3, 0, 4, 0, 5, 0, 8, 0]);
    assert_eq!(bytes[32..40], *b"12345678");
    // An independent calculation: crc32c of bytes 8..40 begun with 9.
    assert_eq!(
        bytes[56..60],
        crc32c::crc32c_append(9, &bytes[8..40]).to_le_bytes()
    );
    assert_eq!(bytes[60..], (!9_u32).to_le_bytes());
}

#[test]
fn the_checksum_is_castagnoli() {
    // RFC 3720, B.4: 32 bytes of zeroes.
    assert_eq!(checksum(0, &[0; 32]), 0x8a91_36aa);
}

#[test]
fn a_slot_in_another_place_of_the_ring_is_no_record() {
    let bytes = written(9, &head(), b"12345678", 64);
    assert!(matches!(
        decode(&bytes, 1, SLOTS),
        Found::Record { seq: 9, .. }
    ));
    for index in [0, 2, 7] {
        assert_eq!(decode(&bytes, index, SLOTS), Found::Torn);
    }
    assert_eq!(decode(&[0; 64], 0, SLOTS), Found::Empty);
}

#[test]
fn a_writer_that_was_overtaken_gives_up() {
    let slot = words(64);
    let mut draft = Draft::<256>::new();
    assert!(draft.write(&slot, 9, &head(), 8));
    assert!(!draft.write(&slot, 1, &head(), 8), "an earlier lap");
    assert!(!draft.write(&slot, 9, &head(), 8), "the same number");
    assert!(draft.write(&slot, 17, &head(), 8));
}

#[test]
fn a_slot_whose_writer_died_is_torn_and_stays_so() {
    let slot = words(64);
    assert!(Draft::<256>::new().write(&slot, 1, &head(), 8));
    slot[0].store(9 | WRITING, Ordering::Relaxed);
    let mut bytes = [0; 64];
    assert!(!copy(&slot, &mut bytes));
    assert_eq!(decode(&bytes, 1, SLOTS), Found::Torn);
    assert!(!Draft::<64>::new().write(&slot, 17, &head(), 8));
}

proptest! {
    #[test]
    fn what_is_written_is_read(seq in 1..WRITING, body in prop::collection::vec(any::<u8>(), 0..=216)) {
        let bytes = written(seq, &head(), &body, 256);
        let index = (seq % SLOTS as u64) as usize;
        let Found::Record { seq: found, head: again, body: read } = decode(&bytes, index, SLOTS) else {
            return Err(TestCaseError::fail("not whole"));
        };
        prop_assert_eq!((found, again), (seq, head()));
        prop_assert_eq!(&read[..body.len()], &body[..]);
        prop_assert!(read.len() - body.len() < 8);
    }

    #[test]
    fn one_wrong_bit_in_the_used_part_is_found(
        seq in 1..WRITING,
        body in prop::collection::vec(any::<u8>(), 216),
        bit in 0..2048_usize,
    ) {
        let mut bytes = written(seq, &head(), &body, 256);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let index = (seq % SLOTS as u64) as usize;
        let found = decode(&bytes, index, SLOTS);
        let whole = matches!(found, Found::Record { .. });
        prop_assert!(!whole, "bit {} passed", bit);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..600), index in 0..9_usize, slots in 0..9_usize) {
        let _ = decode(&bytes, index, slots);
    }

    /// A kill leaves the words up to some point of the copy new and the rest old.
    #[test]
    fn a_copy_that_was_cut_short_is_found(cut in 0..31_usize, old in any::<[u8; 32]>(), new in any::<[u8; 32]>()) {
        let before = written(1, &head(), &old, 256);
        let after = written(9, &head(), &new, 256);
        let mut mixed = before.clone();
        mixed[8..8 + cut * 8].copy_from_slice(&after[8..8 + cut * 8]);
        mixed[..8].copy_from_slice(&(9 | WRITING).to_le_bytes());
        prop_assert_eq!(decode(&mixed, 1, SLOTS), Found::Torn);
    }
}
