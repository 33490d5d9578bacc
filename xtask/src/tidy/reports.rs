//! No error code and no signal that nothing emits: each stands in the product, apart from where it is defined, and in a
//! test that looks for it, by name or as it is written in logs.

use super::Finding;
use super::source::{is_product, product_lines};

const CODES: &str = "crates/relay-event/src/code.rs";
const SIGNALS: &str = "crates/relay-event/src/report.rs";

/// Checks all files together; each is a path relative to the workspace and a text.
pub(super) fn check(files: &[(String, String)]) -> Vec<Finding> {
    let text_of = |wanted: &str| {
        let file = files.iter().find(|(path, _)| path == wanted);
        file.map_or("", |(_, text)| text)
    };
    let codes = codes(text_of(CODES)).map(|(name, written)| ("Code", name, written, CODES));
    let signals = signals(text_of(SIGNALS)).map(|name| ("Signal", name, "", SIGNALS));
    let all: Vec<_> = codes.chain(signals).collect();
    if all.is_empty() {
        return vec![format!("{CODES}: no code was found")];
    }
    let mut findings = Vec::new();
    for (kind, name, written, home) in all {
        let word = format!("{kind}::{name}");
        let emits = |(path, text): &(String, String)| {
            let lines = || product_lines(text).map(|(_, line)| line);
            path != home && is_product(path) && lines().any(|line| mentions(line, &word))
        };
        let looks = |(path, text): &(String, String)| {
            let tests = tests_of(path, text);
            mentions(tests, &word) || (!written.is_empty() && mentions(tests, written))
        };
        if !files.iter().any(emits) {
            findings.push(format!("{home}: nothing emits {word}"));
        }
        if !files.iter().any(looks) {
            findings.push(format!("{home}: no test looks for {word}"));
        }
    }
    findings
}

/// The variants in the registry: `Name = "NAME", …`.
fn codes(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let registry = text.split_once("\ncodes! {").map_or("", |(_, rest)| rest);
    let registry = registry.split_once("\n}").map_or("", |(inside, _)| inside);
    registry.lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(" = ")?;
        let (written, _) = rest.strip_prefix('"')?.split_once('"')?;
        Some((name, written))
    })
}

/// The variants of `enum Signal`; none is what every event has that sets none.
fn signals(text: &str) -> impl Iterator<Item = &str> {
    let inside = text.split_once("\npub enum Signal {");
    let inside = inside.and_then(|(_, rest)| rest.split_once("\n}"));
    let lines = inside.map_or("", |(inside, _)| inside).lines();
    lines
        .filter_map(|line| line.trim().strip_suffix(','))
        .filter(|name| *name != "None")
}

fn tests_of<'a>(path: &str, text: &'a str) -> &'a str {
    if !is_product(path) {
        return text;
    }
    text.find("#[cfg(test)]\nmod ").map_or("", |at| &text[at..])
}

/// Whether `text` has `word` with no letter behind it.
fn mentions(text: &str, word: &str) -> bool {
    let mut ends = text.match_indices(word).map(|(at, _)| at + word.len());
    ends.any(|end| !text[end..].starts_with(|c: char| c.is_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(product: &str, tests: &str) -> Vec<(String, String)> {
        let codes = "macro_rules! codes {}\ncodes! {\n    /// One.\n    Low = \"LOW\", \"low\", \"x\";\n    \
                     LowEnd = \"LOW_END\", \"low_end\", \"x\";\n}\n";
        let signals =
            "\npub enum Signal {\n    /// Nothing.\n    None,\n    /// Less.\n    Shed,\n}\n";
        [
            (CODES, codes),
            (SIGNALS, signals),
            ("crates/a/src/a.rs", product),
            ("crates/a/tests/a.rs", tests),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into()
    }

    #[test]
    fn what_nothing_emits_or_no_test_looks_for_is_a_finding() {
        let all = "Code::Low Code::LowEnd Signal::Shed";
        assert_eq!(check(&files(all, all)), [""; 0]);
        assert_eq!(
            check(&files("Code::LowEnd // Code::Low\nSignal::Shed", all)),
            ["crates/relay-event/src/code.rs: nothing emits Code::Low"]
        );
        assert_eq!(
            check(&files(all, "Code::Low Code::LowEnd")),
            ["crates/relay-event/src/report.rs: no test looks for Signal::Shed"]
        );
        let written = "Code::Low LOW_END Signal::Shed";
        assert_eq!(check(&files(all, written)), [""; 0]);
        assert_eq!(check(&[]).len(), 1);
    }
}
