//! What the environment says about limits.
//!
//! The crate reads no environment: it is handed a lookup, so that a test, or a machine made of a
//! folder, has an environment of its own.

use crate::{Quantity, parse_size};

/// The variables that set a hard limit. All of them count, so the smallest wins.
pub(crate) const LIMITS: [&str; 3] = ["RELAY_MEMORY_LIMIT_BYTES", "MEMORY_LIMIT_BYTES", ALIAS];

/// Understood for those who have it set already.
const ALIAS: &str = "MEMORY_LIMIT";

/// The soft limit of the Go runtime, in its text (`200MiB`, `off`), for those who set one already.
/// Source: Go, package `runtime`, "Environment Variables".
pub(crate) const SOFT: &str = "GOMEMLIMIT";

/// How a caller lets this crate look up a variable.
pub(crate) type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A hard limit and the variable that sets it.
pub(crate) type Named = (&'static str, Quantity);

/// The hard limits that are set; what cannot be understood becomes a note, and sets none.
pub(crate) fn limits(lookup: &Lookup<'_>, notes: &mut Vec<String>) -> Vec<Named> {
    let mut found = Vec::new();
    for name in LIMITS {
        let Some(text) = given(lookup, name) else {
            continue;
        };
        if name == ALIAS {
            notes.push(format!("{ALIAS} is deprecated: set MEMORY_LIMIT_BYTES"));
        }
        match text.parse() {
            Ok(Quantity::Unlimited) => {}
            Ok(Quantity::Bytes(0)) => notes.push(format!(
                "{name}={text:?} ignored: nothing can run in 0 bytes; leave it out for no limit"
            )),
            Ok(quantity) => found.push((name, quantity)),
            Err(error) => notes.push(format!("error: {name}={text:?} ignored: {error}")),
        }
    }
    found
}

/// The soft limit that is set, in bytes.
pub(crate) fn soft(lookup: &Lookup<'_>, notes: &mut Vec<String>) -> Option<u64> {
    let text = given(lookup, SOFT)?;
    if text == "off" {
        return None;
    }
    match parse_size(&text) {
        Ok(0) => {
            notes.push(format!(
                "{SOFT}={text:?} ignored: everything lies above 0 bytes"
            ));
            None
        }
        Ok(bytes) => Some(bytes),
        Err(error) => {
            notes.push(format!("error: {SOFT}={text:?} ignored: {error}"));
            None
        }
    }
}

/// The text of a variable; empty means unset.
fn given(lookup: &Lookup<'_>, name: &str) -> Option<String> {
    let text = lookup(name)?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits_of(pairs: &[(&str, &str)]) -> (Vec<Named>, Vec<String>) {
        let mut notes = Vec::new();
        let lookup = |name: &str| {
            let pair = pairs.iter().find(|(key, _)| *key == name)?;
            Some(pair.1.to_owned())
        };
        (limits(&lookup, &mut notes), notes)
    }

    #[test]
    fn h07_each_variable_counts() {
        let (found, notes) = limits_of(&[
            ("MEMORY_LIMIT_BYTES", "1000"),
            ("RELAY_MEMORY_LIMIT_BYTES", "2kB"),
        ]);
        let expected = [
            ("RELAY_MEMORY_LIMIT_BYTES", Quantity::Bytes(2000)),
            ("MEMORY_LIMIT_BYTES", Quantity::Bytes(1000)),
        ];
        assert_eq!(
            (found.as_slice(), notes.as_slice()),
            (&expected[..], &[][..])
        );
    }

    #[test]
    fn h08_the_old_name_counts_and_is_called_old() {
        let (found, notes) = limits_of(&[("MEMORY_LIMIT", "1kB")]);
        assert_eq!(found, [("MEMORY_LIMIT", Quantity::Bytes(1000))]);
        assert!(notes[0].contains("MEMORY_LIMIT is deprecated"), "{notes:?}");
    }

    #[test]
    fn case_59_words_set_nothing_and_mistakes_are_told() {
        for text in ["off", "max", "", " "] {
            assert_eq!(
                limits_of(&[("MEMORY_LIMIT_BYTES", text)]),
                (vec![], vec![]),
                "{text:?}"
            );
        }
        for text in ["12x", "-1", "0", "1.5"] {
            let (found, notes) = limits_of(&[("MEMORY_LIMIT_BYTES", text)]);
            assert!(
                found.is_empty() && notes[0].contains("ignored"),
                "{text:?}: {notes:?}"
            );
        }
    }

    #[test]
    fn h06_the_text_of_gomemlimit() {
        let read = |text: &str| {
            let mut notes = Vec::new();
            let text = text.to_owned();
            let found = soft(&|name| (name == SOFT).then(|| text.clone()), &mut notes);
            (found, notes.len())
        };
        assert_eq!(read("200MiB"), (Some(200 << 20), 0));
        assert_eq!(read("209715200"), (Some(200 << 20), 0));
        assert_eq!(read("off"), (None, 0));
        assert_eq!(read(""), (None, 0));
        for ignored in ["0", "0.8", "lots"] {
            assert_eq!(read(ignored), (None, 1), "{ignored:?}");
        }
    }
}
