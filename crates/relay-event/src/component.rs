//! Who reports: a name with a fixed grammar, so that nothing has to be parsed out of free text.
//!
//! ```text
//! component    = "engine" | "bus:" name | "bus:" name ":sub:" number
//!              | "adapter:" name | "emitter:" name | "monitor:" name | "pool:" name
//! name         = one character or more; that of a bus alone has no ":sub:" in it
//! number       = 0 to 2^64 - 1, in digits, without leading zeros
//! ```

use std::fmt::{self, Write};
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

    /// Whether its name is `prefix`, or `prefix` and more after a `:`. So `bus:orders` takes in the bus and all of its
    /// subscriptions, `adapter` (or `adapter:`) takes in every adapter, and the empty prefix everything. Allocates nothing.
    ///
    /// ```
    /// use relay_event::Component;
    ///
    /// let subscription: Component = "bus:orders:sub:7".parse()?;
    /// assert!(subscription.is_within("bus:orders") && subscription.is_within("bus"));
    /// assert!(!subscription.is_within("bus:order"));
    /// # Ok::<(), relay_event::ParseComponentError>(())
    /// ```
    pub fn is_within(&self, prefix: &str) -> bool {
        let prefix = prefix.strip_suffix(':').unwrap_or(prefix);
        let mut compare = Compare {
            rest: Some(prefix),
            boundary: prefix.is_empty(),
        };
        // Stops at the first difference, or at the character after the prefix.
        let compared_all = write!(compare, "{self}").is_ok();
        compare.rest == Some("") && (compare.boundary || compared_all)
    }
}

/// Takes a text piece by piece, and compares it with a prefix.
struct Compare<'a> {
    /// What is left of the prefix; `None` once they differ.
    rest: Option<&'a str>,
    /// Whether a `:` follows the prefix.
    boundary: bool,
}

impl Write for Compare<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let rest = self.rest.ok_or(fmt::Error)?;
        if let Some(rest) = rest.strip_prefix(piece) {
            self.rest = Some(rest);
            return Ok(());
        }
        let after = piece.strip_prefix(rest);
        self.rest = after.map(|_| "");
        self.boundary |= after.is_some_and(|after| after.starts_with(':'));
        Err(fmt::Error)
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
            && let Some((bus, id)) = name.rsplit_once(":sub:")
        {
            // The id is the last part, as a bus may have any name; only the form that is written is read.
            return match id.parse::<u64>() {
                Ok(number) if !bus.is_empty() && number.to_string() == id => {
                    Ok(Self::Subscription {
                        bus: bus.into(),
                        id: number,
                    })
                }
                _ => Err(ParseComponentError(())),
            };
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
    use proptest::prelude::*;

    #[test]
    fn the_grammar_round_trips() {
        for text in [
            "engine",
            "bus:external",
            "bus:external:sub:7",
            "bus:a:sub:b:sub:0",
            "adapter:http",
            "adapter:http:8080",
            "emitter:file",
            "monitor:memory",
            "monitor:psi",
            "pool:adapter",
        ] {
            assert_eq!(text.parse::<Component>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_in_the_grammar_is_refused() {
        for text in [
            "",
            ":",
            "engines",
            "engine:",
            "Engine",
            "bus",
            "bus:",
            "bus::sub:1",
            "bus:x:sub:",
            "bus:x:sub:y",
            "bus:x:sub:+7",
            "bus:x:sub:07",
            "bus:x:sub:18446744073709551616",
            "adapter:",
            "thing:x",
        ] {
            assert!(text.parse::<Component>().is_err(), "{text:?}");
        }
    }

    fn component() -> impl Strategy<Value = Component> {
        let name = || "[a-z:é ]{1,12}".prop_map(Arc::<str>::from);
        prop_oneof![
            Just(Component::Engine),
            name().prop_map(Component::Bus),
            (name(), any::<u64>()).prop_map(|(bus, id)| Component::Subscription { bus, id }),
            name().prop_map(Component::Adapter),
            name().prop_map(Component::Emitter),
            name().prop_map(Component::Monitor),
            name().prop_map(Component::Pool),
        ]
    }

    proptest! {
        #[test]
        fn printed_and_parsed_is_the_same(component in component()) {
            prop_assert_eq!(component.to_string().parse(), Ok(component));
        }

        #[test]
        fn parsed_and_printed_is_the_same(text in "(engine|bus|pool|x)?:?[a:]{0,3}(:sub:)?[0-9+]{0,3}") {
            if let Ok(component) = text.parse::<Component>() {
                prop_assert_eq!(component.to_string(), text);
            }
        }

        #[test]
        fn within_is_a_prefix_of_whole_parts(component in component(), cut in 0_usize..40, prefix in "[a-z:]{0,8}") {
            let text = component.to_string();
            let cut = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(text.len());
            for prefix in [&text[..cut], &prefix] {
                let trimmed = prefix.strip_suffix(':').unwrap_or(prefix);
                let expected = trimmed.is_empty()
                    || text == trimmed
                    || text.strip_prefix(trimmed).is_some_and(|rest| rest.starts_with(':'));
                prop_assert_eq!(component.is_within(prefix), expected, "{} in {}", text, prefix);
            }
        }
    }
}
