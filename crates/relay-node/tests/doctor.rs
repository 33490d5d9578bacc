//! `relay doctor --json` as a program reads it: every machine that relay-sense keeps as a folder, and
//! the rules of what may get into an answer.

#![expect(
    clippy::unwrap_used,
    reason = "a machine that cannot be read fails its test"
)]

use std::path::{Path, PathBuf};

use clap::Parser;
use relay_node::cli::Cli;
use relay_node::commands::execute;
use relay_node::config::Environment;
use relay_node::exit;
use serde_json::{Value, json};

fn doctor(variables: &[(&str, &str)], arguments: &[&str]) -> (u8, String, String) {
    let cli = Cli::try_parse_from([&["relay", "doctor"], arguments].concat()).unwrap();
    let environment = Environment::new(variables.iter().copied());
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = execute(&cli.command, &environment, &mut out, &mut errors).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(out), text(errors))
}

fn answer(variables: &[(&str, &str)], arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    let (code, out, errors) = doctor(variables, &arguments);
    assert_eq!((code, errors.as_str()), (exit::SUCCESS, ""));
    serde_json::from_str(&out).unwrap()
}

fn machines() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../relay-sense/tests/machines/fixtures");
    let folders = std::fs::read_dir(dir).unwrap();
    folders.map(|folder| folder.unwrap().path()).collect()
}

fn machine(name: &str) -> String {
    let found = machines().into_iter().find(|path| path.ends_with(name));
    found.expect(name).to_str().unwrap().to_owned()
}

/// What `expected.toml` says, in the shape of the answer.
fn expected(folder: &Path) -> (toml::Table, Value) {
    let text = std::fs::read_to_string(folder.join("expected.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let get = |section: &str, key: &str| {
        let value = table[section].get(key);
        value.map_or(Value::Null, |value| serde_json::to_value(value).unwrap())
    };
    let number = |section: &str, key: &str| match get(section, key) {
        Value::String(_) => Value::Null,
        number => number,
    };
    let memory_keys = [
        "limit_bytes",
        "soft_limit_bytes",
        "source",
        "path",
        "ancestors_hidden",
        "headroom_bytes",
        "current_bytes",
        "working_set_bytes",
        "unreclaimable_bytes",
    ];
    let mut memory: serde_json::Map<_, _> = memory_keys
        .into_iter()
        .map(|key| (key.to_owned(), get("memory", key)))
        .collect();
    memory.insert(
        "swap_limit_bytes".to_owned(),
        number("memory", "swap_limit"),
    );
    let threads = get("cpu", "worker_threads");
    let affinity = if threads.is_null() {
        Value::Null
    } else {
        json!("affinity")
    };
    let source = match get("cpu", "source") {
        Value::Null => affinity,
        source => source,
    };
    let scope = get("pressure", "scope");
    let answer = json!({
        "memory": memory,
        "cpu": {
            "quota": number("cpu", "quota"),
            "source": source,
            "path": get("cpu", "path"),
            "worker_threads": threads,
        },
        "pressure": { "memory": { "available": !scope.is_null(), "scope": scope } },
    });
    (table, answer)
}

/// The first difference between what must be there and what is; members that are not expected are
/// additions.
fn difference(at: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().find_map(|(key, value)| {
                let at = format!("{at}.{key}");
                match found.get(key) {
                    Some(found) => difference(&at, value, found),
                    None => Some(format!("{at} is missing")),
                }
            })
        }
        (expected, found) => {
            (expected != found).then(|| format!("{at}: found {found}, expected {expected}"))
        }
    }
}

/// What the answer about a machine has wrong.
fn wrong(folder: &Path) -> Option<String> {
    let (table, expected) = expected(folder);
    let mut arguments = vec!["--root", folder.to_str().unwrap()];
    let limit = table.get("configured_bytes");
    let limit = limit.map(|bytes| format!("memory.limit={bytes}"));
    if let Some(limit) = &limit {
        arguments.extend(["--set", limit]);
    }
    let found = answer(&[], &arguments);
    let notes = found["notes"].as_array().unwrap().len();
    assert_eq!(notes, table["notes"].as_array().unwrap().len(), "{found:#}");
    difference(&folder.display().to_string(), &expected, &found)
}

#[test]
fn every_machine_is_answered_exactly() {
    let wrong: Vec<_> = machines().iter().filter_map(|at| wrong(at)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_environment_limits_the_running_system() {
    let limit = answer(&[("MEMORY_LIMIT_BYTES", "1MiB")], &[]);
    assert_eq!(limit["memory"]["limit_bytes"], 1 << 20);
    assert_eq!(limit["memory"]["source"], "env");
    assert_eq!(limit["memory"]["source_name"], "MEMORY_LIMIT_BYTES");
    let soft = answer(&[("GOMEMLIMIT", "1MiB")], &[]);
    assert_eq!(soft["memory"]["soft_limit_bytes"], 1 << 20);
}

#[test]
fn a_share_in_the_environment_is_one_of_what_was_detected() {
    let whole = answer(&[], &[])["memory"]["limit_bytes"].as_u64().unwrap();
    let part = answer(&[("RELAY_MEMORY_LIMIT_BYTES", "0.5")], &[]);
    assert_eq!(part["memory"]["limit_bytes"], whole / 2);
}

#[test]
fn a_limit_that_cannot_be_understood_is_a_note() {
    let variables = [("MEMORY_LIMIT_BYTES", "12x"), ("MEMORY_LIMIT", "-1")];
    let found = answer(&variables, &[]);
    assert_ne!(found["memory"]["source"], "env");
    let notes = found["notes"].to_string();
    assert!(notes.contains("12x") && notes.contains("-1"), "{notes}");
}

#[test]
fn a_limit_in_the_environment_holds_for_a_folder_too() {
    let root = machine("docker-v2");
    let arguments = ["--root", root.as_str()];
    let without = answer(&[], &arguments);
    for (text, bytes) in [("750MiB", 786_432_000_u64), ("1MiB", 1 << 20)] {
        let found = answer(&[("MEMORY_LIMIT_BYTES", text)], &arguments);
        let smallest = without["memory"]["limit_bytes"]
            .as_u64()
            .unwrap()
            .min(bytes);
        assert_eq!(found["memory"]["limit_bytes"], smallest, "{text}");
        assert_eq!(found["cpu"], without["cpu"], "nothing else does");
    }
}

#[test]
fn a_folder_that_is_not_there_ends_with_2_and_says_what_to_do() {
    let (code, out, errors) = doctor(&[], &["--root", "/nowhere/at/all", "--json"]);
    assert_eq!((code, out.as_str()), (exit::USAGE, ""));
    assert!(errors.contains("/nowhere/at/all"), "{errors}");
    assert!(
        errors.contains("name the folder that holds proc/ and sys/"),
        "{errors}"
    );
}

#[test]
fn a_person_reads_what_is_unknown() {
    let root = machine("folder-empty");
    let (code, out, _) = doctor(&[], &["--root", &root]);
    assert_eq!(code, exit::SUCCESS);
    assert!(
        out.contains("memory   limit_bytes          unknown\n"),
        "{out}"
    );
    assert!(out.contains("\nnote     "), "{out}");
    assert!(out.contains("memory limit    unknown ("), "{out}");
}

#[test]
fn a_mistake_in_the_configuration_is_one_all_the_same() {
    let (code, _, errors) = doctor(&[("MEMORY_LIMIT", "12x")], &["--set", "memory.limit=lots"]);
    assert_eq!(code, exit::USAGE);
    assert!(errors.contains("memory.limit"), "{errors}");
}
