//! Bytes, and bytes per second.

use std::fmt;
use std::str::FromStr;

use super::UnitError;

/// A number of bytes; reads `256MiB`, `1.5GiB`, `64Mi`, `10MB`, and a bare `4096` as bytes.
///
/// ```
/// use relay_node::units::ByteSize;
///
/// let size: ByteSize = "256MiB".parse()?;
/// assert_eq!(size.bytes(), 268_435_456);
/// assert_eq!(size.to_string(), "256MiB");
/// # Ok::<(), relay_node::units::UnitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// A number of bytes per second; reads `1MiB/s`.
///
/// ```
/// use relay_node::units::ByteRate;
///
/// let rate: ByteRate = "1MiB/s".parse()?;
/// assert_eq!(rate.bytes_per_second(), 1_048_576);
/// # Ok::<(), relay_node::units::UnitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRate(u64);

const KI: u64 = 1 << 10;
const MI: u64 = 1 << 20;
const GI: u64 = 1 << 30;
const TI: u64 = 1 << 40;

const SIZE_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KiB", KI),
    ("MiB", MI),
    ("GiB", GI),
    ("TiB", TI),
    ("Ki", KI),
    ("Mi", MI),
    ("Gi", GI),
    ("Ti", TI),
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

// === impl ByteSize ===

impl ByteSize {
    /// A size of so many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size of so many kibibytes (1024 bytes each), saturating.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(KI))
    }

    /// A size of so many mebibytes (1024² bytes each), saturating.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(MI))
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The size for a reader, to one decimal where no unit divides it: `23.5GiB`.
    ///
    /// ```
    /// use relay_node::units::ByteSize;
    ///
    /// assert_eq!(ByteSize::from_bytes(25_276_510_208).rounded(), "23.5GiB");
    /// assert_eq!(ByteSize::from_mib(64).rounded(), "64MiB");
    /// ```
    pub fn rounded(self) -> String {
        let units = [("TiB", TI), ("GiB", GI), ("MiB", MI), ("KiB", KI)];
        match units.into_iter().find(|(_, scale)| self.0 >= *scale) {
            Some((unit, scale)) if !self.0.is_multiple_of(scale) => {
                format!("{:.1}{unit}", self.0 as f64 / scale as f64)
            }
            _ => self.to_string(),
        }
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(UnitError::Empty);
        }
        let split = text
            .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let scale = scale_of(unit.trim_start(), number)?;
        scaled(number, scale).map(Self)
    }
}

impl fmt::Display for ByteSize {
    /// The largest binary unit that divides the size exactly; `1000B` when none does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) = [("TiB", TI), ("GiB", GI), ("MiB", MI), ("KiB", KI)]
            .into_iter()
            .find(|(_, scale)| self.0 >= *scale && self.0.is_multiple_of(*scale))
            .unwrap_or(("B", 1));
        f.pad(&format!("{}{unit}", self.0 / scale))
    }
}

fn scale_of(unit: &str, number: &str) -> Result<u64, UnitError> {
    if number.is_empty() {
        return Err(UnitError::NotANumber);
    }
    SIZE_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, scale)| *scale)
        .ok_or_else(|| UnitError::UnknownUnit(unit.to_owned()))
}

/// Decimal arithmetic in integers: `0.1` of a unit is never one byte off.
fn scaled(number: &str, scale: u64) -> Result<u64, UnitError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| -> Result<u128, UnitError> {
        let plain: String = part.chars().filter(|c| *c != '_').collect();
        if plain.is_empty() || plain.contains('.') {
            return Err(UnitError::NotANumber);
        }
        plain.parse().map_err(|_| UnitError::TooLarge)
    };
    let fraction = fraction.trim_end_matches('0');
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    let places = u32::try_from(fraction.chars().filter(char::is_ascii_digit).count())
        .map_err(|_| UnitError::TooLarge)?;
    let divisor = 10_u128.checked_pow(places).ok_or(UnitError::TooLarge)?;
    let too_large = UnitError::TooLarge;
    let parts = digits(fraction)?
        .checked_mul(u128::from(scale))
        .ok_or(too_large.clone())?;
    if !parts.is_multiple_of(divisor) {
        return Err(UnitError::NotWhole);
    }
    digits(whole)?
        .checked_mul(u128::from(scale))
        .and_then(|bytes| bytes.checked_add(parts / divisor))
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or(too_large)
}

// === impl ByteRate ===

impl ByteRate {
    /// A rate of so many bytes per second.
    pub const fn from_bytes_per_second(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The rate in bytes per second.
    pub const fn bytes_per_second(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteRate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(UnitError::Empty);
        }
        let size = text.strip_suffix("/s").ok_or(UnitError::NotPerSecond)?;
        size.parse::<ByteSize>().map(|size| Self(size.bytes()))
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", ByteSize(self.0)))
    }
}
