//! A configuration that cannot work.

use std::fmt;

/// A setting that cannot work: which, its value, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidConfig {
    /// The name of the field.
    pub field: &'static str,
    /// Its value, secrets masked.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

impl InvalidConfig {
    pub(crate) fn new(
        field: &'static str,
        value: impl fmt::Display,
        allowed: &'static str,
    ) -> Self {
        Self {
            field,
            value: value.to_string(),
            allowed,
        }
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}: {}", self.field, self.value, self.allowed)
    }
}

impl std::error::Error for InvalidConfig {}
