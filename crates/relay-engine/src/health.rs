//! Which parts are well: one entry a component, written by whoever runs it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It works.
    Healthy,
    /// It works, but not as it should.
    Degraded(String),
    /// It does not work.
    Failed(String),
}

impl Health {
    /// The lower-case name of the state.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded(_) => "degraded",
            Self::Failed(_) => "failed",
        }
    }

    /// Why it is not healthy.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Degraded(reason) | Self::Failed(reason) => Some(reason),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            None => f.write_str(self.as_str()),
            Some(reason) => write!(f, "{}: {reason}", self.as_str()),
        }
    }
}

/// The health of every component; as many entries as there are components.
#[derive(Debug, Clone, Default)]
pub(crate) struct HealthRegistry(Arc<Mutex<BTreeMap<String, Health>>>);

impl HealthRegistry {
    pub(crate) fn set(&self, component: &impl fmt::Display, health: Health) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(component.to_string(), health);
    }

    pub(crate) fn all(&self) -> Vec<(String, Health)> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.iter()
            .map(|(name, health)| (name.clone(), health.clone()))
            .collect()
    }
}
