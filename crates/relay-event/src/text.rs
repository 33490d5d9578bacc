//! Checks of names that come from senders.

/// Where the first control character is, in bytes; most names are printable ASCII and need no decoding.
pub(crate) fn control_character(text: &str) -> Option<usize> {
    // Without an early exit the compiler looks at many bytes at once.
    let is_plain = |plain, byte| plain & matches!(byte, b' '..=b'~');
    if text.bytes().fold(true, is_plain) {
        return None;
    }
    text.char_indices()
        .find(|(_, c)| c.is_control())
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_ways_agree(text in "\\PC{0,8}[\\x00-\\u{9f}]{0,3}\\PC{0,4}") {
            let slow = text.char_indices().find(|(_, c)| c.is_control()).map(|(at, _)| at);
            prop_assert_eq!(control_character(&text), slow);
        }
    }
}
