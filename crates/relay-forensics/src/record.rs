//! One thing that happened, in a fixed number of bytes.

use std::time::Duration;

/// How many values a record carries.
pub const VALUES: usize = 13;

/// How many machine words a record is made of.
pub(crate) const WORDS: usize = VALUES + 2;

/// A record of fixed size: what happened, to whom, when, and up to [`VALUES`] numbers about it.
///
/// What the numbers of a `kind` mean is up to whoever records it. A ratio travels as its bits
/// ([`f64::to_bits`]), a duration as its nanoseconds.
///
/// ```
/// use relay_forensics::Record;
/// use std::time::Duration;
///
/// const LEVEL_CHANGED: u16 = 3;
/// let record = Record::new(LEVEL_CHANGED, Duration::from_secs(12))
///     .with_source(1)
///     .with_values(&[0, 1, 0.71_f64.to_bits()]);
/// assert_eq!(f64::from_bits(record.values[2]), 0.71);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// When, since an epoch of the writer's choice. Kept in nanoseconds, up to 584 years.
    pub at: Duration,
    /// What kind of thing.
    pub kind: u16,
    /// Which component.
    pub source: u16,
    /// A code or a count that most kinds have.
    pub detail: u32,
    /// Numbers, by kind.
    pub values: [u64; VALUES],
}

impl Record {
    /// A record of this kind, with everything else zero.
    pub const fn new(kind: u16, at: Duration) -> Self {
        Self {
            at,
            kind,
            source: 0,
            detail: 0,
            values: [0; VALUES],
        }
    }

    /// The same with a component.
    #[must_use]
    pub const fn with_source(mut self, source: u16) -> Self {
        self.source = source;
        self
    }

    /// The same with a code or count.
    #[must_use]
    pub const fn with_detail(mut self, detail: u32) -> Self {
        self.detail = detail;
        self
    }

    /// The same with these values first; what does not fit into [`VALUES`] is left out.
    #[must_use]
    pub fn with_values(mut self, values: &[u64]) -> Self {
        let count = values.len().min(VALUES);
        self.values[..count].copy_from_slice(&values[..count]);
        self
    }

    pub(crate) fn to_words(self) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        words[0] = u64::try_from(self.at.as_nanos()).unwrap_or(u64::MAX);
        words[1] =
            u64::from(self.kind) << 48 | u64::from(self.source) << 32 | u64::from(self.detail);
        words[2..].copy_from_slice(&self.values);
        words
    }

    pub(crate) fn from_words(words: &[u64; WORDS]) -> Self {
        let mut values = [0; VALUES];
        values.copy_from_slice(&words[2..]);
        Self {
            at: Duration::from_nanos(words[0]),
            kind: (words[1] >> 48) as u16,
            source: (words[1] >> 32) as u16,
            detail: words[1] as u32,
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_from_its_words() {
        let full = Record {
            at: Duration::from_nanos(u64::MAX - 1),
            kind: u16::MAX - 2,
            source: u16::MAX - 3,
            detail: u32::MAX - 4,
            values: std::array::from_fn(|n| u64::MAX - n as u64),
        };
        assert_eq!(Record::from_words(&full.to_words()), full);
        let none = Record::default();
        assert_eq!(Record::from_words(&none.to_words()), none);
    }

    #[test]
    fn a_time_beyond_nanoseconds_saturates_and_values_beyond_the_record_are_left_out() {
        let record = Record::new(1, Duration::MAX).with_values(&[7; VALUES + 5]);
        assert_eq!(record.values, [7; VALUES]);
        let back = Record::from_words(&record.to_words());
        assert_eq!(back.at, Duration::from_nanos(u64::MAX));
    }
}
