//! What a configuration check answers when a value is not allowed.

use std::fmt::{Debug, Display};

/// A configuration value that a law refuses.
///
/// It names the field (dotted, as in `ladder.warning`), the value that was found, and what is
/// allowed there, so that it can be shown to a person as it is.
///
/// ```
/// use relay_control::{Ladder, LadderConfig};
///
/// let error = Ladder::try_new(LadderConfig { warning: 0.95, ..LadderConfig::early() }).unwrap_err();
/// assert_eq!(error.field, "ladder.warning");
/// assert_eq!(
///     error.to_string(),
///     "ladder.warning = 0.95 is not allowed: must be above ladder.relief (0.55) and below ladder.error (0.85)",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value} is not allowed: {allowed}")]
pub struct InvalidConfig {
    /// Which field, dotted from the law's name.
    pub field: &'static str,
    /// What was found there.
    pub value: String,
    /// What may stand there, the neighbours it depends on included.
    pub allowed: String,
}

impl InvalidConfig {
    fn new(field: &'static str, value: &impl Debug, allowed: impl Display) -> Self {
        Self {
            field,
            value: format!("{value:?}"),
            allowed: allowed.to_string(),
        }
    }
}

/// Passes when `holds`; the texts are only built when it does not.
pub(crate) fn require(
    holds: bool,
    field: &'static str,
    value: &impl Debug,
    allowed: impl Display,
) -> Result<(), InvalidConfig> {
    if holds {
        Ok(())
    } else {
        Err(InvalidConfig::new(field, value, allowed))
    }
}
