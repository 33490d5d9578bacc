//! Who reports: a name with a fixed grammar, so that nothing has to be parsed out of free text.
//!
//! `engine`, `bus:<name>`, `bus:<name>:sub:<id>`, `adapter:<id>`, `emitter:<id>`, `monitor:<name>`, `pool:<name>`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The component that an error event is about. Cloning is one reference count at most.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Component {
    /// The engine itself.
    Engine,
    /// A bus.
    Bus(Arc<str>),
    /// A subscription of a bus.
    Subscription {
        /// The bus.
        bus: Arc<str>,
        /// The number of the subscription.
        id: u64,
    },
    /// An adapter.
    Adapter(Arc<str>),
    /// An emitter.
    Emitter(Arc<str>),
    /// A monitor, such as `memory`.
    Monitor(Arc<str>),
    /// A pool of workers.
    Pool(Arc<str>),
}

impl Component {
    /// An adapter of this id.
    pub fn adapter(id: impl Into<Arc<str>>) -> Self {
        Self::Adapter(id.into())
    }

    /// An emitter of this id.
    pub fn emitter(id: impl Into<Arc<str>>) -> Self {
        Self::Emitter(id.into())
    }

    /// A monitor of this name.
    pub fn monitor(name: impl Into<Arc<str>>) -> Self {
        Self::Monitor(name.into())
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => f.write_str("engine"),
            Self::Bus(name) => write!(f, "bus:{name}"),
            Self::Subscription { bus, id } => write!(f, "bus:{bus}:sub:{id}"),
            Self::Adapter(id) => write!(f, "adapter:{id}"),
            Self::Emitter(id) => write!(f, "emitter:{id}"),
            Self::Monitor(name) => write!(f, "monitor:{name}"),
            Self::Pool(name) => write!(f, "pool:{name}"),
        }
    }
}

/// The text does not follow the grammar of component names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseComponentError(());

impl fmt::Display for ParseComponentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a component: expected engine, bus:<name>, bus:<name>:sub:<id>, adapter:<id>, emitter:<id>, \
             monitor:<name> or pool:<name>",
        )
    }
}

impl std::error::Error for ParseComponentError {}

impl FromStr for Component {
    type Err = ParseComponentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "engine" {
            return Ok(Self::Engine);
        }
        let (kind, name) = text.split_once(':').ok_or(ParseComponentError(()))?;
        if kind == "bus"
            && let Some((bus, id)) = name.split_once(":sub:")
        {
            let id = id.parse().map_err(|_| ParseComponentError(()))?;
            return Ok(Self::Subscription {
                bus: bus.into(),
                id,
            });
        }
        if name.is_empty() {
            return Err(ParseComponentError(()));
        }
        match kind {
            "bus" => Ok(Self::Bus(name.into())),
            "adapter" => Ok(Self::adapter(name)),
            "emitter" => Ok(Self::emitter(name)),
            "monitor" => Ok(Self::monitor(name)),
            "pool" => Ok(Self::Pool(name.into())),
            _ => Err(ParseComponentError(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_round_trips() {
        for text in [
            "engine",
            "bus:external",
            "bus:external:sub:7",
            "adapter:http",
            "emitter:file",
            "monitor:memory",
            "pool:adapter",
        ] {
            assert_eq!(text.parse::<Component>().unwrap().to_string(), text);
        }
        for text in ["", "engines", "bus:", "adapter:", "bus:x:sub:y", "thing:x"] {
            assert!(text.parse::<Component>().is_err(), "{text:?}");
        }
    }
}
