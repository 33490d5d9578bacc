//! The program as its users meet it: a real process, real HTTP, real signals, a real Prometheus parser.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::io::{BufRead, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running node with a folder of its own; killed when dropped.
struct Node {
    child: Child,
    dir: TempDir,
    ingest: SocketAddr,
    admin: SocketAddr,
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn relay(dir: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
    command
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

impl Node {
    fn start(settings: &[&str]) -> Self {
        Self::start_with(settings, &[])
    }

    fn start_with(settings: &[&str], variables: &[(&str, &str)]) -> Self {
        let node = Self::spawn_with(settings, variables);
        let start = Instant::now();
        while !node
            .get("/readyz")
            .is_some_and(|answer| answer.contains("200 OK"))
        {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "not ready: {}",
                node.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        node
    }

    fn spawn(settings: &[&str]) -> Self {
        Self::spawn_with(settings, &[])
    }

    fn spawn_with(settings: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn_at(&[], settings, variables)
    }

    fn spawn_at(flags: &[String], settings: &[&str], variables: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        let (ingest, admin) = (free_port(), free_port());
        let mut arguments = vec!["run".to_owned()];
        arguments.extend_from_slice(flags);
        let listen = [
            format!("adapters.http.listen=127.0.0.1:{ingest}"),
            format!("admin.listen=127.0.0.1:{admin}"),
            "log.format=json".to_owned(),
            // Tests run beside each other, and the usual folder is the machine's.
            "blackbox.dir=fdr".to_owned(),
        ];
        for setting in listen
            .iter()
            .map(String::as_str)
            .chain(settings.iter().copied())
        {
            arguments.extend(["--set".to_owned(), setting.to_owned()]);
        }
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = relay(dir.path(), &arguments)
            .envs(variables.iter().copied())
            .stderr(log)
            .spawn()
            .unwrap();
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            child,
            dir,
            ingest: local(ingest),
            admin: local(admin),
        }
    }

    fn wait_for_log(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{text:?} is not in {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    fn events(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("events.ndjson")).unwrap_or_default()
    }

    fn get(&self, path: &str) -> Option<String> {
        exchange(
            self.admin,
            &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"),
        )
    }

    fn state(&self) -> Value {
        let answer = self.get("/state").unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    fn post(&self, body: &str) -> String {
        let length = body.len();
        let head = format!(
            "POST /v1/events?topic=t HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        exchange(self.ingest, &(head + body)).unwrap()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// The exit code, within ten seconds.
    fn wait(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "it does not end: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The account in the last line of the log.
    fn account(&self) -> Value {
        let log = self.log();
        let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        serde_json::from_str(line["fields"]["account"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exchange(address: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "waited in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sigterm_drains_and_ends_with_a_closed_account() {
    let mut node = Node::start(&[]);
    for n in 0..20 {
        assert!(node.post(&format!("event {n}")).starts_with("HTTP/1.1 202"));
    }
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    assert_eq!(node.events().lines().count(), 20);
    let account = node.account();
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
        let node = Node::start_with(&[], &[("MEMORY_LIMIT_BYTES", &text)]);
        until("the pulse has looked", || {
            node.state()["memory"]["limit_bytes"] == limit
        });
        let ledger = node.state()["ledger"]["size_bytes"].as_u64().unwrap();
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
        let mut node = Node::spawn_at(&[root], &[&setting], &[]);
        node.wait_for_log(&format!("runtime: {threads} worker threads"));
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
    let mut node = Node::start(&slow);
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
    let mut node = Node::start(&[]);
    let request = "POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\
                   Content-Type: application/cloudevents+json\r\n\r\n{\"id\": 1,";
    let answer = exchange(node.ingest, request).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("\"at\""), "{answer}");
    assert_eq!(node.state()["account"]["refused"]["invalid"], 1);
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    assert_eq!(node.log().matches("INGEST_INVALID").count(), 1);
}

#[test]
fn every_metric_passes_a_real_parser() {
    let node = Node::start(&[]);
    node.post("x");
    until("it is delivered", || {
        node.state()["subscriptions"][0]["delivered"] == 1
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
        let mut node = Node::start(&[]);
        let address = node.admin.to_string();
        let mut arguments = ["events", "--admin", &address].map(str::to_owned).to_vec();
        arguments.extend(json.then(|| "--json".to_owned()));
        let mut reader = relay(node.dir.path(), &arguments)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (heard, lines) = std::sync::mpsc::channel();
        let stdout = reader.stdout.take().unwrap();
        let thread = std::thread::spawn(move || {
            for line in std::io::BufReader::new(stdout).lines() {
                heard.send(line.unwrap()).unwrap();
            }
        });
        // What happened before it listens it does not hear.
        let mut first = None;
        until("it listens", || {
            exchange(node.ingest, invalid).unwrap();
            first = lines.recv_timeout(Duration::from_millis(200)).ok();
            first.is_some()
        });
        let first = first.unwrap();
        assert_eq!(node.child.try_wait().unwrap(), None, "the node still runs");
        if json {
            let event: Value = serde_json::from_str(&first).unwrap();
            assert_eq!(event["code"], "INGEST_INVALID", "{event}");
            assert!(event["component"].is_string(), "{event}");
        } else {
            assert!(
                first.contains("INGEST_INVALID") && !first.starts_with('{'),
                "{first}"
            );
        }
        let before = node.state()["account"]["refused"]["invalid"]
            .as_u64()
            .unwrap();
        while lines.try_recv().is_ok() {}
        for _ in 0..3 {
            exchange(node.ingest, invalid).unwrap();
        }
        for _ in 0..3 {
            let line = lines.recv_timeout(Duration::from_secs(10));
            assert!(
                line.unwrap().contains("INGEST_INVALID"),
                "each one, after {before}"
            );
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
    let folder = TempDir::new().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let arguments = ["events", "--admin", &address].map(str::to_owned);
    let output = relay(folder.path(), &arguments)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&address) && said.contains("is it running there?"),
        "{said}"
    );
}

#[test]
fn a_port_that_is_taken_is_named_with_advice() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut node = Node::spawn(&[&format!("admin.listen={address}")]);
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
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("disk")).unwrap();
    let (ingest, admin) = (free_port(), free_port());
    let script = format!(
        "mount -t tmpfs -o size=64k relay-test disk && head -c 48k /dev/zero > disk/ballast && exec {} run \
         --set adapters.http.listen=127.0.0.1:{ingest} --set admin.listen=127.0.0.1:{admin} --set log.format=json \
         --set blackbox.dir=fdr --set emitters.file.path=disk/events.ndjson",
        env!("CARGO_BIN_EXE_relay"),
    );
    let namespaces: &[&str] = if rustix::process::geteuid().is_root() {
        &["--mount"]
    } else {
        &["--mount", "--user", "--map-root-user"]
    };
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let child = Command::new("unshare")
        .args(namespaces)
        .args(["sh", "-c", &script])
        .current_dir(dir.path())
        .stderr(log)
        .spawn()
        .expect("unshare is there: apt-get install util-linux");
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut node = Node {
        child,
        dir,
        ingest: local(ingest),
        admin: local(admin),
    };
    let disk = Path::new("/proc")
        .join(node.child.id().to_string())
        .join("cwd/disk");
    until("it is ready", || {
        node.get("/readyz")
            .is_some_and(|answer| answer.contains("200 OK"))
    });
    for n in 0..30 {
        assert!(
            node.post(&format!("{n:04}{}", "x".repeat(1000)))
                .starts_with("HTTP/1.1 202"),
            "{}",
            node.log()
        );
    }
    until("the disk is full", || {
        node.state()["emitters"]["file"]["failures"].as_u64() > Some(0)
    });
    assert_eq!(node.state()["health"]["emitter:file"]["state"], "degraded");
    std::fs::remove_file(disk.join("ballast")).unwrap();
    until("all is written", || {
        node.state()["subscriptions"][0]["delivered"] == 30
    });
    let text = std::fs::read_to_string(disk.join("events.ndjson")).unwrap();
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
    let mut node = Node::start(&[]);
    let mut half = TcpStream::connect(node.ingest).unwrap();
    half.write_all(
        b"POST /v1/events?topic=t HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
    )
    .unwrap();
    until("it arrives", || node.state()["account"]["received"] == 1);
    half.shutdown(Shutdown::Both).unwrap();
    until("it is settled", || {
        node.state()["account"]["refused"]["aborted"] == 1
    });
    assert_eq!(node.state()["ledger"]["used_bytes"], 0);
    assert!(node.post("whole").starts_with("HTTP/1.1 202"));
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    assert_eq!(node.account()["account"]["closed"], true);
}

#[test]
fn a_hangup_takes_over_what_can_change_and_names_what_waits() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("relay.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    let queue = |node: &Node| node.state()["subscriptions"][0]["limit_events"].clone();
    write("[emitters.file]\nqueue_events = 100\n");
    let mut node = Node::start_with(&[], &[("RELAY_CONFIG", file.to_str().unwrap())]);
    assert_eq!(queue(&node), 100, "{}", node.state());

    write("[emitters.file]\nqueue_events = 3000\n[adapters.http]\nmax_body = \"1KiB\"\n");
    node.signal("HUP");
    node.wait_for_log("waits for a restart: adapters.http.max_body");
    assert_eq!(queue(&node), 3000);
    assert!(node.log().contains("CONFIG_RELOAD"), "{}", node.log());
    assert!(
        node.log().contains("emitters.file.queue_events = 3000"),
        "{}",
        node.log()
    );

    write("[emitters.file]\nqueue_events = \"many\"\n");
    node.signal("HUP");
    node.wait_for_log("nothing changed");
    assert_eq!(queue(&node), 3000);

    write("[emitters.file]\nqueue_events = 3001\n[log]\nlevel = \"error\"\n");
    node.signal("HUP");
    let start = Instant::now();
    while queue(&node) != 3001 {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", node.log());
    }
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
    let node = Node::start_with(&[], &variables);
    assert!(node.post("x").contains("202"));
    until("the event is written", || {
        node.events().contains("\"relaypriority\":\"high\"")
    });
    let gate = &node.state()["gate"];
    assert_eq!(gate["source_fairness"], true);
    assert_eq!(
        gate["source_share_bytes_per_second"],
        Value::Null,
        "nothing is scarce"
    );
    let off = Node::start(&["control.source_fairness=false"]);
    assert_eq!(off.state()["gate"]["source_fairness"], false);
}
