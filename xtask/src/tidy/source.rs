//! What must not stand in a source file: a rule is a folder, a few words and a reason.

use super::Finding;

/// Files longer than this hold more than one idea.
const LINES_MAX: usize = 400;

struct Rule {
    /// Whether the rule holds for a file of this path.
    applies: fn(&str) -> bool,
    words: &'static [&'static str],
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        applies: |_| true,
        words: &[
            "unbounded_channel",
            "UnboundedSender",
            "UnboundedReceiver",
            "flume::unbounded",
            "channel::unbounded",
            "mpsc::unbounded",
            "mpsc::channel()",
        ],
        reason: "every queue is bounded",
    },
    Rule {
        applies: |path| !path.starts_with("crates/relay-node/"),
        words: &["env::var", "process::exit"],
        reason: "only relay-node reads the environment or exits",
    },
    Rule {
        applies: |path| path.starts_with("crates/relay-control/"),
        words: &[
            "Instant::now",
            "SystemTime::now",
            "std::fs",
            "thread::",
            "fastrand",
        ],
        reason: "laws have no clock, dice, files or threads",
    },
    Rule {
        applies: |_| true,
        words: &["todo!(", "unimplemented!(", "dbg!("],
        reason: "unfinished work",
    },
];

/// Checks one file; `path` is relative to the workspace. Tests, examples and comments are free.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    if !is_product(path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let lines = product_lines(text).count();
    if lines > LINES_MAX {
        findings.push(format!(
            "{path}: {lines} lines before its tests, more than {LINES_MAX}"
        ));
    }
    let rules: Vec<_> = RULES.iter().filter(|rule| (rule.applies)(path)).collect();
    for (index, line) in product_lines(text) {
        for rule in &rules {
            if let Some(word) = rule.words.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{path}:{}: `{word}`: {}", index + 1, rule.reason));
            }
        }
    }
    findings
}

pub(super) fn is_product(path: &str) -> bool {
    path.contains("/src/") && !path.contains("/tests/") && !path.ends_with("/tests.rs")
}

/// Lines of code before the file's own test module, without comments.
pub(super) fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let code = text[..end].lines().enumerate();
    code.map(|(index, line)| (index, line.split("//").next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: &str = "//! `todo!()` in a comment is fine.\n\
        use tokio::sync::mpsc::unbounded_channel;\n\
        fn f() { let _ = Instant::now(); std::env::var(\"X\").ok(); } // dbg!(1)\n\
        fn g() { todo!() }\n\
        #[cfg(test)]\nmod tests { fn t() { todo!() } }\n";

    #[test]
    fn each_rule_finds_its_line() {
        let found = check("crates/relay-control/src/bad.rs", BAD);
        let expected = [
            "crates/relay-control/src/bad.rs:2: `unbounded_channel`: every queue is bounded",
            "crates/relay-control/src/bad.rs:3: `env::var`: \
             only relay-node reads the environment or exits",
            "crates/relay-control/src/bad.rs:3: `Instant::now`: \
             laws have no clock, dice, files or threads",
            "crates/relay-control/src/bad.rs:4: `todo!(`: unfinished work",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn rules_end_where_their_crate_ends() {
        let found = check("crates/relay-node/src/bad.rs", BAD);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(check("crates/relay-event/tests/bad.rs", BAD).is_empty());
        assert!(check("crates/relay-event/src/bus/tests.rs", BAD).is_empty());
    }

    #[test]
    fn a_long_file_is_a_finding_a_long_test_is_not() {
        let long = "\n".repeat(LINES_MAX + 1);
        assert_eq!(check("crates/relay-event/src/long.rs", &long).len(), 1);
        assert!(check("crates/relay-event/src/long/tests.rs", &long).is_empty());
        let just = "\n".repeat(LINES_MAX) + "#[cfg(test)]\nmod tests {\n\n}\n";
        assert!(check("crates/relay-event/src/just.rs", &just).is_empty());
    }
}
