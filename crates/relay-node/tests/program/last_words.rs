//! What is left of a node that ended, however it ended: real processes, real signals, the next start, the viewer.

use crate::support::{Node, arguments, exchange, relay, until};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// A folder in which one node runs after the other.
struct Place {
    dir: Arc<TempDir>,
    settings: Vec<String>,
}

impl Place {
    fn new(settings: &[&str]) -> Self {
        let always = ["blackbox.termination_log=termination-log"];
        Self {
            dir: Arc::new(TempDir::new().unwrap()),
            settings: arguments(&[&always, settings].concat()),
        }
    }

    fn fdr(&self) -> PathBuf {
        self.dir.path().join("fdr")
    }

    fn start(&self) -> Node {
        let mut command = relay(self.dir.path());
        command.arg("run").args(&self.settings);
        let node = Node::spawn(command, &self.dir);
        node.wait_ready();
        node
    }

    /// Exit code and output of `relay blackbox` with no path: the variable says where a node of this place records.
    fn why(&self) -> (Option<i32>, String) {
        let output = self.blackbox(&["why"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text + &errors)
    }

    fn blackbox(&self, arguments: &[&str]) -> Output {
        relay(self.dir.path())
            .arg("blackbox")
            .args(arguments)
            .env("RELAY_BLACKBOX__DIR", "fdr")
            .output()
            .unwrap()
    }
}

#[test]
fn a_node_killed_under_load_is_explained_by_the_next_one() {
    // The sink takes less than comes, so that something is queued at the end.
    let place = Place::new(&["emitters.sink.kind=blackhole", "emitters.sink.rate=1KiB/s"]);
    let mut first = place.start();
    for _ in 0..20 {
        first.post(&"x".repeat(1000));
    }
    until("a snapshot saw the queue", || {
        let output = place.blackbox(&["show", "--json", "fdr/relay-node.fdr"]);
        let lines = String::from_utf8(output.stdout).unwrap();
        let records = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let depths = records.map(|record| record["fields"]["queue.depth"].clone());
        depths.into_iter().any(|depth| depth.as_u64() > Some(0))
    });
    first.child.kill().unwrap();
    assert_eq!(first.wait(), None, "ended by a signal");
    let page = fs::read_to_string(place.dir.path().join("termination-log")).unwrap();
    assert!(page.starts_with("relay: RUNNING last="), "{page}");
    assert!(
        // The line has a width, and how much of the name fits depends on the figures before it.
        page.contains("top=emitter:s") || page.contains("under way"),
        "{page}"
    );

    let second = place.start();
    let block = second.log();
    for line in [
        "the previous run: killed from outside, not for memory",
        "  - no mark of a clean end; the state was running",
        "relay blackbox show fdr/relay-node-",
    ] {
        assert_eq!(block.matches(line).count(), 1, "{line:?} once in {block}");
    }
    assert_eq!(block.matches("PREVIOUS_EXIT").count(), 1, "{block}");
    let metrics = second.body("/metrics", "");
    assert!(
        metrics.contains("relay_previous_exit_info{reason=\"killed\"} 1"),
        "{metrics}"
    );
    let last: Value = serde_json::from_str(&second.body("/blackbox/last", "")).unwrap();
    assert_eq!(last["cause"], "killed");
    assert!(
        last["answers"]["holders"][0]
            .as_str()
            .unwrap()
            .contains("emitter:sink"),
        "{last:#}"
    );
    let text = second.body("/blackbox/last", "Accept: text/plain\r\n");
    let (code, why) = place.why();
    assert_eq!(code, Some(14), "{why}");
    assert!(
        why.starts_with("node: killed from outside, not for memory"),
        "{why}"
    );
    assert_eq!(
        text,
        why.replace(&format!("{}/", place.dir.path().display()), "")
    );
    for seen in ["emitter:sink", "accepted", "relay 0.", "level normal"] {
        assert!(why.contains(seen), "{seen} is not in {why}");
    }
}

#[test]
fn a_node_that_was_told_to_stop_ended_clean() {
    let place = Place::new(&[]);
    let mut first = place.start();
    first.post("x");
    first.signal("HUP");
    until("it was read again", || {
        first.log().contains("CONFIG_RELOAD")
    });
    first.signal("TERM");
    assert_eq!(first.wait(), Some(0));
    let (code, why) = place.why();
    assert_eq!(code, Some(0), "{why}");
    assert!(why.starts_with("node: ended clean"), "{why}");
    let page = fs::read_to_string(place.dir.path().join("termination-log")).unwrap();
    assert_eq!(
        page.split_whitespace().collect::<Vec<_>>(),
        ["relay:", "clean", "exit"]
    );
    let shown = place.blackbox(&["show", "--json"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let events: Vec<Value> = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|record: &Value| record["record"] == "event")
        .collect();
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    let at = |kind: &str| {
        let found = kinds.iter().position(|known| *known == kind);
        found.unwrap_or_else(|| panic!("{kind} is not in {kinds:?}"))
    };
    let story = [
        at("start"),
        at("emitter_up"),
        at("adapter_up"),
        at("reload"),
        at("drain_start"),
        at("adapter_down"),
        at("emitter_down"),
        at("clean"),
    ];
    assert!(story.is_sorted(), "{kinds:?}");
    let signals: Vec<u64> = events
        .iter()
        .filter(|event| event["kind"] == "signal")
        .map(|event| event["signal"].as_u64().unwrap())
        .collect();
    assert_eq!(signals, [1, 15]);

    let second = place.start();
    assert!(!second.log().contains("PREVIOUS_EXIT"), "{}", second.log());
    let metrics = second.body("/metrics", "");
    assert!(
        metrics.contains("relay_previous_exit_info{reason=\"clean\"} 1"),
        "{metrics}"
    );
    let last: Value = serde_json::from_str(&second.body("/blackbox/last", "")).unwrap();
    assert_eq!(last["cause"], "clean");
}

/// A node that was told to end and takes its time over what is queued.
fn draining() -> (Place, Node) {
    let place = Place::new(&[
        "emitters.sink.kind=blackhole",
        "emitters.sink.rate=1KiB/s",
        "shutdown.deadline=1h",
    ]);
    let node = place.start();
    for _ in 0..5 {
        node.post(&"x".repeat(10_000));
    }
    node.signal("TERM");
    until("it drains", || {
        node.get("/readyz")
            .is_some_and(|answer| answer.contains("503"))
    });
    (place, node)
}

/// The state that the deadline cuts short is one, too: what a second signal ends at once was meant to end.
#[test]
fn a_second_signal_ends_it_at_once_and_as_intended() {
    let (place, mut node) = draining();
    node.signal("TERM");
    assert_eq!(node.wait(), Some(1));
    let (code, why) = place.why();
    assert_eq!(code, Some(0), "{why}");
}

#[test]
fn a_node_killed_while_it_drains_is_told_from_others() {
    let (place, mut node) = draining();
    node.child.kill().unwrap();
    node.wait();
    let (code, why) = place.why();
    assert_eq!(code, Some(14), "{why}");
    assert!(why.contains("time to drain was over"), "{why}");
}

#[test]
fn a_fatal_signal_is_named() {
    let place = Place::new(&[]);
    let mut node = place.start();
    // The standard library lets the first one pass that is no fault of its own.
    until("it has ended", || {
        let has_ended = node.child.try_wait().unwrap().is_some();
        if !has_ended {
            let _ = Command::new("kill")
                .args(["-s", "SEGV", &node.child.id().to_string()])
                .stderr(Stdio::null())
                .status();
        }
        has_ended
    });
    let (code, why) = place.why();
    assert_eq!(code, Some(12), "{why}");
    assert!(why.contains("SIGSEGV"), "{why}");
    let second = place.start();
    let metrics = second.body("/metrics", "");
    assert!(
        metrics.contains("relay_previous_exit_info{reason=\"fatal_signal\"} 1"),
        "{metrics}"
    );
}

#[test]
fn without_a_place_to_record_it_warns_and_runs_on() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let setting = format!("blackbox.dir={}/below", file.display());
    let page = format!("blackbox.termination_log={}/below", file.display());
    let place = Place::new(&[&setting, &page]);
    let mut node = place.start();
    assert!(node.post("x").contains("202"));
    let answer = node.get("/blackbox/last").unwrap();
    assert!(answer.contains("404"), "{answer}");
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    let log = node.log();
    let warnings = log.lines().filter(|line| line.contains("BLACKBOX_FAIL"));
    assert_eq!(warnings.count(), 3, "place, memory only, page: {log}");
    assert!(
        log.contains("give the process a folder it can write to"),
        "{log}"
    );
}

#[test]
fn turned_off_it_leaves_nothing() {
    let place = Place::new(&["blackbox.enabled=false"]);
    let mut node = place.start();
    node.post("x");
    node.child.kill().unwrap();
    node.wait();
    assert!(!place.fdr().exists());
    assert!(!place.dir.path().join("termination-log").exists());
}

/// In no byte of what is left: neither of what was configured, nor of what was sent, nor of what the far end said.
#[test]
fn no_secret_is_left_behind() {
    let far_end = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = far_end.local_addr().unwrap();
    // It refuses everything, with a secret in its reason.
    std::thread::spawn(move || {
        for stream in far_end.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let body = "password=c4naRy-answer token=c4naRy-answer";
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 500 password=c4naRy-phrase\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    let url = format!("emitters.web.url=http://me:c4naRy-url@{address}/in?token=c4naRy-query");
    let place = Place::new(&[
        "emitters.web.kind=http",
        &url,
        "emitters.web.headers={ authorization = \"Bearer c4naRy-header\" }",
        "emitters.web.backoff_initial=10ms",
    ]);
    let mut node = place.start();
    for _ in 0..3 {
        node.post("{\"password\": \"c4naRy-payload\"}");
    }
    let broken = "POST /v1/events?password=c4naRy-request HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                  Authorization: Basic c4naRy-sender\r\nContent-Length: 25\r\n\
                  Content-Type: application/cloudevents+json\r\n\r\n{\"password\": \"c4naRy-json";
    assert!(exchange(node.ingest(), broken).unwrap().contains("400"));
    until("the far end has refused", || {
        node.log().contains("EMITTER_FAIL")
    });
    until("that is recorded", || {
        let output = place.blackbox(&["show", "fdr/relay-node.fdr"]);
        let shown = String::from_utf8(output.stdout).unwrap();
        shown.contains("EMITTER_FAIL") && shown.contains("INGEST_INVALID")
    });
    node.child.kill().unwrap();
    node.wait();
    let second = place.start();
    let mut searched = 0;
    let mut folders = vec![place.fdr()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_clean(&path.display().to_string(), &fs::read(&path).unwrap());
                searched += 1;
            }
        }
    }
    assert!(searched >= 2, "this run and the one before");
    let page = place.dir.path().join("termination-log");
    assert_clean("the page", &fs::read(page).unwrap());
    assert_clean("the endpoint", second.body("/blackbox/last", "").as_bytes());
    assert_clean("the paragraph", place.why().1.as_bytes());
}

fn assert_clean(what: &str, bytes: &[u8]) {
    let canary = b"c4naRy";
    let at = bytes
        .windows(canary.len())
        .position(|window| window == canary);
    let around = at.map(|at| &bytes[at.saturating_sub(80)..(at + 80).min(bytes.len())]);
    let around = around.map(String::from_utf8_lossy);
    assert!(around.is_none(), "{what}: {around:?}");
}
