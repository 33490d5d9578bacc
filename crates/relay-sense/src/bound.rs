//! A limit that may be absent, and may be unknown.

use crate::text;

/// From here on a number means "no limit". Cgroup v1 writes its absence as the largest signed number
/// rounded down to a page, which differs by page size; no machine has 4 EiB.
const UNLIMITED_FROM: u64 = 1 << 62;

/// An upper bound in bytes. *No limit*, *unknown* and *zero* are three different values.
///
/// ```
/// use relay_sense::Bound;
///
/// assert_eq!(Bound::Bytes(0).bytes(), Some(0));
/// assert_eq!(Bound::Unlimited.bytes(), None);
/// assert_ne!(Bound::Unlimited, Bound::Unknown);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bound {
    /// At most this many bytes. Zero is a limit like any other: do not divide by it.
    Bytes(u64),
    /// It was read, and there is no limit.
    Unlimited,
    /// It could not be read, so there may be one.
    Unknown,
}

impl Bound {
    /// The number of bytes, where there is one.
    pub const fn bytes(self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Unlimited | Self::Unknown => None,
        }
    }

    /// The tighter of two bounds that both hold.
    ///
    /// A number wins over the rest; of the rest, *unknown* wins, since a limit may hide behind it.
    ///
    /// ```
    /// use relay_sense::Bound;
    ///
    /// assert_eq!(Bound::Bytes(7).tighter(Bound::Unknown), Bound::Bytes(7));
    /// assert_eq!(Bound::Unlimited.tighter(Bound::Unknown), Bound::Unknown);
    /// ```
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Bytes(a), Self::Bytes(b)) => Self::Bytes(a.min(b)),
            (Self::Bytes(bytes), _) | (_, Self::Bytes(bytes)) => Self::Bytes(bytes),
            (Self::Unlimited, Self::Unlimited) => Self::Unlimited,
            _ => Self::Unknown,
        }
    }

    /// The tighter of two bounds of which an unknown one says nothing: its file is rightly missing.
    #[must_use]
    pub(crate) fn tighter_known(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, known) | (known, Self::Unknown) => known,
            (a, b) => a.tighter(b),
        }
    }

    /// Reads the text of a limit file: `max` or a number of bytes.
    pub(crate) fn parse(text: &[u8]) -> Self {
        match text.trim_ascii() {
            b"max" => Self::Unlimited,
            digits => text::number(digits).map_or(Self::Unknown, Self::from_kernel),
        }
    }

    /// A number the kernel printed, in which very large means "none".
    pub(crate) fn from_kernel(bytes: u64) -> Self {
        if bytes < UNLIMITED_FROM {
            Self::Bytes(bytes)
        } else {
            Self::Unlimited
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn h05_texts_of_limit_files() {
        let cases: [(&[u8], Bound); 12] = [
            (b"536870912\n", Bound::Bytes(536_870_912)),
            (b"536870912", Bound::Bytes(536_870_912)),
            (b"max\n", Bound::Unlimited),
            (b"9223372036854771712\n", Bound::Unlimited),
            (b"9223372036854710272\n", Bound::Unlimited),
            (b"9223372036854775807", Bound::Unlimited),
            (b"18446744073709551615", Bound::Unlimited),
            (b"0\n", Bound::Bytes(0)),
            (b"", Bound::Unknown),
            (b"\n", Bound::Unknown),
            (b"12 34", Bound::Unknown),
            (b"-1", Bound::Unknown),
        ];
        for (text, expected) in cases {
            assert_eq!(Bound::parse(text), expected, "{text:?}");
        }
    }

    fn any_bound() -> impl Strategy<Value = Bound> {
        prop_oneof![
            any::<u64>().prop_map(Bound::Bytes),
            Just(Bound::Unlimited),
            Just(Bound::Unknown)
        ]
    }

    proptest! {
        #[test]
        fn parse_takes_anything(text in any::<Vec<u8>>()) {
            let _ = Bound::parse(&text);
        }

        #[test]
        fn tighter_is_commutative_and_associative(
            (a, b, c) in (any_bound(), any_bound(), any_bound())
        ) {
            prop_assert_eq!(a.tighter(b), b.tighter(a));
            prop_assert_eq!(a.tighter(b).tighter(c), a.tighter(b.tighter(c)));
        }
    }
}
