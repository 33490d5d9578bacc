//! Shares of a whole.

use std::fmt;
use std::str::FromStr;

use super::{ByteSize, UnitError};

/// A share of a whole, 0 to 1; reads `70%` and `0.7`, prints `70%`.
///
/// ```
/// use relay_node::units::Ratio;
///
/// let setpoint: Ratio = "65%".parse()?;
/// assert_eq!(setpoint.get(), 0.65);
/// assert!("65".parse::<Ratio>().is_err());
/// # Ok::<(), relay_node::units::UnitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Ratio(f64);

// === impl Ratio ===

impl Ratio {
    /// `percent` hundredths, at most 100.
    pub const fn percent(percent: u8) -> Self {
        let percent = if percent > 100 { 100 } else { percent };
        Self(percent as f64 / 100.0)
    }

    /// `None` for anything outside 0 to 1, NaN included.
    pub fn new(share: f64) -> Option<Self> {
        // Adding zero turns -0.0 into 0.0, which prints without a sign.
        (0.0..=1.0).contains(&share).then_some(Self(share + 0.0))
    }

    /// The share, 0.0 to 1.0.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// This share of `bytes`, rounded down.
    ///
    /// ```
    /// use relay_node::units::{ByteSize, Ratio};
    ///
    /// assert_eq!(Ratio::percent(70).of(ByteSize::from_bytes(100)).bytes(), 70);
    /// ```
    #[must_use]
    pub fn of(self, bytes: ByteSize) -> ByteSize {
        ByteSize::from_bytes((bytes.bytes() as f64 * self.0) as u64)
    }
}

impl FromStr for Ratio {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(UnitError::Empty);
        }
        let (number, divisor) = match text.strip_suffix('%') {
            Some(percent) => (percent.trim_end(), 100.0),
            None => (text, 1.0),
        };
        let number: f64 = number.parse().map_err(|_| UnitError::NotANumber)?;
        if !number.is_finite() || number < 0.0 {
            return Err(UnitError::NotANumber);
        }
        Self::new(number / divisor).ok_or(UnitError::AboveOne)
    }
}

impl fmt::Display for Ratio {
    /// As a percentage where that is exact to ten digits, else as a plain fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.0 * 1e12).round() / 1e10;
        let text = format!("{percent}%");
        match text.parse::<Ratio>() {
            Ok(back) if back == *self => f.pad(&text),
            _ => f.pad(&format!("{}", self.0)),
        }
    }
}
