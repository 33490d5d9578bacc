//! Kinds of values: how each is read from what was written, printed back, and described.

pub(crate) mod list;
pub(crate) mod number;
pub(crate) mod rules;
pub(crate) mod text;

use super::raw::RawValue;

/// How one field's value is read.
pub(crate) trait Kind {
    /// What comes out.
    type Value;

    /// The value, or what is wrong as a fragment that reads well after a colon.
    fn read(&self, raw: &RawValue) -> Result<Self::Value, String>;

    /// The value as a TOML literal, secrets masked.
    fn show(&self, value: &Self::Value) -> String;

    /// What is accepted.
    fn allowed(&self) -> String;

    /// A wrong value as it may be printed.
    fn show_wrong(&self, raw: &RawValue) -> String {
        raw.to_string()
    }
}

/// A value that Relay derives from what it finds, unless one is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auto<T> {
    /// `"auto"`: derive it.
    Auto,
    /// Exactly this.
    Fixed(T),
}

impl<T> Auto<T> {
    /// The given value, if one was given.
    pub fn fixed(self) -> Option<T> {
        match self {
            Self::Auto => None,
            Self::Fixed(value) => Some(value),
        }
    }
}

/// `"auto"` or what the inner kind reads.
pub(crate) struct AutoOr<K>(pub(crate) K);

/// `"none"` or what the inner kind reads.
pub(crate) struct NoneOr<K>(pub(crate) K);

/// True or false.
pub(crate) struct Switch;

/// One of a few words.
pub(crate) struct Choice<T: 'static>(pub(crate) &'static [(&'static str, T)]);

/// The sentence for a value of another type.
pub(crate) fn not_a(expected: &str, raw: &RawValue) -> String {
    format!("expected {expected}, found {}", raw.type_name())
}

// === impl AutoOr ===

impl<K: Kind> Kind for AutoOr<K> {
    type Value = Auto<K::Value>;

    fn read(&self, raw: &RawValue) -> Result<Self::Value, String> {
        if raw.text() == Some("auto") {
            return Ok(Auto::Auto);
        }
        self.0.read(raw).map(Auto::Fixed)
    }

    fn show(&self, value: &Self::Value) -> String {
        match value {
            Auto::Auto => "\"auto\"".to_owned(),
            Auto::Fixed(value) => self.0.show(value),
        }
    }

    fn allowed(&self) -> String {
        format!("\"auto\", or {}", self.0.allowed())
    }

    fn show_wrong(&self, raw: &RawValue) -> String {
        self.0.show_wrong(raw)
    }
}

// === impl NoneOr ===

impl<K: Kind> Kind for NoneOr<K> {
    type Value = Option<K::Value>;

    fn read(&self, raw: &RawValue) -> Result<Self::Value, String> {
        if raw.text() == Some("none") {
            return Ok(None);
        }
        self.0.read(raw).map(Some)
    }

    fn show(&self, value: &Self::Value) -> String {
        match value {
            None => "\"none\"".to_owned(),
            Some(value) => self.0.show(value),
        }
    }

    fn allowed(&self) -> String {
        format!("\"none\", or {}", self.0.allowed())
    }

    fn show_wrong(&self, raw: &RawValue) -> String {
        self.0.show_wrong(raw)
    }
}

// === impl Switch ===

impl Kind for Switch {
    type Value = bool;

    fn read(&self, raw: &RawValue) -> Result<bool, String> {
        match raw {
            RawValue::Boolean(yes) => Ok(*yes),
            RawValue::Loose(text) => text
                .parse()
                .map_err(|_| "neither true nor false".to_owned()),
            other => Err(not_a("a boolean", other)),
        }
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        "true, false".to_owned()
    }
}

// === impl Choice ===

impl<T: Clone + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn read(&self, raw: &RawValue) -> Result<T, String> {
        let text = raw.text().ok_or_else(|| not_a("a string", raw))?;
        if let Some((_, value)) = self.0.iter().find(|(word, _)| *word == text) {
            return Ok(value.clone());
        }
        let near = super::nearest::of(text, self.0.iter().map(|(word, _)| *word));
        Err(match near {
            Some(word) => format!("no such choice; did you mean \"{word}\"?"),
            None => "no such choice".to_owned(),
        })
    }

    fn show(&self, value: &T) -> String {
        let word = self
            .0
            .iter()
            .find(|(_, known)| known == value)
            .map_or("", |(word, _)| word);
        format!("\"{word}\"")
    }

    fn allowed(&self) -> String {
        let words: Vec<String> = self
            .0
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        words.join(", ")
    }
}
