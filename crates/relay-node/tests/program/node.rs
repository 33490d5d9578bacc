//! What it says, takes and refuses, and how it ends.

use crate::support::{Node, PATIENCE, arguments, exchange, relay, until};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

fn start(settings: &[&str]) -> Node {
    start_with(settings, &[])
}

fn start_with(settings: &[&str], variables: &[(&str, &str)]) -> Node {
    let node = spawn(&[], settings, variables);
    node.wait_ready();
    node
}

/// One that may never be ready.
fn spawn(flags: &[&str], settings: &[&str], variables: &[(&str, &str)]) -> Node {
    let dir = Arc::new(TempDir::new().unwrap());
    let mut command = relay(dir.path());
    command.arg("run").args(flags).args(arguments(settings));
    command.envs(variables.iter().copied());
    Node::spawn(command, &dir)
}

fn wait_for_log(node: &Node, text: &str) {
    until(&format!("{text:?} is in the log"), || {
        node.log().contains(text)
    });
}

fn state(node: &Node) -> Value {
    serde_json::from_str(&node.body("/state", "")).unwrap()
}

/// What its file emitter has written.
fn events(node: &Node) -> String {
    fs::read_to_string(node.dir.path().join("events.ndjson")).unwrap_or_default()
}

/// The account in the last line of the log.
fn account(node: &Node) -> Value {
    let log = node.log();
    let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    serde_json::from_str(line["fields"]["account"].as_str().unwrap()).unwrap()
}

#[test]
fn sigterm_drains_and_ends_with_a_closed_account() {
    let mut node = start(&[]);
    for n in 0..20 {
        assert!(node.post(&format!("event {n}")).starts_with("HTTP/1.1 202"));
    }
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    assert_eq!(events(&node).lines().count(), 20);
    let account = account(&node);
    assert_eq!(account["account"]["accepted"], 20);
    assert_eq!(account["account"]["closed"], true);
    assert_eq!(account["subscriptions"][0]["delivered"], 20);
}

/// A ratio is understood by relay-sense alone and no field of the configuration, a size by both.
#[test]
fn h09_a_limit_in_the_environment_reaches_pulse_and_ledger() {
    let root = relay_sense::Root::system();
    let whole = relay_sense::detect(&root, None)
        .unwrap()
        .memory
        .unwrap()
        .bytes;
    let mebibytes = (whole / 2) >> 20;
    for (text, limit) in [
        (format!("{mebibytes}MiB"), mebibytes << 20),
        ("0.75".to_owned(), whole / 4 * 3),
    ] {
        let node = start_with(&[], &[("MEMORY_LIMIT_BYTES", &text)]);
        until("the pulse has looked", || {
            state(&node)["memory"]["limit_bytes"] == limit
        });
        let ledger = state(&node)["ledger"]["size_bytes"].as_u64().unwrap();
        assert!(ledger > 0 && ledger <= limit / 2, "{ledger} of {limit}");
    }
}

/// The quota of a folder that is a machine, rounded down, or what the configuration says.
#[test]
fn h15_the_cpu_quota_sets_the_number_of_worker_threads() {
    let fixtures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../relay-sense/tests/machines/fixtures/"
    );
    for (machine, workers, threads) in [
        ("52a-period-zero", "auto", 2),
        ("53-v1-quota-of-parent", "auto", 1),
        ("53-v1-quota-of-parent", "3", 3),
    ] {
        let root = format!("--root={fixtures}{machine}");
        let setting = format!("runtime.workers={workers}");
        let mut node = spawn(&[&root], &[&setting], &[]);
        wait_for_log(&node, &format!("runtime: {threads} worker threads"));
        node.signal("KILL");
        node.wait();
    }
}

#[test]
fn readiness_goes_first_and_a_second_signal_ends_at_once() {
    let slow = [
        "emitters.sink.kind=blackhole",
        "emitters.sink.rate=1KiB/s",
        "shutdown.deadline=1h",
    ];
    let mut node = start(&slow);
    for _ in 0..5 {
        assert!(node.post(&"x".repeat(10_000)).starts_with("HTTP/1.1 202"));
    }
    node.signal("TERM");
    until("it is not ready", || {
        node.get("/readyz")
            .is_some_and(|answer| answer.contains("503"))
    });
    assert!(
        node.get("/livez").unwrap().contains("200 OK"),
        "alive while draining"
    );
    node.signal("TERM");
    assert_eq!(node.wait(), Some(1));
}

#[test]
fn an_event_that_is_none_is_told_counted_and_logged_once() {
    let mut node = start(&[]);
    let request = "POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\
                   Content-Type: application/cloudevents+json\r\n\r\n{\"id\": 1,";
    let answer = exchange(node.ingest(), request).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("\"at\""), "{answer}");
    assert_eq!(state(&node)["account"]["refused"]["invalid"], 1);
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    assert_eq!(node.log().matches("INGEST_INVALID").count(), 1);
}

#[test]
fn every_metric_passes_a_real_parser() {
    let node = start(&[]);
    node.post("x");
    until("it is delivered", || {
        state(&node)["subscriptions"][0]["delivered"] == 1
    });
    let answer = node.get("/metrics").unwrap();
    let text = answer.split_once("\r\n\r\n").unwrap().1;
    for name in [
        "relay_events_accepted_total{adapter=\"http\"} 1",
        "relay_memory_limit_bytes ",
        "relay_memory_usage_bytes ",
        "relay_memory_pressure_ratio ",
        "relay_level 0",
        "relay_emit_duration_seconds_bucket",
        "relay_error_events_total{code=\"ADAPTER_START\",severity=\"info\",signal=\"none\"} 1",
        "relay_event_publish_duration_seconds_count{bus=\"external\"} 1",
        "relay_event_send_blocked_total{bus=\"external\"} 0",
        "relay_publish_blocked_seconds_count{bus=\"external\"} 0",
        "relay_engine_operations_total{operation=\"start\",result=\"ok\"} 1",
        "relay_engine_operation_duration_seconds_count{operation=\"start\"} 1",
        "relay_build_info",
    ] {
        assert!(text.contains(name), "{name} is missing in:\n{text}");
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("promtool is there: apt-get install prometheus");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.trim(), "");
}

/// AN03: a line an event, while the node runs, in words and as JSON.
#[test]
fn events_are_printed_as_they_happen() {
    let invalid = "POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                   Content-Type: application/cloudevents+json\r\nContent-Length: 1\r\n\r\n{";
    for json in [false, true] {
        let mut node = start(&[]);
        let mut command = relay(node.dir.path());
        command.args(["events", "--admin", &node.admin().to_string()]);
        command.args(json.then_some("--json"));
        let mut reader = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (heard, lines) = mpsc::channel();
        let stdout = reader.stdout.take().unwrap();
        let thread = thread::spawn(move || {
            for line in std::io::BufReader::new(stdout).lines() {
                heard.send(line.unwrap()).unwrap();
            }
        });
        // A machine that is slow has other events as well.
        let next = |within| loop {
            let line: String = lines.recv_timeout(within).ok()?;
            if line.contains("INGEST_INVALID") {
                break Some(line);
            }
        };
        // What happened before it listens it does not hear.
        let mut first = None;
        until("it listens", || {
            exchange(node.ingest(), invalid).unwrap();
            first = next(Duration::from_millis(200));
            first.is_some()
        });
        let first = first.unwrap();
        assert_eq!(node.child.try_wait().unwrap(), None, "the node still runs");
        if json {
            let event: Value = serde_json::from_str(&first).unwrap();
            assert_eq!(event["code"], "INGEST_INVALID", "{event}");
            assert!(event["component"].is_string(), "{event}");
        } else {
            assert!(!first.starts_with('{'), "{first}");
        }
        // More than eight within a second would be folded.
        while next(Duration::from_millis(1100)).is_some() {}
        for _ in 0..3 {
            exchange(node.ingest(), invalid).unwrap();
        }
        for number in 1..=3 {
            assert!(next(PATIENCE).is_some(), "number {number} is missing");
        }
        node.signal("TERM");
        assert_eq!(node.wait(), Some(0));
        assert!(reader.wait().unwrap().success(), "it ends with the node");
        thread.join().unwrap();
        let rest: Vec<String> = lines.iter().collect();
        assert!(
            rest.iter().any(|line| line.contains("SHUTDOWN")),
            "{rest:?}"
        );
    }
}

#[test]
fn events_of_nobody_are_an_error_with_advice() {
    // Of tcpmux, which nobody speaks.
    let address = "127.0.0.1:1";
    let folder = TempDir::new().unwrap();
    let output = relay(folder.path())
        .args(["events", "--admin", address])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(address) && said.contains("is it running there?"),
        "{said}"
    );
}

#[test]
fn a_port_that_is_taken_is_named_with_advice() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut node = spawn(&[], &[&format!("admin.listen={address}")], &[]);
    assert_eq!(node.wait(), Some(1));
    let log = node.log();
    assert!(
        log.contains(&address.to_string()) && log.contains("free the port"),
        "{log}"
    );
}

#[test]
fn a_full_disk_is_reported_once_holds_events_back_and_loses_none() {
    // A disk of 64 KiB in a mount namespace of its own; its files are seen through /proc.
    let dir = Arc::new(TempDir::new().unwrap());
    fs::create_dir(dir.path().join("disk")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=64k relay-test disk && head -c 48k /dev/zero > disk/ballast && exec {} run {}",
        env!("CARGO_BIN_EXE_relay"),
        arguments(&["emitters.file.path=disk/events.ndjson"]).join(" "),
    );
    let namespaces: &[&str] = if rustix::process::geteuid().is_root() {
        &["--mount"]
    } else {
        &["--mount", "--user", "--map-root-user"]
    };
    let mut unshare = Command::new("unshare");
    unshare.args(namespaces).args(["sh", "-c", &script]);
    unshare.current_dir(dir.path());
    let mut node = Node::spawn(unshare, &dir);
    node.wait_ready();
    let disk = Path::new("/proc")
        .join(node.child.id().to_string())
        .join("cwd/disk");
    for n in 0..30 {
        assert!(
            node.post(&format!("{n:04}{}", "x".repeat(1000)))
                .starts_with("HTTP/1.1 202"),
            "{}",
            node.log()
        );
    }
    until("the disk is full", || {
        state(&node)["emitters"]["file"]["failures"].as_u64() > Some(0)
    });
    assert_eq!(state(&node)["health"]["emitter:file"]["state"], "degraded");
    fs::remove_file(disk.join("ballast")).unwrap();
    until("all is written", || {
        state(&node)["subscriptions"][0]["delivered"] == 30
    });
    let text = fs::read_to_string(disk.join("events.ndjson")).unwrap();
    for (n, line) in text.lines().enumerate() {
        let event: Value = serde_json::from_str(line).expect("no torn line");
        assert!(
            event["data"]
                .as_str()
                .unwrap()
                .starts_with(&format!("{n:04}")),
            "in order, once: {n}"
        );
    }
    assert_eq!(text.lines().count(), 30);
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    let failures = node
        .log()
        .lines()
        .filter(|line| line.contains("EMITTER_FAIL"))
        .count();
    assert_eq!(failures, 1, "one episode, one line");
}

#[test]
fn a_sender_that_goes_away_in_the_middle_is_counted_and_harms_nobody() {
    let mut node = start(&[]);
    let mut half = TcpStream::connect(node.ingest()).unwrap();
    half.write_all(
        b"POST /v1/events?topic=t HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
    )
    .unwrap();
    until("it arrives", || state(&node)["account"]["received"] == 1);
    half.shutdown(Shutdown::Both).unwrap();
    until("it is settled", || {
        state(&node)["account"]["refused"]["aborted"] == 1
    });
    assert_eq!(state(&node)["ledger"]["used_bytes"], 0);
    assert!(node.post("whole").starts_with("HTTP/1.1 202"));
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    assert_eq!(account(&node)["account"]["closed"], true);
}

#[test]
fn a_hangup_takes_over_what_can_change_and_names_what_waits() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("relay.toml");
    let write = |text: &str| fs::write(&file, text).unwrap();
    let queue = |node: &Node| state(node)["subscriptions"][0]["limit_events"].clone();
    write("[emitters.file]\nqueue_events = 100\n");
    let mut node = start_with(&[], &[("RELAY_CONFIG", file.to_str().unwrap())]);
    assert_eq!(queue(&node), 100, "{}", state(&node));

    write("[emitters.file]\nqueue_events = 3000\n[adapters.http]\nmax_body = \"1KiB\"\n");
    node.signal("HUP");
    wait_for_log(&node, "waits for a restart: adapters.http.max_body");
    assert_eq!(queue(&node), 3000);
    assert!(node.log().contains("CONFIG_RELOAD"), "{}", node.log());
    assert!(
        node.log().contains("emitters.file.queue_events = 3000"),
        "{}",
        node.log()
    );

    write("[emitters.file]\nqueue_events = \"many\"\n");
    node.signal("HUP");
    wait_for_log(&node, "nothing changed");
    assert_eq!(queue(&node), 3000);

    write("[emitters.file]\nqueue_events = 3001\n[log]\nlevel = \"error\"\n");
    node.signal("HUP");
    until("it is read again", || queue(&node) == 3001);
    assert!(node.post("still here").contains("202"));
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0), "{}", node.log());
    assert!(
        !node.log().contains("final account"),
        "only errors are logged"
    );
}

/// A rule from a variable and the switch for shares, as the running node shows them.
#[test]
fn priorities_by_rule_and_fair_shares_reach_a_running_node() {
    let variables = [(
        "RELAY_ADAPTERS__HTTP__PRIORITY",
        "high:topic=t, low:source=/batch/*",
    )];
    let node = start_with(&[], &variables);
    assert!(node.post("x").contains("202"));
    until("the event is written", || {
        events(&node).contains("\"relaypriority\":\"high\"")
    });
    let gate = &state(&node)["gate"];
    assert_eq!(gate["source_fairness"], true);
    assert_eq!(
        gate["source_share_bytes_per_second"],
        Value::Null,
        "nothing is scarce"
    );
    let off = start(&["control.source_fairness=false"]);
    assert_eq!(state(&off)["gate"]["source_fairness"], false);
}
