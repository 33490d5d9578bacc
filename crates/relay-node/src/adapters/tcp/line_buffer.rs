//! Bytes become lines: in a small buffer that grows only by what the gate admits, and shrinks again.

use relay_engine::Refusal;
use relay_event::Permit;
use std::mem;

/// What a connection may hold without asking: as much as its place in the kernel costs.
const FREE_BYTES: usize = 4 << 10;

/// How much of a line that nobody wants is read, so that its sender finds the answer and not a reset.
pub(super) const SKIP_MAX: usize = 1 << 20;

/// What was read of a connection and is no complete line yet.
#[derive(Debug)]
pub(super) struct LineBuffer {
    bytes: Box<[u8]>,
    begin: usize,
    end: usize,
    /// Up to here there is no end of a line.
    searched: usize,
    max: usize,
    /// The right to what the buffer holds beyond what is free.
    growth: Vec<Permit>,
    /// Set while the rest of a line is read into nothing: how much of it so far.
    skipping: Option<usize>,
}

/// Why there is no room for more of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// It is longer than allowed.
    TooLong,
    /// The gate said no.
    Refused(Refusal),
}

// === impl LineBuffer ===

impl LineBuffer {
    /// For lines of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self {
            bytes: vec![0; FREE_BYTES.min(max + 1)].into(),
            begin: 0,
            end: 0,
            searched: 0,
            max,
            growth: Vec::new(),
            skipping: None,
        }
    }

    /// Makes room for more, asking for what that takes.
    ///
    /// # Errors
    ///
    /// When the line is too long, or `admit` says no; then the line is to be [skipped](Self::skip).
    pub(super) fn make_room(
        &mut self,
        admit: impl FnOnce(u64) -> Result<Permit, Refusal>,
    ) -> Result<(), NoRoom> {
        self.compact();
        if self.end < self.bytes.len() {
            return Ok(());
        }
        // One byte beyond the longest line is for its end.
        let length = (self.bytes.len() * 2).min(self.max + 1);
        if length == self.bytes.len() {
            return Err(NoRoom::TooLong);
        }
        let more = (length - self.bytes.len()) as u64;
        self.growth.push(admit(more).map_err(NoRoom::Refused)?);
        let mut bytes = vec![0; length];
        bytes[..self.end].copy_from_slice(&self.bytes[..self.end]);
        self.bytes = bytes.into();
        Ok(())
    }

    /// Where to read to; never empty after [`make_room`](Self::make_room).
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// So many bytes were read.
    pub(super) fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// The rest of this line, and what there is of it already, is read into nothing.
    pub(super) fn skip(&mut self) {
        self.skipping = Some(self.end - self.begin);
        self.forget();
    }

    /// Whether more than enough was skipped.
    pub(super) fn is_hopeless(&self) -> bool {
        self.skipping.is_some_and(|bytes| bytes > SKIP_MAX)
    }

    /// The next complete line, without its end, and the permit it was read under, if it took one.
    pub(super) fn next_line(&mut self) -> Option<(&[u8], Option<Permit>)> {
        loop {
            let unseen = &self.bytes[self.searched..self.end];
            let Some(at) = unseen.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.end;
                if let Some(bytes) = &mut self.skipping {
                    *bytes += self.end - self.begin;
                    self.forget();
                }
                return None;
            };
            let (begin, end) = (self.begin, self.searched + at);
            self.begin = end + 1;
            self.searched = self.begin;
            if self.skipping.take().is_none() {
                return Some(self.line(begin, end));
            }
        }
    }

    /// What is left when nothing more comes: a last line without an end.
    pub(super) fn last_line(&mut self) -> Option<(&[u8], Option<Permit>)> {
        let (begin, end) = (self.begin, self.end);
        self.begin = end;
        self.searched = end;
        (begin < end && self.skipping.is_none()).then(|| self.line(begin, end))
    }

    fn line(&mut self, begin: usize, end: usize) -> (&[u8], Option<Permit>) {
        let mut growth = mem::take(&mut self.growth).into_iter();
        let line = &self.bytes[begin..end];
        (line.strip_suffix(b"\r").unwrap_or(line), growth.next())
    }

    fn compact(&mut self) {
        if self.begin == self.end {
            self.forget();
        } else if self.begin > 0 {
            self.bytes.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.searched -= self.begin;
            self.begin = 0;
        }
        // What a long line needed goes back once what is left fits without it.
        let free = FREE_BYTES.min(self.max + 1);
        if self.bytes.len() > free && self.end < free && self.growth.is_empty() {
            let mut bytes = vec![0; free];
            bytes[..self.end].copy_from_slice(&self.bytes[..self.end]);
            self.bytes = bytes.into();
        }
    }

    fn forget(&mut self) {
        (self.begin, self.end, self.searched) = (0, 0, 0);
        self.growth.clear();
    }
}

#[cfg(test)]
mod tests;
