use super::*;
use relay_event::{ByteBudget, Gate, Priority};

fn gate(bytes: u64) -> Gate {
    Gate::new(ByteBudget::new(bytes))
}

/// Feeds `bytes` in pieces of `piece`, and collects the lines; what finds no room is skipped and counted.
fn feed(lines: &mut LineBuffer, gate: &Gate, bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, usize) {
    let (mut found, mut refused) = (Vec::new(), 0);
    let mut rest = bytes;
    while !rest.is_empty() {
        let admit = |bytes| {
            gate.admit(bytes, Priority::Normal)
                .map_err(|rejection| Refusal {
                    reason: relay_engine::RefusalReason::Gate(rejection.reason),
                    retry_after: None,
                })
        };
        if lines.make_room(admit).is_err() {
            refused += 1;
            lines.skip();
            continue;
        }
        let room = lines.room();
        let count = room.len().min(piece).min(rest.len());
        assert!(count > 0);
        room[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        lines.filled(count);
        while let Some((line, _)) = lines.next_line() {
            found.push(line.to_vec());
        }
    }
    (found, refused)
}

#[test]
fn lines_are_found_however_they_arrive() {
    let long = "y".repeat(9000);
    let text = format!("a\r\n\nbc\n{long}\n{}\nlast", "z".repeat(20_000));
    for piece in [1, 2, 3, 7, 4096, 100_000] {
        let (mut lines, gate) = (LineBuffer::new(16_384), gate(1 << 20));
        let (found, refused) = feed(&mut lines, &gate, text.as_bytes(), piece);
        assert_eq!(
            found,
            [b"a".as_slice(), b"", b"bc", long.as_bytes()],
            "{piece}"
        );
        assert_eq!(refused, 1, "one is too long");
        let (last, permit) = lines.last_line().unwrap();
        assert_eq!((last, permit.is_none()), (b"last".as_slice(), true));
        assert!(lines.last_line().is_none());
        assert_eq!(gate.budget().used_bytes(), 0, "and every byte is back");
    }
}

#[test]
fn the_longest_line_passes_and_one_byte_more_does_not() {
    for (max, length, passes) in [
        (5000, 5000, true),
        (5000, 5001, false),
        (3, 3, true),
        (3, 4, false),
    ] {
        let (mut lines, gate) = (LineBuffer::new(max), gate(1 << 20));
        let text = format!("{}\nb\n", "a".repeat(length));
        let (found, refused) = feed(&mut lines, &gate, text.as_bytes(), 1000);
        assert_eq!(
            (found.len(), refused),
            if passes { (2, 0) } else { (1, 1) },
            "{max} {length}"
        );
        assert_eq!(found.last().unwrap(), b"b");
    }
}

#[test]
fn beyond_what_is_free_the_gate_decides_and_it_all_goes_back() {
    let (mut lines, gate) = (LineBuffer::new(1 << 20), gate(20_000));
    let text = format!("{}\nb\n", "a".repeat(100_000));
    let (found, refused) = feed(&mut lines, &gate, text.as_bytes(), 1000);
    assert_eq!((found, refused), (vec![b"b".to_vec()], 1));
    assert_eq!(gate.budget().used_bytes(), 0);
    let text = format!("{}\n", "a".repeat(7000));
    let (found, _) = feed(&mut lines, &gate, text.as_bytes(), 1000);
    assert_eq!(found.len(), 1);
    lines.make_room(|_| unreachable!("there is room")).unwrap();
    assert_eq!(lines.bytes.len(), FREE_BYTES, "it has shrunk again");
}

#[test]
fn a_line_without_end_is_hopeless_at_last() {
    let (mut lines, gate) = (LineBuffer::new(1000), gate(1 << 20));
    let (_, refused) = feed(&mut lines, &gate, &vec![b'x'; SKIP_MAX], 4096);
    assert!(refused == 1 && !lines.is_hopeless());
    feed(&mut lines, &gate, b"xx", 2);
    assert!(lines.is_hopeless());
    feed(&mut lines, &gate, b"\n", 1);
    assert!(!lines.is_hopeless(), "it has ended after all");
}
