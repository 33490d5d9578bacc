//! The commands as a person meets them: what they print and how they end.

use std::path::Path;

use clap::Parser;
use relay_node::cli::Cli;
use relay_node::commands::execute;
use relay_node::config::Environment;
use relay_node::exit;

/// Exit code, output and complaints of `relay` with these arguments.
fn relay(arguments: &[&str]) -> (u8, String, String) {
    let cli = Cli::try_parse_from([&["relay"], arguments].concat()).expect("a command line");
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = execute(&cli.command, &Environment::default(), &mut out, &mut errors);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (code.expect("memory is writable"), text(out), text(errors))
}

/// A folder that is a machine: cgroup v2 with a limit of 64 MiB, of which 16 are used.
fn machine(at: &Path) {
    let files = [
        ("proc/self/cgroup", "0::/relay\n"),
        (
            "proc/self/mountinfo",
            "30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n",
        ),
        ("proc/meminfo", "MemTotal:        8388608 kB\n"),
        ("proc/self/statm", "5000 3000 1000 100 0 900 0\n"),
        ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
        ("sys/fs/cgroup/relay/cgroup.controllers", "cpu memory\n"),
        ("sys/fs/cgroup/relay/memory.max", "67108864\n"),
        ("sys/fs/cgroup/relay/memory.high", "max\n"),
        ("sys/fs/cgroup/relay/memory.current", "16777216\n"),
        (
            "sys/fs/cgroup/relay/memory.stat",
            "anon 8388608\nfile 8388608\nshmem 0\ninactive_file 8388608\nactive_file 0\nslab_reclaimable 0\n",
        ),
        (
            "sys/fs/cgroup/relay/memory.events",
            "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",
        ),
        ("sys/fs/cgroup/relay/cpu.max", "150000 100000\n"),
    ];
    for (name, contents) in files {
        let path = at.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, contents).expect("a file");
    }
}

#[test]
fn check_is_one_line_when_all_is_well() {
    let (code, out, errors) = relay(&["check"]);
    assert_eq!(code, exit::SUCCESS);
    assert_eq!(
        out,
        "configuration ok: no file, defaults; 1 adapter, 1 emitter\n"
    );
    assert_eq!(errors, "");
}

#[test]
fn check_prints_every_mistake_and_warning_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    std::fs::write(
        &file,
        "[control]\nmode = \"off\"\nintervall = 3\n[memory]\nlimit = \"64mb\"\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let (code, out, errors) = relay(&["check", "--config", file, "--set", "log.level=inof"]);
    assert_eq!(code, exit::USAGE);
    assert_eq!(out, "");
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 5, "{errors}");
    assert!(
        lines[0].starts_with(&format!(
            "error: {file}:3:1: control.intervall = 3: unknown key; did you mean `interval`?"
        )),
        "{errors}"
    );
    assert!(
        lines[1].contains(":5:9: memory.limit = \"64mb\": not a size: unknown unit `mb`"),
        "{errors}"
    );
    assert!(
        lines[2]
            .starts_with("error: --set log.level: log.level = \"inof\": `inof` is not a log level"),
        "{errors}"
    );
    assert!(
        lines[3].starts_with("warning: ") && lines[3].contains("naive pipeline"),
        "{errors}"
    );
    assert_eq!(lines[4], "3 mistakes in the configuration");
}

#[test]
fn config_prints_what_check_accepts() {
    let (code, out, _) = relay(&["config", "--set", "control.interval=100ms"]);
    assert_eq!(code, exit::SUCCESS);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("printed.toml");
    std::fs::write(&file, &out).unwrap();
    assert_eq!(
        relay(&["check", "--config", file.to_str().unwrap()]).0,
        exit::SUCCESS
    );
    assert!(out.contains("interval = \"100ms\"\n"), "{out}");
    let (_, explained, _) = relay(&["config", "--explain", "--set", "control.interval=100ms"]);
    let line = explained
        .lines()
        .find(|line| line.starts_with("interval = "))
        .unwrap();
    assert_eq!(
        line.split_whitespace().last(),
        Some("control.interval"),
        "{line}"
    );
    assert!(line.contains("# --set"), "{line}");
}

#[test]
fn doctor_reads_a_folder_as_a_machine() {
    let folder = tempfile::tempdir().unwrap();
    machine(folder.path());
    let root = folder.path().to_str().unwrap();

    let (code, out, errors) = relay(&["doctor", "--root", root]);
    assert_eq!(code, exit::SUCCESS, "{errors}");
    assert!(
        out.contains("memory   limit_bytes          67108864 (64MiB)\n"),
        "{out}"
    );
    assert!(out.contains("source               cgroup-v2\n"), "{out}");
    assert!(
        out.contains("unreclaimable_bytes  8388608 (8MiB)\n"),
        "{out}"
    );
    assert!(
        out.contains("cpu      quota                1.50\n"),
        "{out}"
    );
    assert!(
        out.contains("  warning       46976204 bytes (70.0%)\n"),
        "{out}"
    );

    let (_, json, _) = relay(&[
        "doctor",
        "--root",
        root,
        "--json",
        "--set",
        "memory.limit=32MiB",
        "--set",
        "memory.soft_limit=24MiB",
    ]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["memory"]["limit_bytes"], 32 << 20);
    assert_eq!(json["memory"]["source"], "config");
    assert_eq!(json["memory"]["headroom_bytes"], 24 << 20);
    assert_eq!(json["memory"]["soft_limit_bytes"], 24 << 20);
    assert_eq!(json["cpu"]["quota"], 1.5);
}

#[test]
fn the_command_line_is_consistent_and_a_wrong_one_ends_with_2() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
    for wrong in [
        &["relay", "chekc"][..],
        &["relay", "run", "--confg", "x"],
        &["relay"],
    ] {
        let usage = Cli::try_parse_from(wrong).unwrap_err();
        assert_eq!(usage.exit_code(), i32::from(exit::USAGE), "{usage}");
    }
    assert_eq!(
        Cli::try_parse_from(["relay", "--help"])
            .unwrap_err()
            .exit_code(),
        0
    );
}

#[test]
fn load_fails_when_nobody_listens() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let to = format!("http://{address}");
    let (code, _, errors) = relay(&["load", "--to", &to, "--rate", "100/s", "--for", "50ms"]);
    assert_eq!(code, exit::FAILURE);
    assert_eq!(
        errors,
        format!(
            "error: nothing was accepted, and 5 of 5 events failed: check that a node listens at http://{address}/v1/events\n"
        )
    );
}
