//! What is wrong with a configuration, all of it at once.

use std::fmt;

use super::origin::Origin;

/// One mistake: where, which field, what was found, what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// File and position, variable or flag that holds the mistake.
    pub origin: Origin,
    /// Path of the field, such as `control.ladder.error`; empty when no field is concerned.
    pub path: String,
    /// What was found, secrets masked.
    pub value: Option<String>,
    /// What is wrong with it.
    pub message: String,
    /// What would be accepted.
    pub allowed: Option<String>,
    /// The known name nearest to an unknown one.
    pub nearest: Option<String>,
}

/// Something legal that the operator probably wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Where it comes from.
    pub origin: Origin,
    /// What to know, and what to do about it.
    pub message: String,
}

/// A configuration that cannot be used: every mistake in it, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.listing())]
pub struct InvalidConfig {
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

// === impl Problem ===

impl Problem {
    pub(crate) fn new(origin: Origin, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            origin,
            path: path.into(),
            value: None,
            message: message.into(),
            allowed: None,
            nearest: None,
        }
    }

    pub(crate) fn value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }

    pub(crate) fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    pub(crate) fn nearest(mut self, nearest: Option<String>) -> Self {
        self.nearest = nearest;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.path.is_empty() {
            f.write_str(&self.path)?;
            if let Some(value) = &self.value {
                write!(f, " = {value}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)?;
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean `{nearest}`?")?;
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "; allowed: {allowed}")?;
        }
        Ok(())
    }
}

// === impl Warning ===

impl Warning {
    pub(crate) fn new(origin: Origin, message: impl Into<String>) -> Self {
        Self {
            origin,
            message: message.into(),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

// === impl InvalidConfig ===

impl InvalidConfig {
    pub(crate) fn new(mut problems: Vec<Problem>, warnings: Vec<Warning>) -> Self {
        problems.sort_by(|a, b| a.origin.cmp(&b.origin));
        problems.dedup();
        Self { problems, warnings }
    }

    /// Every mistake, those of the file first and in its order.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What was noticed besides.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    fn listing(&self) -> String {
        let lines: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        lines.join("\n")
    }
}
