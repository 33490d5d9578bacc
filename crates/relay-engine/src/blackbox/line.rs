//! A line of text on the stack: whoever records may not allocate.

use std::fmt;

/// What does not fit is left out.
pub(super) struct Line<const BYTES: usize> {
    bytes: [u8; BYTES],
    len: usize,
}

impl<const BYTES: usize> Line<BYTES> {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; BYTES],
            len: 0,
        }
    }

    pub(super) fn as_str(&self) -> &str {
        // Only whole characters are put in.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl<const BYTES: usize> fmt::Write for Line<BYTES> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = BYTES - self.len;
        let end = text.floor_char_boundary(room.min(text.len()));
        self.bytes[self.len..self.len + end].copy_from_slice(&text.as_bytes()[..end]);
        self.len += end;
        // Stops the rest of the formatting, which would only be thrown away.
        if end < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn it_is_cut_at_a_character() {
        let mut line = Line::<5>::new();
        assert!(line.write_str("abää").is_err());
        assert_eq!(line.as_str(), "abä");
    }
}
