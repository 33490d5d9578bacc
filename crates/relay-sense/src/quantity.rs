//! Amounts of memory as people type them: `256MiB`, `0.8`, `off`.
//!
//! One reader for every text of this crate, whether it comes from the environment or from a caller.
//! Units are those of IEC 80000-13 (`KiB` = 1024 bytes, also Go's `GOMEMLIMIT`) and SI (`kB` = 1000
//! bytes), plus the short forms of Kubernetes manifests (`64Mi`, `1G`). Their case counts: a lower
//! `m` means mebibytes to docker and thousandths to Kubernetes, so it is refused rather than guessed.

use std::str::FromStr;

/// How much memory a text allows.
///
/// ```
/// use relay_sense::Quantity;
///
/// assert_eq!("750MiB".parse(), Ok(Quantity::Bytes(786_432_000)));
/// assert_eq!("off".parse(), Ok(Quantity::Unlimited));
/// let Ok(Quantity::Share(share)) = "80%".parse() else { panic!() };
/// assert_eq!(share.of(1000), 800);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// So many bytes: a number, with a unit or without.
    Bytes(u64),
    /// A part of what is there: `0.8` or `80%`. What tells a ratio from a size is the point without a
    /// unit; `1` is one byte.
    Share(Share),
    /// `off` or `max`: no limit.
    Unlimited,
}

/// A part of a whole, more than nothing and at most all of it; exact, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    numerator: u64,
    denominator: u64,
}

/// Why a text is no amount of memory: a fragment that reads well after a colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// Nothing was given.
    #[error("the value is empty")]
    Empty,
    /// Not a number at all, or a negative one.
    #[error("not a number of 0 or more")]
    NotANumber,
    /// A number and a unit that does not exist.
    #[error("unknown unit, expected B, KiB, MiB, GiB, TiB, kB, MB, GB or TB")]
    UnknownUnit,
    /// More than a `u64` holds.
    #[error("the number is too large")]
    TooLarge,
    /// A fraction that does not end on a byte.
    #[error("not a whole number of bytes")]
    NotWhole,
    /// A ratio of nothing or of more than all.
    #[error("a ratio lies above 0 and is at most 1.0 or 100%; a size needs a unit, such as 1.5GiB")]
    NotAShare,
}

/// Name and factor of every unit.
const UNITS: [(&str, u64); 19] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

/// A decimal number, `units / 10^places`.
struct Decimal {
    units: u64,
    scale: u64,
}

/// Reads a size in bytes: `256MiB`, `1.5GiB`, `4096`. A fraction of a byte is left off, so that a
/// limit is never larger than what was written.
///
/// ```
/// assert_eq!(relay_sense::parse_size("200MiB"), Ok(209_715_200));
/// assert_eq!(relay_sense::parse_size("1.1KiB"), Ok(1126));
/// assert!(relay_sense::parse_size("12x").is_err());
/// ```
///
/// # Errors
///
/// When the number or its unit is missing, unknown, or does not fit a `u64`.
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    let (number, unit) = split(text)?;
    scaled(&number, unit)
}

fn scaled(number: &Decimal, unit: &str) -> Result<u64, QuantityError> {
    let factor = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, factor) = factor.ok_or(QuantityError::UnknownUnit)?;
    if *factor == 1 && number.scale > 1 {
        return Err(QuantityError::NotWhole);
    }
    let bytes = u128::from(number.units) * u128::from(*factor) / u128::from(number.scale);
    u64::try_from(bytes).map_err(|_| QuantityError::TooLarge)
}

/// Takes a text apart into number and unit.
fn split(text: &str) -> Result<(Decimal, &str), QuantityError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(QuantityError::Empty);
    }
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Ok((number.parse()?, unit.trim_start()))
}

// === impl Quantity ===

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if matches!(text.trim(), "off" | "max") {
            return Ok(Self::Unlimited);
        }
        match split(text)? {
            (number, "%") => Share::try_new(number.units, number.scale.checked_mul(100)),
            (number, "") if text.contains('.') => Share::try_new(number.units, Some(number.scale)),
            (number, unit) => return scaled(&number, unit).map(Self::Bytes),
        }
        .map(Self::Share)
    }
}

// === impl Share ===

impl Share {
    fn try_new(numerator: u64, denominator: Option<u64>) -> Result<Self, QuantityError> {
        let denominator = denominator.ok_or(QuantityError::TooLarge)?;
        if numerator == 0 || numerator > denominator {
            return Err(QuantityError::NotAShare);
        }
        Ok(Self {
            numerator,
            denominator,
        })
    }

    /// This part of so many bytes, rounded down.
    pub fn of(self, bytes: u64) -> u64 {
        let part = u128::from(bytes) * u128::from(self.numerator) / u128::from(self.denominator);
        // At most `bytes`, since a share is at most one.
        u64::try_from(part).unwrap_or(bytes)
    }
}

// === impl Decimal ===

impl FromStr for Decimal {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
            return Err(QuantityError::NotANumber);
        }
        let fraction = fraction.trim_end_matches('0');
        let places = u32::try_from(fraction.len()).map_err(|_| QuantityError::TooLarge)?;
        let scale = 10_u64.checked_pow(places).ok_or(QuantityError::TooLarge)?;
        let digits = |digits: &str| match digits {
            "" => Ok(0),
            // Only digits are left, so all that can go wrong is their number.
            digits => digits.parse::<u64>().map_err(|_| QuantityError::TooLarge),
        };
        let units = digits(whole)?
            .checked_mul(scale)
            .and_then(|units| units.checked_add(digits(fraction).ok()?))
            .ok_or(QuantityError::TooLarge)?;
        Ok(Self { units, scale })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(numerator: u64, denominator: u64) -> Quantity {
        Quantity::Share(Share {
            numerator,
            denominator,
        })
    }

    #[test]
    fn case_59_texts_of_people() {
        let cases = [
            ("750MiB", Ok(Quantity::Bytes(786_432_000))),
            ("200MiB", Ok(Quantity::Bytes(209_715_200))),
            (" 64 Mi ", Ok(Quantity::Bytes(64 << 20))),
            ("1.5GiB", Ok(Quantity::Bytes(3 << 29))),
            ("1.1GiB", Ok(Quantity::Bytes(1_181_116_006))),
            ("10MB", Ok(Quantity::Bytes(10_000_000))),
            ("1", Ok(Quantity::Bytes(1))),
            ("0", Ok(Quantity::Bytes(0))),
            ("18446744073709551615", Ok(Quantity::Bytes(u64::MAX))),
            ("0.8", Ok(share(8, 10))),
            ("1.0", Ok(share(1, 1))),
            ("80%", Ok(share(80, 100))),
            ("33.3%", Ok(share(333, 1000))),
            ("off", Ok(Quantity::Unlimited)),
            ("max\n", Ok(Quantity::Unlimited)),
            ("", Err(QuantityError::Empty)),
            ("  ", Err(QuantityError::Empty)),
            ("12x", Err(QuantityError::UnknownUnit)),
            ("512m", Err(QuantityError::UnknownUnit)),
            ("-1", Err(QuantityError::NotANumber)),
            ("MiB", Err(QuantityError::NotANumber)),
            (".5", Err(QuantityError::NotANumber)),
            ("5.", Err(QuantityError::NotANumber)),
            ("1.2.3MiB", Err(QuantityError::NotANumber)),
            ("0.0", Err(QuantityError::NotAShare)),
            ("1.5", Err(QuantityError::NotAShare)),
            ("101%", Err(QuantityError::NotAShare)),
            ("18446744073709551616", Err(QuantityError::TooLarge)),
            ("16777216TiB", Err(QuantityError::TooLarge)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_size_is_neither_a_share_nor_a_word() {
        for text in ["80%", "off", "max", "0.8", "0.8B"] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
        assert_eq!(parse_size("0.8KiB"), Ok(819));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,40}|[0-9.]{0,45}[A-Za-z%]{0,5}") {
            let _ = text.parse::<Quantity>();
            let _ = parse_size(&text);
        }

        #[test]
        fn a_share_never_exceeds_the_whole(thousandths in 1_u64..=1000, bytes: u64) {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            let Ok(Quantity::Share(share)) = text.parse() else { panic!("{text}") };
            prop_assert!(share.of(bytes) <= bytes);
            prop_assert_eq!(share.of(1000), thousandths);
        }

        #[test]
        fn bytes_read_back(bytes: u64) {
            prop_assert_eq!(parse_size(&bytes.to_string()), Ok(bytes));
            prop_assert_eq!(parse_size(&format!("{bytes} B")), Ok(bytes));
        }
    }
}
