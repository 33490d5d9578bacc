//! The leaves know neither each other nor an async runtime.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::command;

const LEAVES: [&str; 4] = [
    "relay-event",
    "relay-sense",
    "relay-control",
    "relay-forensics",
];

const RUNTIMES: [&str; 5] = [
    "tokio",
    "async-std",
    "smol",
    "async-executor",
    "futures-executor",
];

/// `cargo metadata` of the workspace members.
pub(super) fn metadata() -> Result<Value> {
    let text = command::output(command::cargo().args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]))?;
    serde_json::from_str(&text).context("cargo metadata")
}

/// Dev-dependencies are free: a test may use what it likes.
pub(super) fn check(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for leaf in LEAVES {
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let Some(package) = packages.clone().find(|package| package["name"] == leaf) else {
            findings.push(format!("{leaf}: the crate is missing"));
            continue;
        };
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for dependency in dependencies.filter(|one| one["kind"] != "dev") {
            let name = dependency["name"].as_str().unwrap_or_default();
            if name.starts_with("relay-") {
                findings.push(format!("{leaf}: depends on its sibling {name}"));
            }
            if RUNTIMES.contains(&name) {
                findings.push(format!("{leaf}: depends on the async runtime {name}"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workspace(dependencies: &Value) -> Value {
        let empty = json!([]);
        let packages: Vec<_> = LEAVES
            .iter()
            .map(|leaf| {
                let own = if *leaf == "relay-sense" {
                    dependencies
                } else {
                    &empty
                };
                json!({ "name": leaf, "dependencies": own })
            })
            .collect();
        json!({ "packages": packages })
    }

    #[test]
    fn siblings_and_runtimes_are_found_tests_are_free() {
        let bad = workspace(&json!([
            { "name": "relay-event", "kind": null },
            { "name": "tokio", "kind": null, "optional": true },
            { "name": "relay-control", "kind": "dev" },
            { "name": "tokio", "kind": "dev" },
            { "name": "rustix", "kind": null },
        ]));
        let expected = [
            "relay-sense: depends on its sibling relay-event",
            "relay-sense: depends on the async runtime tokio",
        ];
        assert_eq!(check(&bad), expected);
        assert!(check(&workspace(&json!([]))).is_empty());
    }

    #[test]
    fn a_missing_leaf_is_a_finding() {
        assert_eq!(check(&json!({ "packages": [] })).len(), LEAVES.len());
    }

    #[test]
    fn this_workspace_keeps_its_leaves_apart() {
        assert_eq!(check(&metadata().unwrap()), Vec::<Finding>::new());
    }
}
