//! The two shapes kernel files come in: a lone number, and lines of `key value`.
//!
//! Everything here works on borrowed bytes and allocates nothing: the sampler uses it on every tick.

/// A decimal number and nothing else: no sign, no space, no overflow.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A line `key value`, the value unread; `None` where it is shaped differently.
pub(crate) fn pair(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let (key, rest) = line.split_at(space);
    Some((key, rest.trim_ascii()))
}

/// The lines of a file, from either end.
pub(crate) fn lines(text: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// The lines `key value` whose value is a number; others are passed over.
pub(crate) fn fields(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    lines(text).filter_map(|line| {
        let (key, value) = pair(line)?;
        Some((key, number(value)?))
    })
}

/// The value behind exactly this key.
pub(crate) fn field(text: &[u8], key: &[u8]) -> Option<u64> {
    fields(text).find_map(|(name, value)| (name == key).then_some(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_65_keys_match_exactly() {
        let text = b"foof 1002\nfoo\nanon_thp 5\nanon 7\noom_kill 3\noom_kill_extra 9\nfoo 4 5\n";
        assert_eq!(field(text, b"foo"), None);
        assert_eq!(field(text, b"anon"), Some(7));
        assert_eq!(field(text, b"oom_kill"), Some(3));
        assert_eq!(field(text, b"oom_group_kill"), None);
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            &b""[..],
            b"18446744073709551616",
            b"+1",
            b"-1",
            b"1 ",
            b"0x1",
        ] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse(text in any::<Vec<u8>>(), key in any::<Vec<u8>>()) {
            let _ = field(&text, &key);
        }

        #[test]
        fn what_was_written_is_found(value in any::<u64>(), before in "[a-z_]{1,9} [0-9]{1,9}\n") {
            let text = format!("{before}wanted- {value}\nwanted {value}\n");
            prop_assert_eq!(field(text.as_bytes(), b"wanted"), Some(value));
        }
    }
}
