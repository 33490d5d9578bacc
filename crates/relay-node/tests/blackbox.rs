//! `relay blackbox` as a person and a script meet it.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use relay_forensics::{
    Event, EventKind, Identity, Limits, NO_LIMIT, Opened, Options, Schema, standard::Standard,
};
use relay_node::cli::Cli;
use relay_node::commands::execute;
use relay_node::config::Environment;
use relay_node::exit;
use serde_json::Value;

const MIB: u64 = 1 << 20;

/// Exit code, output and complaints of `relay blackbox` with these arguments.
fn blackbox(arguments: &[&str]) -> (u8, String, String) {
    let cli = Cli::try_parse_from([&["relay", "blackbox"], arguments].concat()).unwrap();
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = execute(&cli.command, &Environment::default(), &mut out, &mut errors).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(out), text(errors))
}

/// A run under a limit of 64 MiB that used these mebibytes, one snapshot each.
fn run(folder: &Path, usages: &[u64]) -> Opened {
    run_as(folder, usages, Identity::of_this_process())
}

fn run_as(folder: &Path, usages: &[u64], identity: Identity) -> Opened {
    let mut schema = Schema::new();
    let fields = Standard::declare(&mut schema).unwrap();
    let limits = Limits {
        limit_bytes: Some(64 * MIB),
        high_bytes: Some(NO_LIMIT),
        ..Limits::default()
    };
    let options = Options::new("node")
        .folder(folder)
        .schema(schema)
        .limits(limits);
    let mut opened = options.identity(identity).open();
    for usage in usages {
        opened.snapshots.record(|s| {
            s.set(fields.memory_limit, 64 * MIB);
            s.set(fields.memory_usage, usage * MIB);
        });
    }
    opened
}

fn killed(usages: &[u64]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    drop(run(folder.path(), usages));
    let file = folder.path().join("relay-node.fdr");
    (folder, file)
}

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn why_says_it_in_one_paragraph_and_by_its_exit_code() {
    let (folder, file) = killed(&[20, 63]);
    for path in [folder.path(), file.as_path()] {
        let (code, out, errors) = blackbox(&["why", str(path)]);
        assert_eq!((code, errors.as_str()), (exit::KILLED_FOR_MEMORY, ""));
        assert!(
            out.starts_with("node: OOM-killed by its own memory limit"),
            "{out}"
        );
        assert!(out.contains("10 files"), "{out}");
    }
    let (code, ..) = blackbox(&["why", str(&killed(&[20, 20]).1)]);
    assert_eq!(code, exit::KILLED_OR_UNKNOWN);

    let clean = tempfile::tempdir().unwrap();
    let opened = run(clean.path(), &[20]);
    let (code, out, _) = blackbox(&["why", str(clean.path())]);
    assert_eq!(code, exit::SUCCESS);
    assert!(out.starts_with("node: still running"), "{out}");
    opened.recorder.finish().unwrap();
    drop(opened);
    let (code, out, _) = blackbox(&["why", str(clean.path())]);
    assert_eq!(code, exit::SUCCESS);
    assert!(out.starts_with("node: ended clean"), "{out}");

    let rebooted = tempfile::tempdir().unwrap();
    let identity = Identity {
        boot_id: Some([1; 16]),
        ..Identity::of_this_process()
    };
    drop(run_as(rebooted.path(), &[20, 20], identity));
    assert_eq!(blackbox(&["why", str(rebooted.path())]).0, exit::REBOOTED);
    let (code, ..) = blackbox(&["why", "--elsewhere", str(rebooted.path())]);
    assert_eq!(code, exit::KILLED_OR_UNKNOWN);
}

#[test]
fn causes_and_exit_codes_agree() {
    use relay_forensics::Cause;
    for (cause, code) in [
        (Cause::Oom, exit::KILLED_FOR_MEMORY),
        (Cause::Panic, exit::PANICKED),
        (Cause::FatalSignal, exit::FATAL_SIGNAL),
        (Cause::Reboot, exit::REBOOTED),
        (Cause::Unknown, exit::KILLED_OR_UNKNOWN),
    ] {
        assert_eq!(cause.exit_code(), code);
    }
}

#[test]
fn a_program_reads_the_verdict_and_the_records() {
    let (_folder, file) = killed(&[20, 30, 63]);
    let (code, out, _) = blackbox(&["why", "--json", str(&file)]);
    assert_eq!(code, exit::KILLED_FOR_MEMORY);
    let verdict: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&verdict["cause"], &verdict["exit_code"]),
        (&"oom".into(), &10.into())
    );
    assert!(
        verdict["answers"]["memory"][0]
            .as_str()
            .unwrap()
            .contains("64.0 MiB")
    );

    let (code, out, _) = blackbox(&["show", "--json", str(&file)]);
    assert_eq!(code, exit::SUCCESS);
    let lines = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let usages: Vec<Value> = lines
        .filter(|line| line["record"] == "snapshot")
        .map(|line| line["fields"]["memory.usage"].clone())
        .collect();
    assert_eq!(usages, [20 * MIB, 30 * MIB, 63 * MIB]);

    let (_, out, _) = blackbox(&["show", "--csv", str(&file)]);
    assert_eq!(out.lines().count(), 4);
    assert!(out.lines().next().unwrap().contains(",memory.usage,"));
}

#[test]
fn show_takes_a_window() {
    let (_folder, file) = killed(&[20, 30, 63]);
    let (_, all, _) = blackbox(&["show", str(&file)]);
    assert_eq!(all.lines().count(), 4, "{all}");
    let (_, tail, _) = blackbox(&["show", "--tail", "1", str(&file)]);
    assert!(
        tail.contains("mem 63.0 MiB/64.0 MiB 98.4 %") && tail.lines().count() == 1,
        "{tail}"
    );
    let (_, since, _) = blackbox(&["show", "--since", "-30s", str(&file)]);
    assert_eq!(since, all);
    let (_, none, _) = blackbox(&["show", "--since=-0s", str(&file)]);
    assert_eq!(none.lines().count(), 1);
    assert!(Cli::try_parse_from(["relay", "blackbox", "show", "--since", "-x"]).is_err());
}

#[test]
fn the_page_is_written_and_stands_alone() {
    let (folder, file) = killed(&[20, 63]);
    let page = folder.path().join("out.html");
    let (code, out, _) = blackbox(&["show", "--html", str(&page), str(&file)]);
    assert_eq!((code, out.as_str()), (exit::SUCCESS, ""));
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("<!doctype html>") && text.contains("OOM-killed"));
    let (_, printed, _) = blackbox(&["show", "--html", "-", str(&file)]);
    assert_eq!(printed, text);
    let nowhere = folder.path().join("no/such/folder.html");
    let (code, _, errors) = blackbox(&["show", "--html", str(&nowhere), str(&file)]);
    assert_eq!(code, exit::FAILURE);
    assert!(errors.contains("cannot write"), "{errors}");
}

#[test]
fn what_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, errors) = blackbox(&["why", str(folder.path())]);
    assert_eq!(code, exit::FAILURE);
    assert!(errors.contains("has no recording"), "{errors}");
    let (code, _, errors) = blackbox(&["why", "/no/such/place"]);
    assert_eq!(code, exit::FAILURE);
    assert!(errors.contains("No such file"), "{errors}");
    let (_folder, file) = killed(&[20]);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (code, _, errors) = blackbox(&["why", str(&file)]);
    assert_eq!(code, exit::KILLED_OR_UNKNOWN);
    assert!(errors.contains("damaged"), "{errors}");
}

#[test]
fn verify_counts_and_fails_when_a_part_is_missing() {
    let (_folder, file) = killed(&[20, 30]);
    let (code, out, _) = blackbox(&["verify", str(&file)]);
    assert_eq!(code, exit::SUCCESS);
    assert!(out.contains("fine") && out.contains("lateness"), "{out}");
    let (_, out, _) = blackbox(&["verify", "--json", str(&file)]);
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!((&first["valid"], &first["torn"]), (&2.into(), &0.into()));
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(blackbox(&["verify", str(&file)]).0, exit::FAILURE);
}

#[test]
fn follow_prints_what_comes_until_the_process_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = run(folder.path(), &[20]);
    let child = Command::new(env!("CARGO_BIN_EXE_relay"))
        .args(["blackbox", "follow", "--json"])
        .arg(folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    for n in 0..20 {
        opened.snapshots.record(|_| {});
        opened
            .recorder
            .record(&Event::new(EventKind::Other(1000)).values(&[n]));
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    drop(opened);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let out = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let own = lines.iter().filter(|line| line["code"] == 1000);
    let numbers: Vec<u64> = own
        .map(|line| line["values"][0].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>(), "each once, in order");
    assert_eq!(
        lines
            .iter()
            .filter(|line| line["record"] == "snapshot")
            .count(),
        21
    );
}
