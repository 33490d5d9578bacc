//! Text put together without allocating: on the stack, cut at a whole character when it is full.

use std::fmt;

/// A buffer of `N` bytes that takes what fits and forgets the rest.
pub(crate) struct Line<const N: usize> {
    bytes: [u8; N],
    len: usize,
    full: bool,
}

impl<const N: usize> Line<N> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
            full: false,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Write for Line<N> {
    /// Never an error: a text that was cut is better than none.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.full {
            return Ok(());
        }
        let fits = text.floor_char_boundary((N - self.len).min(text.len()));
        self.full = fits < text.len();
        self.bytes[self.len..self.len + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_at_a_character() {
        let mut line = Line::<8>::new();
        write!(line, "abc").unwrap();
        write!(line, "defgä").unwrap();
        write!(line, "x").unwrap();
        assert_eq!(line.as_str(), "abcdefg");
    }
}
